// Joins neighbouring symbols by a table of ranked merges (Sennrich et al., 2016): always the
// lowest rank, the leftmost among equals. O(n log n) for any input. Immutable once filled; any
// thread may call with a scratch of its own.
#ifndef CHORUS_ENGINE_TEXT_BPE_MERGER_H_
#define CHORUS_ENGINE_TEXT_BPE_MERGER_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace chorus::engine {

class BpeMerger {
 public:
  class Scratch {
   public:
    void Clear() { symbols_.clear(); }
    // Appends a symbol behind the others.
    void Push(int32_t id);

   private:
    friend class BpeMerger;
    struct Symbol {
      int32_t id;  // kGone once it was joined to its left
      int32_t previous, next;
    };
    struct Candidate {
      uint64_t order;  // rank, then place
      int32_t merged_id;
    };
    std::vector<Symbol> symbols_;
    std::vector<Candidate> heap_;
  };

  // A later merge of the same pair replaces the earlier one.
  void Add(int32_t left, int32_t right, int32_t rank, int32_t merged_id);
  void Reserve(size_t merges) { merges_.reserve(merges); }

  // Merges the symbols pushed since Clear as far as it goes and appends what is left.
  void Run(Scratch* scratch, std::vector<int32_t>* ids) const;

 private:
  struct Merge {
    int32_t rank, merged_id;
  };
  static uint64_t Key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  const Merge* Find(int32_t left, int32_t right) const;
  void Offer(int32_t place, Scratch* scratch) const;

  absl::flat_hash_map<uint64_t, Merge> merges_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_BPE_MERGER_H_
