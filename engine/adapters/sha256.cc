#include "engine/adapters/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <vector>

#include "absl/strings/escaping.h"
#include "kernels/check.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr size_t kSlice = size_t{256} << 10;

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  CHORUS_CHECK(context_ != nullptr);
  CHORUS_CHECK_EQ(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr), 1);
}

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

void Sha256::Add(std::span<const std::byte> bytes) {
  CHORUS_CHECK_EQ(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()), 1);
}

void Sha256::Add(std::string_view bytes) { Add(std::as_bytes(std::span(bytes))); }

std::array<uint8_t, 32> Sha256::Finish() {
  std::array<uint8_t, 32> digest;
  CHORUS_CHECK_EQ(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr), 1);
  return digest;
}

std::string Sha256::FinishHex() {
  const std::array<uint8_t, 32> digest = Finish();
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

std::string Sha256Hex(std::string_view bytes) {
  Sha256 hash;
  hash.Add(bytes);
  return hash.FinishHex();
}

absl::StatusOr<std::string> Sha256Hex(const ByteSource& source) {
  Sha256 hash;
  std::vector<std::byte> slice(std::min<uint64_t>(kSlice, source.size()));
  for (uint64_t done = 0; done < source.size();) {
    const auto part = std::span(slice).first(std::min<uint64_t>(kSlice, source.size() - done));
    CHORUS_RETURN_IF_ERROR(source.Read(done, part));
    hash.Add(part);
    done += part.size();
  }
  return hash.FinishHex();
}

bool IsSha256Hex(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace chorus::engine
