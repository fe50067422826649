#include "engine/adapters/adapter_loader.h"

#include <utility>

#include "kernels/status_macros.h"

namespace chorus::engine {

AdapterLoader::AdapterLoader(const kernels::PoolView& pool, int num_threads,
                             std::function<void(LoadDone)> done)
    : pool_(pool), done_(std::move(done)) {
  for (int i = 0; i < num_threads; ++i) threads_.emplace_back([this] { ThreadLoop(); });
}

AdapterLoader::~AdapterLoader() {
  {
    kernels::MutexLock lock(&mutex_);
    stopping_ = true;
    for (auto& [ticket, cancelled] : live_) cancelled->store(true);
  }
  changed_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

void AdapterLoader::Start(LoadJob job) {
  auto cancelled = std::make_shared<std::atomic<bool>>(false);
  {
    kernels::MutexLock lock(&mutex_);
    live_[job.ticket] = cancelled;
    queue_.push_back({std::move(job), std::move(cancelled)});
  }
  changed_.NotifyOne();
}

void AdapterLoader::Cancel(uint64_t ticket) {
  kernels::MutexLock lock(&mutex_);
  const auto found = live_.find(ticket);
  if (found != live_.end()) found->second->store(true);
}

void AdapterLoader::ThreadLoop() {
  while (true) {
    Pending pending;
    {
      kernels::MutexLock lock(&mutex_);
      while (queue_.empty() && !stopping_) changed_.Wait(&mutex_);
      if (queue_.empty()) return;
      pending = std::move(queue_.front());
      queue_.pop_front();
    }
    LoadDone done{pending.job.ticket, Load(pending)};
    {
      kernels::MutexLock lock(&mutex_);
      live_.erase(done.ticket);
    }
    done_(std::move(done));
  }
}

absl::Status AdapterLoader::Load(const Pending& pending) const {
  if (pending.cancelled->load()) return absl::CancelledError("load cancelled");
  CHORUS_ASSIGN_OR_RETURN(const std::unique_ptr<ImageReader> image,
                          pending.job.adapter->OpenImage());
  for (int layer = 0; layer < image->num_layers(); ++layer) {
    if (pending.cancelled->load()) return absl::CancelledError("load cancelled");
    CHORUS_RETURN_IF_ERROR(image->ReadLayer(layer, pending.job.cells, pool_));
  }
  return absl::OkStatus();
}

}  // namespace chorus::engine
