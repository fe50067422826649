// PageSupply: which pages may become KV and which adapters: all of one pool, whatever they were
// before; or, to compare with servers that divide their memory, a fixed part each. Engine thread
// only.
#ifndef CHORUS_ENGINE_MEMORY_PAGE_SUPPLY_H_
#define CHORUS_ENGINE_MEMORY_PAGE_SUPPLY_H_

#include <cstdint>
#include <optional>

#include "engine/memory/page_pool.h"
#include "engine/memory/reclaimer.h"

namespace chorus::engine {

class PageSupply {
 public:
  // `adapter_share` of the pool's pages is for adapters alone, the rest for KV; 0: nothing is set
  // apart.
  PageSupply(const kernels::PoolView& view, double adapter_share)
      : num_adapter_pages_(static_cast<int64_t>(adapter_share * static_cast<double>(view.num_ids))),
        kv_(view, 0, view.num_ids - num_adapter_pages_),
        kv_reclaimer_(&kv_) {
    if (num_adapter_pages_ == 0) return;
    adapters_.emplace(view, kv_.num_pages(), num_adapter_pages_);
    adapter_reclaimer_.emplace(&*adapters_);
  }

  // Sources of pages to be taken back: they must be there as long as anybody wants pages.
  void Register(ReclaimSource* prefixes, ReclaimSource* adapters) {
    kv_reclaimer_.Register(prefixes);
    (adapters_.has_value() ? *adapter_reclaimer_ : kv_reclaimer_).Register(adapters);
  }

  bool divided() const { return adapters_.has_value(); }
  PagePool& kv() { return kv_; }
  const PagePool& kv() const { return kv_; }
  PagePool& adapters() { return adapters_.has_value() ? *adapters_ : kv_; }

  int64_t num_pages() const { return kv_.num_pages() + num_adapter_pages_; }
  // Whether so many pages of each exist at all.
  bool Holds(int64_t kv, int64_t adapters) const {
    if (!adapters_.has_value()) return kv + adapters <= kv_.num_pages();
    return kv <= kv_.num_pages() && adapters <= adapters_->num_pages();
  }
  // Whether so many are free or can be made free for `rank`.
  bool Has(int64_t kv, int64_t adapters, ReclaimRank rank) const {
    if (!adapters_.has_value()) return kv_reclaimer_.Available(rank) >= kv + adapters;
    return kv_reclaimer_.Available(rank) >= kv && adapter_reclaimer_->Available(rank) >= adapters;
  }
  // Pages for KV that are free or could be taken back.
  int64_t AvailableForKv() const { return kv_reclaimer_.Available(kAnyone); }
  // Makes them free, giving up no more than needed. When it is false, less may have been given up.
  bool MakeFree(int64_t kv, int64_t adapters, ReclaimRank rank) {
    if (!adapters_.has_value()) return kv_reclaimer_.MakeFree(kv + adapters, rank);
    return Has(kv, adapters, rank) && kv_reclaimer_.MakeFree(kv, rank) &&
           adapter_reclaimer_->MakeFree(adapters, rank);
  }

  void BeginStep(uint64_t epoch) {
    kv_.BeginStep(epoch);
    if (adapters_.has_value()) adapters_->BeginStep(epoch);
  }
  void EndStep(uint64_t epoch) {
    kv_.EndStep(epoch);
    if (adapters_.has_value()) adapters_->EndStep(epoch);
  }
  int64_t num_free() const {
    return kv_.num_free() + (adapters_.has_value() ? adapters_->num_free() : 0);
  }
  int64_t num_draining() const {
    return kv_.num_draining() + (adapters_.has_value() ? adapters_->num_draining() : 0);
  }

 private:
  const int64_t num_adapter_pages_;  // set apart
  PagePool kv_;
  std::optional<PagePool> adapters_;
  Reclaimer kv_reclaimer_;
  std::optional<Reclaimer> adapter_reclaimer_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_MEMORY_PAGE_SUPPLY_H_
