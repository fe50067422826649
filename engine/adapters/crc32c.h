// CRC-32C (Castagnoli), with the processor's instruction where there is one.
#ifndef CHORUS_ENGINE_ADAPTERS_CRC32C_H_
#define CHORUS_ENGINE_ADAPTERS_CRC32C_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace chorus::engine {

// Continues `crc` (0 to begin) over `bytes`.
uint32_t Crc32c(uint32_t crc, std::span<const std::byte> bytes);

// The same from a table; what a test compares with.
uint32_t PortableCrc32c(uint32_t crc, std::span<const std::byte> bytes);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_CRC32C_H_
