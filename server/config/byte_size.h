// Sizes in bytes as operators write them: "1GiB", "512 MiB", "1.5GB", "1048576".
#ifndef CHORUS_SERVER_CONFIG_BYTE_SIZE_H_
#define CHORUS_SERVER_CONFIG_BYTE_SIZE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace chorus::server {

// A number, perhaps with a fraction, then nothing or one of B, kB, MB, GB, TB (powers of 1000) and
// KiB, MiB, GiB, TiB (of 1024), rounded down to whole bytes. Nullopt for anything else, and beyond
// int64.
std::optional<int64_t> ParseByteSize(std::string_view text);

// The shortest exact form: "1GiB", "1500MB", "1048577". REQUIRES: bytes >= 0.
std::string FormatByteSize(int64_t bytes);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_CONFIG_BYTE_SIZE_H_
