// SHA-256 of bytes that pass by, and the names that files get from it.
#ifndef CHORUS_ENGINE_ADAPTERS_SHA256_H_
#define CHORUS_ENGINE_ADAPTERS_SHA256_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/model/byte_source.h"

struct evp_md_ctx_st;

namespace chorus::engine {

// One thread at a time.
class Sha256 {
 public:
  Sha256();

  void Add(std::span<const std::byte> bytes);
  void Add(std::string_view bytes);
  // REQUIRES: called once; nothing is added afterwards.
  std::array<uint8_t, 32> Finish();
  // The same as 64 lower-case digits.
  std::string FinishHex();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string Sha256Hex(std::string_view bytes);
// Reads all of `source`. DataLoss as the source says.
absl::StatusOr<std::string> Sha256Hex(const ByteSource& source);

// 64 lower-case hexadecimal digits, and nothing else.
bool IsSha256Hex(std::string_view text);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_SHA256_H_
