// HostTier: KV outside the pool. Pages that sequences leave behind are saved on the host while they
// are idle, a few each step, so that whoever reclaims them loses nothing; who comes back to them,
// after a preemption above all, has them brought back instead of computing them again, where that
// is faster. Decides only: the runner moves the bytes (StepPlan::saves, restores). Engine thread
// only.
#ifndef CHORUS_ENGINE_SCHEDULE_HOST_TIER_H_
#define CHORUS_ENGINE_SCHEDULE_HOST_TIER_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "absl/time/time.h"
#include "engine/memory/host_prefixes.h"
#include "engine/memory/prefix_cache.h"
#include "engine/memory/prefix_key.h"
#include "kernels/copy/host_pages.h"

namespace chorus::engine {

class HostTier {
 public:
  // `page_time` is what one page takes to or from one of the slots. `prefixes` outlives the tier.
  HostTier(int64_t num_slots, absl::Duration page_time, const PrefixCache* prefixes)
      : prefixes_(*prefixes),
        page_time_(std::max(page_time, absl::Nanoseconds(1))),
        pages_(num_slots) {}

  // A sequence has left the pool, and these full pages of it, first to last, in the prefix cache;
  // `preempted`: it will come back, so they are saved at once.
  void Left(std::span<const PrefixKey> keys, bool preempted);
  // What the next step saves. Called last when it is planned: pages that are idle now are so until
  // it has run. What is not urgent takes a small share of a step's time.
  std::vector<kernels::HostPageCopy> PlanSaves();
  void NoteStep(absl::Duration step_time, absl::Duration row_time);

  // How many of `keys` are here and faster to bring back than to compute.
  int64_t MatchLength(std::span<const PrefixKey> keys) const;
  // A slot that a step is going to restore from; kept until Release.
  int32_t Hold(const PrefixKey& key) { return pages_.Hold(key); }
  // `restored`: the step has run; else its sequence left before.
  void Release(std::span<const kernels::HostPageCopy> restores, bool restored);
  void Forget(PrefixOwner owner) { pages_.Forget(owner); }

  int64_t num_slots() const { return pages_.num_slots(); }
  int64_t num_used() const { return pages_.num_used(); }
  uint64_t num_saved() const { return num_saved_; }
  uint64_t num_restored() const { return num_restored_; }

 private:
  bool worthwhile() const;

  const PrefixCache& prefixes_;
  const absl::Duration page_time_;
  HostPrefixes pages_;
  std::deque<PrefixKey> left_;     // oldest first
  std::vector<PrefixKey> urgent_;  // before those
  absl::Duration step_time_;       // of the last step
  absl::Duration row_time_;        // zero: not known
  uint64_t num_saved_ = 0;
  uint64_t num_restored_ = 0;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_SCHEDULE_HOST_TIER_H_
