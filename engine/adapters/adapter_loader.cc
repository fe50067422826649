#include "engine/adapters/adapter_loader.h"

#include <utility>

namespace chorus::engine {

namespace {

class JobObserver : public LoadObserver {
 public:
  JobObserver(uint64_t ticket, const std::atomic<bool>* cancelled, const LoadAnswers* answers)
      : ticket_(ticket), cancelled_(*cancelled), answers_(*answers) {}

  bool cancelled() const override { return cancelled_.load(); }
  void Arriving(std::shared_ptr<const LayerArrivals> arrivals) override {
    answers_.arriving({ticket_, std::move(arrivals)});
  }

 private:
  const uint64_t ticket_;
  const std::atomic<bool>& cancelled_;
  const LoadAnswers& answers_;
};

}  // namespace

AdapterLoader::AdapterLoader(AdapterTarget* target, int num_threads, LoadAnswers answers)
    : target_(target), answers_(std::move(answers)) {
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
    answers_.done(std::move(done));
  }
}

absl::Status AdapterLoader::Load(const Pending& pending) const {
  JobObserver observer(pending.job.ticket, pending.cancelled.get(), &answers_);
  if (observer.cancelled()) return absl::CancelledError("load cancelled");
  return target_->Load(*pending.job.adapter, pending.job.cells, &observer);
}

}  // namespace chorus::engine
