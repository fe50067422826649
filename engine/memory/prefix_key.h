// Keys of cached prefixes: a chain of SHA-256. The root stands for everything but the tokens that
// decides a page's KV and who may see it; each full page then hashes its parent's key with its
// tokens. Two requests share a page exactly when they share its key.
#ifndef CHORUS_ENGINE_MEMORY_PREFIX_KEY_H_
#define CHORUS_ENGINE_MEMORY_PREFIX_KEY_H_

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace chorus::engine {

struct PrefixKey {
  std::array<uint8_t, 32> bytes{};

  auto operator<=>(const PrefixKey&) const = default;

  template <typename H>
  friend H AbslHashValue(H state, const PrefixKey& key) {
    uint64_t head;  // already uniform
    std::memcpy(&head, key.bytes.data(), sizeof(head));
    return H::combine(std::move(state), head);
  }
};

// `adapter_digest` is empty for the base model. Every field is length-prefixed, so no two different
// tuples hash the same bytes.
PrefixKey RootKey(std::string_view tenant, std::string_view cache_salt,
                  std::string_view base_digest, std::string_view adapter_digest);

// REQUIRES: `tokens` is one full page.
PrefixKey PageKey(const PrefixKey& parent, std::span<const int32_t> tokens);

// The keys of all full pages of `tokens`.
std::vector<PrefixKey> PageKeys(const PrefixKey& root, std::span<const int32_t> tokens);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MEMORY_PREFIX_KEY_H_
