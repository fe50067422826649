// Which adapters have metric series of their own. There are thousands of adapters and no dashboard
// bears thousands of series: at most so many have labels at one time, the least recently used one
// makes room when it was idle for long, and all others share the label "other".
#ifndef CHORUS_SERVER_METRICS_ADAPTER_USAGE_H_
#define CHORUS_SERVER_METRICS_ADAPTER_USAGE_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "kernels/mutex.h"
#include "prometheus/metric_family.h"

namespace chorus::server {

// Counters of one label. Thread-safe; they only grow.
struct AdapterUsage {
  std::atomic<uint64_t> requests = 0;
  std::atomic<uint64_t> prompt_tokens = 0;
  std::atomic<uint64_t> generation_tokens = 0;
};

// Thread-safe. A label that was taken away and comes back begins at zero, which Prometheus reads
// as a counter's restart; "other" is never taken away.
class AdapterUsageTable {
 public:
  // A label keeps its series for so long after its last request, that every scraper has seen it.
  static constexpr absl::Duration kIdle = absl::Minutes(10);

  explicit AdapterUsageTable(int max_labels);

  // The counters under which a request for the adapter is counted. Whoever holds them keeps the
  // label alive.
  std::shared_ptr<AdapterUsage> Use(const std::string& tenant, const std::string& adapter,
                                    absl::Time now);

  // chorus_adapter_…_total{tenant, adapter}.
  std::vector<prometheus::MetricFamily> Collect() const;

 private:
  using Key = std::pair<std::string, std::string>;  // tenant, adapter
  struct Entry {
    std::shared_ptr<AdapterUsage> usage;
    absl::Time last_use;
  };

  // Takes away the label that was idle for longest, if it was for kIdle.
  bool MakeRoom(absl::Time now) CHORUS_REQUIRES(mutex_);

  const size_t max_labels_;
  const std::shared_ptr<AdapterUsage> other_;
  mutable kernels::Mutex mutex_;
  std::map<Key, Entry> entries_ CHORUS_GUARDED_BY(mutex_);
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_METRICS_ADAPTER_USAGE_H_
