// ManualLoads: a LoadQueue whose loads end when the test says so.
#ifndef CHORUS_TESTS_ENGINE_SCHEDULE_MANUAL_LOADS_H_
#define CHORUS_TESTS_ENGINE_SCHEDULE_MANUAL_LOADS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "engine/adapters/adapter_loader.h"
#include "engine/adapters/residency_state.h"

namespace chorus::engine {

class ManualLoads : public LoadQueue {
 public:
  void Start(LoadJob job) override { under_way.push_back(std::move(job)); }
  void SetRank(uint64_t ticket, int64_t rank) override {
    for (LoadJob& job : under_way) job.rank = job.ticket == ticket ? rank : job.rank;
  }
  bool Withdraw(uint64_t ticket) override {
    for (size_t i = num_threads; i < under_way.size(); ++i) {
      if (under_way[i].ticket != ticket) continue;
      under_way.erase(under_way.begin() + static_cast<ptrdiff_t>(i));
      return true;
    }
    return false;
  }
  void Cancel(uint64_t ticket) override { cancelled.push_back(ticket); }
  void Forget(const std::string& tenant, const AdapterDigest& digest) override {
    forgotten.emplace_back(tenant, digest);
  }

  size_t num_threads = std::numeric_limits<size_t>::max();  // so many of the first are begun
  std::deque<LoadJob> under_way;
  std::vector<uint64_t> cancelled;
  std::vector<AdapterKey> forgotten;
};

}  // namespace chorus::engine

#endif  // CHORUS_TESTS_ENGINE_SCHEDULE_MANUAL_LOADS_H_
