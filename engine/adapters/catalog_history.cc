#include "engine/adapters/catalog_history.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/refusal.h"

namespace chorus::engine {
namespace {

using kernels::MutexLock;

absl::Status Behind(std::string expected, uint64_t revision) {
  return MakeRefusal(absl::StatusCode::kOutOfRange, {Reason::kWatcherBehind, "catalog watch",
                                                     std::move(expected), absl::StrCat(revision)});
}

bool Sees(const std::string& tenant, const CatalogEvent& event) {
  return event.adapter.tenant == tenant || event.adapter.tenant == kSharedTenant;
}

}  // namespace

// One watcher's queue.
class CatalogHistory::Watcher {
 public:
  Watcher(std::string tenant, size_t max_queued, uint64_t since, std::deque<CatalogEvent> backlog)
      : tenant_(std::move(tenant)),
        max_queued_(max_queued + backlog.size()),
        queue_(std::move(backlog)),
        delivered_(since) {}

  void Push(const CatalogEvent& event) {
    if (!Sees(tenant_, event)) return;
    {
      MutexLock lock(&mutex_);
      if (cut_) return;
      if (queue_.size() >= max_queued_) {
        cut_ = true;
        queue_.clear();
      } else {
        queue_.push_back(event);
      }
    }
    Announce();
  }

  void Close() {
    {
      MutexLock lock(&mutex_);
      closed_ = true;
    }
    Announce();
  }

  void OnNews(std::function<void()> on_news) {
    MutexLock lock(&mutex_);
    on_news_ = std::move(on_news);
  }

  absl::StatusOr<std::optional<CatalogEvent>> Next(absl::Duration timeout) {
    using Steady = std::chrono::steady_clock;
    constexpr absl::Duration kLongest = absl::Hours(24);
    const Steady::time_point deadline =
        Steady::now() +
        absl::ToChronoNanoseconds(std::clamp(timeout, absl::ZeroDuration(), kLongest));
    MutexLock lock(&mutex_);
    while (queue_.empty()) {
      if (cut_) return Behind("a watcher that keeps up; the last revision delivered", delivered_);
      if (closed_) return absl::UnavailableError("catalog watch: the catalog is closed");
      const Steady::duration left = deadline - Steady::now();
      if (left <= Steady::duration::zero()) return std::optional<CatalogEvent>();
      changed_.WaitFor(&mutex_, std::chrono::duration_cast<std::chrono::nanoseconds>(left));
    }
    std::optional<CatalogEvent> event = std::move(queue_.front());
    queue_.pop_front();
    delivered_ = event->revision;
    return event;
  }

 private:
  void Announce() {
    changed_.NotifyAll();
    std::function<void()> on_news;
    {
      MutexLock lock(&mutex_);
      on_news = on_news_;
    }
    if (on_news) on_news();
  }

  const std::string tenant_;
  const size_t max_queued_;
  kernels::Mutex mutex_;
  kernels::CondVar changed_;
  std::deque<CatalogEvent> queue_ CHORUS_GUARDED_BY(mutex_);
  uint64_t delivered_ CHORUS_GUARDED_BY(mutex_);
  std::function<void()> on_news_ CHORUS_GUARDED_BY(mutex_);
  bool cut_ CHORUS_GUARDED_BY(mutex_) = false;
  bool closed_ CHORUS_GUARDED_BY(mutex_) = false;
};

namespace {

template <class Watcher>
class WatchHandle : public CatalogWatch {
 public:
  explicit WatchHandle(std::shared_ptr<Watcher> watcher) : watcher_(std::move(watcher)) {}
  absl::StatusOr<std::optional<CatalogEvent>> Next(absl::Duration timeout) override {
    return watcher_->Next(timeout);
  }
  void OnNews(std::function<void()> on_news) override { watcher_->OnNews(std::move(on_news)); }

 private:
  const std::shared_ptr<Watcher> watcher_;
};

}  // namespace

CatalogHistory::~CatalogHistory() {
  MutexLock lock(&mutex_);
  for (const std::weak_ptr<Watcher>& weak : watchers_) {
    if (const std::shared_ptr<Watcher> watcher = weak.lock()) watcher->Close();
  }
}

uint64_t CatalogHistory::revision() const {
  MutexLock lock(&mutex_);
  return revision_;
}

void CatalogHistory::Publish(CatalogEvent::Kind kind, const AdapterInfo& adapter) {
  MutexLock lock(&mutex_);
  events_.push_back({++revision_, kind, adapter});
  for (const std::weak_ptr<Watcher>& weak : watchers_) {
    if (const std::shared_ptr<Watcher> watcher = weak.lock()) watcher->Push(events_.back());
  }
  std::erase_if(watchers_, [](const auto& weak) { return weak.expired(); });
  while (events_.size() > max_events_) {
    forgotten_ = events_.front().revision;
    events_.pop_front();
  }
}

absl::StatusOr<std::unique_ptr<CatalogWatch>> CatalogHistory::Watch(
    const std::string& tenant, uint64_t since_revision, std::vector<AdapterInfo> snapshot) {
  MutexLock lock(&mutex_);
  std::deque<CatalogEvent> backlog;
  if (since_revision == 0) {
    for (AdapterInfo& info : snapshot) {
      backlog.push_back({0, CatalogEvent::Kind::kPut, std::move(info)});
    }
    backlog.push_back({revision_, CatalogEvent::Kind::kSnapshotEnd, AdapterInfo()});
  } else {
    if (since_revision < forgotten_ || since_revision > revision_) {
      return Behind(absl::StrCat("a revision from ", forgotten_, " to ", revision_),
                    since_revision);
    }
    for (const CatalogEvent& event : events_) {
      if (event.revision > since_revision && Sees(tenant, event)) backlog.push_back(event);
    }
  }
  std::erase_if(watchers_, [](const auto& weak) { return weak.expired(); });
  auto watcher = std::make_shared<Watcher>(tenant, max_queued_, since_revision, std::move(backlog));
  watchers_.push_back(watcher);
  return std::make_unique<WatchHandle<Watcher>>(std::move(watcher));
}

}  // namespace chorus::engine
