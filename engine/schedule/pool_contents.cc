#include "engine/schedule/pool_contents.h"

namespace chorus::engine {
namespace {

int64_t ShareOf(const kernels::PoolView& view, double share) {
  return static_cast<int64_t>(share * static_cast<double>(view.num_ids));
}

}  // namespace

PoolContents::PoolContents(const EngineOptions& options, const RunnerLimits& runner,
                           const kernels::PoolView& view, LoadQueue* loads)
    : pin_pages(ShareOf(view, options.pin_budget)),
      watermark_pages(ShareOf(view, options.admission_watermark)),
      pages(view, options.adapter_pool_share),
      order(options.reclaim_policy),
      prefixes(&pages.kv(), &order),
      host_tier(options.prefix_cache ? runner.host_pages : 0, runner.host_page_time, &prefixes),
      residency({.pool = &pages.adapters(), .loads = loads, .order = &order, .prefixes = &prefixes},
                view,
                {.pin_pages = pin_pages,
                 .max_adapters = runner.max_adapters,
                 .max_loads = options.max_loads,
                 .max_load_bytes = options.max_load_bytes,
                 .keep_idle = options.cache_idle_adapters}) {
  pages.Register(&prefixes, &residency);
}

int64_t PoolContents::num_sequence_pages() const {
  return pages.num_pages() - pages.num_free() - pages.num_draining() - residency.num_pages() -
         pages.kv().num_idle();
}

void PoolContents::FillStats(EngineStats* stats) const {
  stats->pages_total = pages.num_pages();
  stats->pages_free = pages.num_free();
  stats->pages_draining = pages.num_draining();
  stats->pages_adapters = residency.num_pages();
  stats->pages_prefixes = pages.kv().num_idle();
  stats->pages_sequences = num_sequence_pages();
  stats->adapter_evictions = residency.num_evictions();
  stats->prefix_evictions = prefixes.num_evictions();
  stats->host_pages_total = host_tier.num_slots();
  stats->host_pages_used = host_tier.num_used();
  stats->pages_saved = host_tier.num_saved();
  stats->pages_restored = host_tier.num_restored();
}

}  // namespace chorus::engine
