// Keys of cached prefixes: a chain of SHA-256. The root stands for everything but the tokens that
// decides a page's KV and who may see it; each full page then hashes its parent's key with its
// tokens. Where an adapter begins to compute, its digest and that position join the chain: what
// lies before is the base's KV. Two requests share a page exactly when they share its key.
#ifndef CHORUS_ENGINE_MEMORY_PREFIX_KEY_H_
#define CHORUS_ENGINE_MEMORY_PREFIX_KEY_H_

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
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

// Every field is length-prefixed, so no two different tuples hash the same bytes.
PrefixKey RootKey(std::string_view tenant, std::string_view cache_salt,
                  std::string_view base_digest);

// Whose KV a sequence's pages hold.
struct PrefixChain {
  struct Adapter {
    std::string digest;
    int64_t from = 0;  // the first position that it computes
  };
  PrefixKey root;
  std::optional<Adapter> adapter;  // none: the base model's alone

  // So many pages at the front hold nothing but the base's KV.
  int64_t base_pages() const;
  // Adds the key of the next page. REQUIRES: `tokens` is one full page.
  void Append(std::span<const int32_t> tokens, std::vector<PrefixKey>* keys) const;
};

// The keys of all full pages of `tokens`.
std::vector<PrefixKey> PageKeys(const PrefixChain& chain, std::span<const int32_t> tokens);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MEMORY_PREFIX_KEY_H_
