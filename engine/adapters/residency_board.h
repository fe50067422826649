// ResidencyBoard: the residents as other threads see them, kept up to date by what changes, so that
// with thousands of them the engine thread copies only a few, and waits for no reader who copies
// all. Thread-safe.
#ifndef CHORUS_ENGINE_ADAPTERS_RESIDENCY_BOARD_H_
#define CHORUS_ENGINE_ADAPTERS_RESIDENCY_BOARD_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/adapters/residency_state.h"
#include "kernels/mutex.h"

namespace chorus::engine {

class ResidencyBoard {
 public:
  void Update(ResidencyChanges changes) CHORUS_EXCLUDES(news_mutex_);

  std::vector<AdapterResidency> All() const CHORUS_EXCLUDES(mutex_, news_mutex_);
  // kDisk for an adapter that it does not know.
  ResidencyState StateOf(const std::string& tenant, const AdapterDigest& digest) const
      CHORUS_EXCLUDES(mutex_, news_mutex_);

 private:
  // Nothing: it is gone.
  using News = absl::flat_hash_map<AdapterKey, std::optional<AdapterResidency>>;

  void TakeNews() const CHORUS_REQUIRES(mutex_);

  mutable kernels::Mutex mutex_;  // before news_mutex_
  mutable absl::flat_hash_map<AdapterKey, AdapterResidency> residents_ CHORUS_GUARDED_BY(mutex_);
  mutable kernels::Mutex news_mutex_;                 // held for no longer than the news take
  mutable News news_ CHORUS_GUARDED_BY(news_mutex_);  // that no reader has entered yet
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_RESIDENCY_BOARD_H_
