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

AdapterLoader::AdapterLoader(AdapterTarget* target, int num_threads, const Clock* clock,
                             LoadAnswers answers)
    : target_(target), clock_(clock), answers_(std::move(answers)) {
  for (int i = 0; i < num_threads; ++i) threads_.emplace_back([this] { ThreadLoop(); });
}

AdapterLoader::~AdapterLoader() {
  {
    kernels::MutexLock lock(&mutex_);
    stopping_ = true;
    for (auto& [ticket, live] : live_) live.cancelled->store(true);
  }
  changed_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

void AdapterLoader::Start(LoadJob job) {
  {
    kernels::MutexLock lock(&mutex_);
    live_[job.ticket] = {std::make_shared<std::atomic<bool>>(false), job.rank};
    const Order order(job.rank, job.ticket);
    queue_.emplace(order, std::move(job));
  }
  changed_.NotifyOne();
}

void AdapterLoader::SetRank(uint64_t ticket, int64_t rank) {
  kernels::MutexLock lock(&mutex_);
  const auto found = live_.find(ticket);
  if (found == live_.end()) return;
  auto queued = queue_.extract({found->second.rank, ticket});
  found->second.rank = rank;
  if (queued.empty()) return;  // begun
  queued.key().first = rank;
  queue_.insert(std::move(queued));
}

bool AdapterLoader::Withdraw(uint64_t ticket) {
  LoadJob withdrawn;  // goes when the mutex is free
  kernels::MutexLock lock(&mutex_);
  const auto found = live_.find(ticket);
  if (found == live_.end()) return false;
  const auto queued = queue_.find({found->second.rank, ticket});
  if (queued == queue_.end()) return false;
  withdrawn = std::move(queued->second);
  queue_.erase(queued);
  live_.erase(found);
  return true;
}

void AdapterLoader::Cancel(uint64_t ticket) {
  kernels::MutexLock lock(&mutex_);
  const auto found = live_.find(ticket);
  if (found != live_.end()) found->second.cancelled->store(true);
}

void AdapterLoader::ThreadLoop() {
  while (true) {
    LoadJob job;
    std::shared_ptr<const std::atomic<bool>> cancelled;
    {
      kernels::MutexLock lock(&mutex_);
      while (queue_.empty() && !stopping_) changed_.Wait(&mutex_);
      if (queue_.empty()) return;
      job = std::move(queue_.begin()->second);
      queue_.erase(queue_.begin());
      cancelled = live_.at(job.ticket).cancelled;
    }
    const absl::Time begin = clock_->Now();
    LoadDone done{job.ticket, Load(job, *cancelled), absl::ZeroDuration()};
    done.took = clock_->Now() - begin;
    {
      kernels::MutexLock lock(&mutex_);
      live_.erase(done.ticket);
    }
    answers_.done(std::move(done));
  }
}

absl::Status AdapterLoader::Load(const LoadJob& job, const std::atomic<bool>& cancelled) const {
  JobObserver observer(job.ticket, &cancelled, &answers_);
  if (observer.cancelled()) return absl::CancelledError("load cancelled");
  return target_->Load(*job.adapter, job.cells, &observer);
}

}  // namespace chorus::engine
