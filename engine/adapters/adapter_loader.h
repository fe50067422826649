// AdapterLoader: brings adapters into leased pages, on threads of its own, so that the engine
// thread never touches a file.
#ifndef CHORUS_ENGINE_ADAPTERS_ADAPTER_LOADER_H_
#define CHORUS_ENGINE_ADAPTERS_ADAPTER_LOADER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/adapters/adapter_target.h"
#include "engine/adapters/adapter_version.h"
#include "engine/clock.h"
#include "kernels/mutex.h"

namespace chorus::engine {

struct LoadJob {
  uint64_t ticket = 0;
  AdapterRef adapter;
  std::vector<int32_t> cells;  // of the lease, in fill order; the loader's until it answers
  int64_t rank = 0;            // the smallest is begun first; of equal ones, the first ticket
};

struct LoadDone {
  uint64_t ticket = 0;
  absl::Status status;  // Cancelled after Cancel, unless the load was faster
  absl::Duration took;  // since a thread began with it; zero: not measured
};

// A load that only waits for copies: steps that wait for its layers may read its pages. Its
// LoadDone follows.
struct LoadArriving {
  uint64_t ticket = 0;
  std::shared_ptr<const LayerArrivals> arrivals;
};

// What became of jobs: called on loader threads.
struct LoadAnswers {
  std::function<void(LoadDone)> done;  // exactly once for each job
  std::function<void(LoadArriving)> arriving = [](const LoadArriving&) {};
};

// Every job that is not withdrawn is answered exactly once; until then its cells may be written.
// What was begun goes on to its end, whatever comes with a smaller rank.
class LoadQueue {
 public:
  virtual ~LoadQueue() = default;
  virtual void Start(LoadJob job) = 0;
  // These two are for queues in which a job may wait.
  virtual void SetRank(uint64_t /*ticket*/, int64_t /*rank*/) {}
  // Takes back a job that nobody has begun: then it is true, and the job is not answered.
  virtual bool Withdraw(uint64_t /*ticket*/) { return false; }
  virtual void Cancel(uint64_t ticket) = 0;
  // Nothing is kept of this content for a later load.
  virtual void Forget(const std::string& tenant, const AdapterDigest& digest) = 0;
};

class AdapterLoader : public LoadQueue {
 public:
  // `target` and `clock` outlive the loader.
  AdapterLoader(AdapterTarget* target, int num_threads, const Clock* clock, LoadAnswers answers);
  // Cancels what waits and joins.
  ~AdapterLoader() override;

  void Start(LoadJob job) override;
  void SetRank(uint64_t ticket, int64_t rank) override;
  bool Withdraw(uint64_t ticket) override;
  void Cancel(uint64_t ticket) override;
  void Forget(const std::string& tenant, const AdapterDigest& digest) override {
    target_->Forget(tenant, digest);
  }

 private:
  struct Live {
    std::shared_ptr<std::atomic<bool>> cancelled;  // shared with the thread that loads
    int64_t rank = 0;
  };
  using Order = std::pair<int64_t, uint64_t>;  // rank and ticket

  void ThreadLoop();
  absl::Status Load(const LoadJob& job, const std::atomic<bool>& cancelled) const;

  AdapterTarget* const target_;
  const Clock* const clock_;
  const LoadAnswers answers_;
  kernels::Mutex mutex_;
  kernels::CondVar changed_;
  std::map<Order, LoadJob> queue_ CHORUS_GUARDED_BY(mutex_);            // not begun
  absl::flat_hash_map<uint64_t, Live> live_ CHORUS_GUARDED_BY(mutex_);  // not answered, by ticket
  bool stopping_ CHORUS_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_ADAPTER_LOADER_H_
