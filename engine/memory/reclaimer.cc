#include "engine/memory/reclaimer.h"

#include "kernels/check.h"

namespace chorus::engine {

int64_t Reclaimer::Available(ReclaimRank rank) const {
  int64_t pages = pool_->num_free();
  for (const ReclaimSource* source : sources_) pages += source->ReclaimablePages(rank);
  return pages;
}

bool Reclaimer::MakeFree(int64_t pages, ReclaimRank rank) {
  if (pool_->num_free() >= pages) return true;
  if (Available(rank) < pages) return false;
  while (pool_->num_free() < pages) {
    ReclaimSource* cheapest = nullptr;
    double least = 0.0;
    for (ReclaimSource* source : sources_) {
      const std::optional<double> worth = source->CheapestWorth(rank);
      if (worth.has_value() && (cheapest == nullptr || *worth < least)) {
        cheapest = source;
        least = *worth;
      }
    }
    // Pages may drain for a step that still runs: they come back, but not yet.
    if (cheapest == nullptr) return false;
    cheapest->ReclaimCheapest(rank);
  }
  return true;
}

}  // namespace chorus::engine
