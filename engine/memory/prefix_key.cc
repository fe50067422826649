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

// What the first page hangs under that an adapter computes in, between it and its parent.
PrefixKey AdapterKey(const PrefixKey& parent, const PrefixChain::Adapter& adapter) {
  std::string text = "chorus adapter prefix 1";
  text.append(reinterpret_cast<const char*>(parent.bytes.data()), parent.bytes.size());
  text.append(reinterpret_cast<const char*>(&adapter.from), sizeof(adapter.from));
  return Sha256(text + adapter.digest);
}

}  // namespace

PrefixKey RootKey(std::string_view tenant, std::string_view cache_salt,
                  std::string_view base_digest) {
  std::string text = "chorus prefix 2";
  for (std::string_view field : {tenant, cache_salt, base_digest}) {
    const uint64_t size = field.size();
    text.append(reinterpret_cast<const char*>(&size), sizeof(size));
    text.append(field);
  }
  return Sha256(text);
}

int64_t PrefixChain::base_pages() const {
  return adapter.has_value() ? adapter->from / kernels::kPageTokens
                             : std::numeric_limits<int64_t>::max();
}

void PrefixChain::Append(std::span<const int32_t> tokens, std::vector<PrefixKey>* keys) const {
  CHORUS_CHECK_EQ(tokens.size(), size_t{kernels::kPageTokens});
  PrefixKey parent = keys->empty() ? root : keys->back();
  if (std::ssize(*keys) == base_pages()) parent = AdapterKey(parent, *adapter);
  char bytes[sizeof(parent.bytes) + kernels::kPageTokens * sizeof(int32_t)];
  std::memcpy(bytes, parent.bytes.data(), sizeof(parent.bytes));
  std::memcpy(bytes + sizeof(parent.bytes), tokens.data(), tokens.size_bytes());
  keys->push_back(Sha256({bytes, sizeof(bytes)}));
}

std::vector<PrefixKey> PageKeys(const PrefixChain& chain, std::span<const int32_t> tokens) {
  std::vector<PrefixKey> keys;
  keys.reserve(tokens.size() / kernels::kPageTokens);
  for (size_t begin = 0; begin + kernels::kPageTokens <= tokens.size();
       begin += kernels::kPageTokens) {
    chain.Append(tokens.subspan(begin, kernels::kPageTokens), &keys);
  }
  return keys;
}

}  // namespace chorus::engine
