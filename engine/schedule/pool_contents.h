// PoolContents: what lies in the pool (KV of sequences, cached prefixes, adapters), what lies
// behind it on the host, and one order of what is given up first. Engine thread only, but for what
// never changes.
#ifndef CHORUS_ENGINE_SCHEDULE_POOL_CONTENTS_H_
#define CHORUS_ENGINE_SCHEDULE_POOL_CONTENTS_H_

#include <cstdint>

#include "engine/adapters/residency.h"
#include "engine/memory/page_supply.h"
#include "engine/memory/prefix_cache.h"
#include "engine/memory/reclaim_order.h"
#include "engine/model/runner.h"
#include "engine/schedule/engine_options.h"
#include "engine/schedule/engine_stats.h"
#include "engine/schedule/host_tier.h"

namespace chorus::engine {

struct PoolContents {
  // `loads` outlives it.
  PoolContents(const EngineOptions& options, const RunnerLimits& runner,
               const kernels::PoolView& view, LoadQueue* loads);

  // Pages that sequences hold, each counted once.
  int64_t num_sequence_pages() const;
  // Whose pages are whose, and what was evicted, saved and restored.
  void FillStats(EngineStats* stats) const;

  const int64_t pin_pages;        // of all pinned adapters together
  const int64_t watermark_pages;  // kept free for growth
  PageSupply pages;
  ReclaimOrder order;
  PrefixCache prefixes;
  HostTier host_tier;
  Residency residency;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_POOL_CONTENTS_H_
