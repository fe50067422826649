// Reclaimer: one order over everything that may be taken back when pages are short. Owners
// (the prefix cache, the adapters' residency) register as sources and name their cheapest piece;
// the reclaimer gives up the cheapest of all, piece by piece. Engine thread only.
//
// What a piece is worth is said by ReclaimOrder, for all sources in the same measure.
#ifndef CHORUS_ENGINE_MEMORY_RECLAIMER_H_
#define CHORUS_ENGINE_MEMORY_RECLAIMER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/memory/page_pool.h"

namespace chorus::engine {

// Queue position of whoever wants pages: pieces that a request further ahead waits for are not
// taken for one behind it. kAnyone takes everything that is not pinned.
using ReclaimRank = int64_t;
constexpr ReclaimRank kAnyone = -1;

class ReclaimSource {
 public:
  virtual ~ReclaimSource() = default;
  // Worth of the cheapest piece that `rank` may take, or nullopt.
  virtual std::optional<double> CheapestWorth(ReclaimRank rank) const = 0;
  // Gives that piece up; its pages drain into the pool.
  virtual void ReclaimCheapest(ReclaimRank rank) = 0;
  // Pages that could come back if everything `rank` may take were taken.
  virtual int64_t ReclaimablePages(ReclaimRank rank) const = 0;
};

class Reclaimer {
 public:
  explicit Reclaimer(PagePool* pool) : pool_(pool) {}

  // `source` must outlive the reclaimer.
  void Register(ReclaimSource* source) { sources_.push_back(source); }

  // Free pages plus what could be taken back.
  int64_t Available(ReclaimRank rank) const;
  // Makes `pages` free, giving up no more than needed. False, with nothing given up, when even
  // everything would not do.
  bool MakeFree(int64_t pages, ReclaimRank rank);

 private:
  PagePool* const pool_;
  std::vector<ReclaimSource*> sources_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MEMORY_RECLAIMER_H_
