// Raw tables of unicode_tables.inc; code_set.h and unicode_normalizer.h are the doors to them.
#ifndef CHORUS_ENGINE_TEXT_UNICODE_TABLES_H_
#define CHORUS_ENGINE_TEXT_UNICODE_TABLES_H_

#include <cstdint>
#include <span>
#include <string_view>

namespace chorus::engine::unicode_tables {

enum class Family { kCategory, kBracket, kScript, kPerl, kRust };

// One set: pairs (code points skipped since the last range, length of the range).
struct NamedTable {
  Family family;
  std::string_view name;  // lower case, words joined by '_'
  std::span<const uint32_t> runs;
};

std::span<const NamedTable> NamedTables();

// Records (code point − the one before, number of code points, the code points).
std::span<const uint32_t> Canonical();   // full canonical decompositions, Hangul left out
std::span<const uint32_t> Compatible();  // where the compatible one differs from the canonical
std::span<const uint32_t> Lowercase();
std::span<const uint32_t> CaseOrbits();
std::span<const uint32_t> LongFoldings();  // case foldings to several characters

std::span<const uint32_t> CombiningClass();  // triples (first, length, class)
std::span<const uint32_t> Compositions();    // triples (first, second, composed), sorted

// Calls use(code_point, code_points) for each record.
template <class Use>
void ForEachRecord(std::span<const uint32_t> records, Use use) {
  char32_t code_point = 0;
  for (size_t i = 0; i < records.size(); i += 2 + records[i + 1]) {
    code_point += records[i];
    use(code_point, records.subspan(i + 2, records[i + 1]));
  }
}

}  // namespace chorus::engine::unicode_tables

#endif  // CHORUS_ENGINE_TEXT_UNICODE_TABLES_H_
