#include "engine/memory/prefix_key.h"

#include <openssl/sha.h>

#include <string>

#include "kernels/check.h"
#include "kernels/device/pool_view.h"

namespace chorus::engine {
namespace {

PrefixKey Sha256(std::string_view bytes) {
  PrefixKey key;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), key.bytes.data());
  return key;
}

}  // namespace

PrefixKey RootKey(std::string_view tenant, std::string_view cache_salt,
                  std::string_view base_digest, std::string_view adapter_digest) {
  std::string text = "chorus prefix 1";
  for (std::string_view field : {tenant, cache_salt, base_digest, adapter_digest}) {
    const uint64_t size = field.size();
    text.append(reinterpret_cast<const char*>(&size), sizeof(size));
    text.append(field);
  }
  return Sha256(text);
}

PrefixKey PageKey(const PrefixKey& parent, std::span<const int32_t> tokens) {
  CHORUS_CHECK_EQ(tokens.size(), size_t{kernels::kPageTokens});
  char bytes[sizeof(parent.bytes) + kernels::kPageTokens * sizeof(int32_t)];
  std::memcpy(bytes, parent.bytes.data(), sizeof(parent.bytes));
  std::memcpy(bytes + sizeof(parent.bytes), tokens.data(), tokens.size_bytes());
  return Sha256({bytes, sizeof(bytes)});
}

std::vector<PrefixKey> PageKeys(const PrefixKey& root, std::span<const int32_t> tokens) {
  std::vector<PrefixKey> keys;
  keys.reserve(tokens.size() / kernels::kPageTokens);
  for (size_t begin = 0; begin + kernels::kPageTokens <= tokens.size();
       begin += kernels::kPageTokens) {
    const PrefixKey& parent = keys.empty() ? root : keys.back();
    keys.push_back(PageKey(parent, tokens.subspan(begin, kernels::kPageTokens)));
  }
  return keys;
}

}  // namespace chorus::engine
