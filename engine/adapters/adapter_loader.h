// AdapterLoader: brings adapters into leased pages, on threads of its own, so that the engine
// thread never touches a file.
#ifndef CHORUS_ENGINE_ADAPTERS_ADAPTER_LOADER_H_
#define CHORUS_ENGINE_ADAPTERS_ADAPTER_LOADER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "engine/adapters/adapter_target.h"
#include "engine/adapters/adapter_version.h"
#include "kernels/mutex.h"

namespace chorus::engine {

struct LoadJob {
  uint64_t ticket = 0;
  AdapterRef adapter;
  std::vector<int32_t> cells;  // of the lease, in fill order; the loader's until it answers
};

struct LoadDone {
  uint64_t ticket = 0;
  absl::Status status;  // Cancelled after Cancel, unless the load was faster
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

// Every job is answered exactly once; until then its cells may be written.
class LoadQueue {
 public:
  virtual ~LoadQueue() = default;
  virtual void Start(LoadJob job) = 0;
  virtual void Cancel(uint64_t ticket) = 0;
  // Nothing is kept of this content for a later load.
  virtual void Forget(const std::string& tenant, const AdapterDigest& digest) = 0;
};

class AdapterLoader : public LoadQueue {
 public:
  // `target` outlives the loader.
  AdapterLoader(AdapterTarget* target, int num_threads, LoadAnswers answers);
  // Cancels what waits and joins.
  ~AdapterLoader() override;

  void Start(LoadJob job) override;
  void Cancel(uint64_t ticket) override;
  void Forget(const std::string& tenant, const AdapterDigest& digest) override {
    target_->Forget(tenant, digest);
  }

 private:
  struct Pending {
    LoadJob job;
    std::shared_ptr<std::atomic<bool>> cancelled;  // shared with Cancel while the job is read
  };

  void ThreadLoop();
  absl::Status Load(const Pending& pending) const;

  AdapterTarget* const target_;
  const LoadAnswers answers_;
  kernels::Mutex mutex_;
  kernels::CondVar changed_;
  std::deque<Pending> queue_ CHORUS_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, std::shared_ptr<std::atomic<bool>>> live_ CHORUS_GUARDED_BY(mutex_);
  bool stopping_ CHORUS_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_ADAPTER_LOADER_H_
