#include "engine/text/unicode_tables.h"

namespace chorus::engine::unicode_tables {
namespace {

#include "engine/text/unicode_tables.inc"

}  // namespace

std::span<const NamedTable> NamedTables() { return kNamedTables; }
std::span<const uint32_t> Canonical() { return kCanonical; }
std::span<const uint32_t> Compatible() { return kCompatible; }
std::span<const uint32_t> Lowercase() { return kLowercase; }
std::span<const uint32_t> CaseOrbits() { return kCaseOrbits; }
std::span<const uint32_t> LongFoldings() { return kLongFoldings; }
std::span<const uint32_t> CombiningClass() { return kCombiningClass; }
std::span<const uint32_t> Compositions() { return kCompositions; }

}  // namespace chorus::engine::unicode_tables
