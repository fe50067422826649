// CatalogHistory: numbers the catalog's changes and hands them to watchers. It keeps a bounded
// number of past events for watchers that come back, and a bounded queue for each watcher: one that
// does not read is cut off, nobody waits for it.
#ifndef CHORUS_ENGINE_ADAPTERS_CATALOG_HISTORY_H_
#define CHORUS_ENGINE_ADAPTERS_CATALOG_HISTORY_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/adapters/catalog.h"
#include "kernels/mutex.h"

namespace chorus::engine {

// Thread-safe. Watches may outlive it.
class CatalogHistory {
 public:
  // Revisions follow `first_revision`, which must lie above all of an earlier process, so that a
  // revision from before a restart is never mistaken for one of ours.
  CatalogHistory(uint64_t first_revision, size_t max_events, size_t max_queued)
      : max_events_(max_events),
        max_queued_(max_queued),
        forgotten_(first_revision),
        revision_(first_revision) {}
  ~CatalogHistory();

  uint64_t revision() const;
  void Publish(CatalogEvent::Kind kind, const AdapterInfo& adapter);

  // `snapshot` is what the tenant sees at this moment; used when since_revision is 0. OutOfRange
  // for a revision that is forgotten or was never given.
  absl::StatusOr<std::unique_ptr<CatalogWatch>> Watch(const std::string& tenant,
                                                      uint64_t since_revision,
                                                      std::vector<AdapterInfo> snapshot);

 private:
  class Watcher;

  const size_t max_events_;
  const size_t max_queued_;
  mutable kernels::Mutex mutex_;
  std::deque<CatalogEvent> events_ CHORUS_GUARDED_BY(mutex_);
  uint64_t forgotten_ CHORUS_GUARDED_BY(mutex_);  // newest revision that is not in events_
  uint64_t revision_ CHORUS_GUARDED_BY(mutex_);
  // Each is shared with the thread that reads it.
  std::vector<std::weak_ptr<Watcher>> watchers_ CHORUS_GUARDED_BY(mutex_);
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_CATALOG_HISTORY_H_
