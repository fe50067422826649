#include "bench/reclaim/replay.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "bench/adapters/layout_adapter.h"
#include "engine/schedule/scheduler.h"
#include "kernels/check.h"

namespace chorus::bench {
namespace {

using engine::AdapterRef;
using kernels::kPageTokens;

constexpr int kInFlight = 24;  // requests at one time: some run, some wait

engine::ImageLayout LayoutOf(int64_t pages, const kernels::PoolView& view) {
  engine::ImageLayout layout;
  layout.modules.resize(static_cast<size_t>(view.num_slabs * kernels::kNumLoraModules));
  layout.modules[0].rank = 8;
  layout.num_ids = pages;
  layout.num_tiles = pages * view.num_slabs * kernels::TilesPerCell(view);
  return layout;
}

// Two loaders, each as fast as the workload says.
class ReplayLoads : public engine::LoadQueue {
 public:
  explicit ReplayLoads(const ReplayWorkload& workload) : workload_(workload) {}

  void Start(engine::LoadJob job) override { waiting_.push_back(std::move(job)); }
  void SetRank(uint64_t ticket, int64_t rank) override {
    for (engine::LoadJob& job : waiting_) job.rank = job.ticket == ticket ? rank : job.rank;
  }
  bool Withdraw(uint64_t ticket) override {
    return std::erase_if(waiting_, [&](const auto& job) { return job.ticket == ticket; }) > 0;
  }
  void Cancel(uint64_t) override {}  // a load that has begun is faster
  void Forget(const std::string&, const engine::AdapterDigest&) override {}

  // What has ended by `now`, and begins what is next.
  std::vector<engine::LoadDone> Advance(double now) {
    std::vector<engine::LoadDone> done;
    for (Loader& loader : loaders_) {
      if (loader.busy && loader.end <= now) {
        done.push_back({loader.ticket, absl::OkStatus(), absl::Seconds(loader.took)});
        seconds += loader.took;
        loader.busy = false;
      }
      if (loader.busy || waiting_.empty()) continue;
      const auto next =
          std::min_element(waiting_.begin(), waiting_.end(), [](const auto& a, const auto& b) {
            return std::pair(a.rank, a.ticket) < std::pair(b.rank, b.ticket);
          });
      const auto pages = static_cast<double>(next->adapter->layout().num_ids);
      loader.took = workload_.load_seconds + pages * workload_.load_page_seconds;
      loader.end = now + loader.took;
      loader.ticket = next->ticket;
      loader.busy = true;
      waiting_.erase(next);
    }
    return done;
  }
  double NextEnd() const {
    double end = std::numeric_limits<double>::infinity();
    for (const Loader& loader : loaders_) {
      if (loader.busy) end = std::min(end, loader.end);
    }
    return end;
  }

  double seconds = 0.0;

 private:
  struct Loader {
    bool busy = false;
    uint64_t ticket = 0;
    double end = 0.0;
    double took = 0.0;
  };
  const ReplayWorkload& workload_;
  std::vector<engine::LoadJob> waiting_;
  Loader loaders_[2];
};

// The stream of requests: the same for every order that is tried.
class Requests {
 public:
  Requests(const ReplayWorkload& workload, const kernels::PoolView& view) : workload_(workload) {
    double sum = 0.0;
    for (int i = 0; i < workload.num_adapters; ++i) {
      const std::vector<int64_t>& pages = workload.adapter_pages;
      adapters_.push_back(std::make_shared<LayoutAdapter>(
          "tenant", i, LayoutOf(pages[random_() % pages.size()], view)));
      system_pages_.push_back(Between(workload.system_pages));
      popularity_.push_back(sum += std::pow(i + 1, -workload.zipf));
    }
    std::shuffle(adapters_.begin(), adapters_.end(), random_);
    for (int i = 0; i < workload.sessions; ++i) active_.push_back(AnyAdapter());
  }

  engine::GenerateRequest Next() {
    engine::GenerateRequest request;
    request.request_id = absl::StrCat(count_++);
    request.tenant = "tenant";
    request.max_tokens = workload_.max_tokens;
    request.ignore_eos = true;
    size_t adapter = PickAdapter();
    if (!conversations_.empty() && Share() < workload_.continued) {
      const size_t which =
          conversations_.size() - 1 - random_() % std::min<size_t>(conversations_.size(), 200);
      adapter = conversations_[which].first;
      request.prompt = std::move(conversations_[which].second);
      conversations_.erase(conversations_.begin() + static_cast<ptrdiff_t>(which));
    } else {
      for (int i = 0; i < system_pages_[adapter] * kPageTokens; ++i) request.prompt.push_back(i);
    }
    const int more = Between(workload_.new_pages) * kPageTokens;
    for (int i = 0; i < more; ++i) request.prompt.push_back(next_token_++ & 0x3fffffff);
    const size_t most = 3000;
    if (request.prompt.size() > most) request.prompt.resize(most);
    if (workload_.continued > 0.0) conversations_.emplace_back(adapter, request.prompt);
    if (conversations_.size() > 1000) conversations_.pop_front();
    request.adapter = adapters_[adapter];
    return request;
  }

 private:
  int Between(std::pair<int, int> range) {
    return range.first +
           static_cast<int>(random_() % static_cast<uint64_t>(range.second - range.first + 1));
  }
  double Share() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  size_t AnyAdapter() { return random_() % adapters_.size(); }
  size_t PickAdapter() {
    if (active_.empty()) {
      const double at = Share() * popularity_.back();
      return static_cast<size_t>(std::lower_bound(popularity_.begin(), popularity_.end(), at) -
                                 popularity_.begin());
    }
    size_t& active = active_[random_() % active_.size()];
    const size_t adapter = active;
    if (random_() % 20 == 0) active = AnyAdapter();
    return adapter;
  }

  const ReplayWorkload& workload_;
  std::mt19937_64 random_{7};
  std::vector<AdapterRef> adapters_;
  std::vector<int> system_pages_;
  std::vector<double> popularity_;  // cumulated
  std::vector<size_t> active_;
  std::deque<std::pair<size_t, std::vector<int32_t>>> conversations_;
  int64_t count_ = 0;
  int32_t next_token_ = 1 << 20;
};

class Player {
 public:
  Player(const ReplayWorkload& workload, const engine::EngineOptions& options)
      : workload_(workload),
        view_{.base = nullptr,
              .num_ids = workload.pool_pages,
              .num_slabs = 1,
              .kv_heads = 1,
              .head_dim = 16},
        requests_(workload, view_),
        loads_(workload),
        scheduler_(options, {"base", {}, 4096, 1 << 30, {}}, view_, &loads_, &bell_) {}
  ~Player() {
    scheduler_.FailAll(absl::CancelledError("the replay ends"));
    for (; scheduler_.num_loading() > 0; now_ += 0.01) DeliverLoads();
  }

  ReplayResult Play() {
    while (submitted_ < workload_.num_requests || !live_.empty()) {
      while (submitted_ < workload_.num_requests && live_.size() < kInFlight) Submit();
      DeliverLoads();
      std::optional<engine::StepPlan> plan = scheduler_.PlanStep(Time());
      DeliverLoads();  // those that were just started begin
      if (plan.has_value()) {
        RunStep(*plan);
      } else {
        now_ = std::max(now_, std::min(loads_.NextEnd(), now_ + 0.05));
      }
      Listen();
    }
    Finish();
    return result_;
  }

 private:
  absl::Time Time() const { return absl::UnixEpoch() + absl::Seconds(now_); }
  bool counts() const { return submitted_ > workload_.num_requests / 5; }

  void DeliverLoads() {
    for (const engine::LoadDone& done : loads_.Advance(now_)) scheduler_.OnLoadDone(done, Time());
  }

  void Submit() {
    if (submitted_ == workload_.num_requests / 5) Begin();
    ++submitted_;
    std::unique_ptr<engine::Request> request = scheduler_.intake().MakeRequest(requests_.Next());
    int64_t seen = 0;  // tokens of its beginning that were computed before
    const auto& keys = request->prompt_keys;
    while (seen < static_cast<int64_t>(keys.size()) &&
           seen_.contains(keys[static_cast<size_t>(seen)])) {
      ++seen;
    }
    seen = std::min<int64_t>(seen,
                             (static_cast<int64_t>(request->spec.prompt.size()) - 1) / kPageTokens);
    seen_.insert(keys.begin(), keys.end());
    live_[request->spec.request_id] = {request->stream, seen * kPageTokens, counts()};
    scheduler_.Submit(std::move(request), Time());
  }

  void RunStep(const engine::StepPlan& plan) {
    const double seconds = std::max(workload_.step_seconds,
                                    workload_.row_seconds * static_cast<double>(plan.num_rows()));
    engine::StepResult result;
    result.tokens.resize(plan.samples.size(), kernels::SampledToken{.token = 1});
    now_ += seconds;
    scheduler_.CommitStep(result, absl::Seconds(seconds));
  }

  void Listen() {
    for (auto live = live_.begin(); live != live_.end();) {
      bool ended = false;
      for (const engine::StreamEvent& event : live->second.stream->Drain()) {
        if (event.kind == engine::StreamEvent::Kind::kAdmitted && live->second.counts) {
          seen_tokens_ += live->second.seen;
          cached_tokens_ += std::min<int64_t>(event.cached_tokens, live->second.seen);
        }
        ended |= event.kind == engine::StreamEvent::Kind::kFinished;
      }
      live = ended ? live_.erase(live) : std::next(live);
    }
  }

  engine::EngineStats Stats() const {
    engine::EngineStats stats;
    scheduler_.FillStats(&stats);
    return stats;
  }
  void Begin() {
    loads_before_ = Stats().adapter_loads;
    seconds_before_ = loads_.seconds;
    begin_ = now_;
  }
  void Finish() {
    result_.requests = workload_.num_requests - workload_.num_requests / 5;
    result_.loads = static_cast<int64_t>(Stats().adapter_loads - loads_before_);
    result_.load_seconds = loads_.seconds - seconds_before_;
    result_.adapter_hits =
        1.0 - static_cast<double>(result_.loads) / static_cast<double>(result_.requests);
    result_.prefix_hits =
        seen_tokens_ == 0 ? 1.0
                          : static_cast<double>(cached_tokens_) / static_cast<double>(seen_tokens_);
    result_.recompute_seconds =
        workload_.row_seconds * static_cast<double>(seen_tokens_ - cached_tokens_);
    result_.virtual_seconds = now_ - begin_;
  }

  struct Live {
    std::shared_ptr<engine::TokenStream> stream;
    int64_t seen = 0;
    bool counts = false;
  };

  const ReplayWorkload& workload_;
  const kernels::PoolView view_;
  Requests requests_;
  ReplayLoads loads_;
  engine::StreamBell bell_;
  engine::Scheduler scheduler_;
  std::map<std::string, Live> live_;
  absl::flat_hash_set<engine::PrefixKey> seen_;
  double now_ = 0.0;
  double begin_ = 0.0;
  double seconds_before_ = 0.0;
  uint64_t loads_before_ = 0;
  int submitted_ = 0;
  int64_t seen_tokens_ = 0;
  int64_t cached_tokens_ = 0;
  ReplayResult result_;
};

}  // namespace

std::vector<ReplayWorkload> ReplayWorkloads() {
  std::vector<ReplayWorkload> all;
  const ReplayWorkload gpu{.name = "GPU, 8B", .num_adapters = 2000};
  const ReplayWorkload cpu{.name = "CPU, 135M",
                           .adapter_pages = {2, 3, 6, 12},
                           .system_pages = {4, 16},
                           .new_pages = {2, 20},
                           .pool_pages = 3000,
                           .row_seconds = 1e-3,
                           .load_page_seconds = 4e-4};
  for (const ReplayWorkload& machine : {gpu, cpu}) {
    const auto add = [&](const std::string& what, ReplayWorkload workload) {
      workload.name = absl::StrCat(machine.name, ", ", what);
      all.push_back(std::move(workload));
    };
    for (const double zipf : {0.0, 1.0, 1.5}) {
      ReplayWorkload workload = machine;
      workload.zipf = zipf;
      add(zipf == 0.0 ? "uniform" : absl::StrCat("Zipf ", zipf), workload);
    }
    ReplayWorkload chat = machine;
    chat.continued = 0.6;
    add("conversations", chat);
    ReplayWorkload sessions = machine;
    sessions.sessions = 100;
    add("sessions", sessions);
    ReplayWorkload disk = machine;
    disk.load_seconds *= 10;
    disk.load_page_seconds *= 10;
    add("slow disk", disk);
  }
  return all;
}

ReplayResult Replay(const ReplayWorkload& workload, const engine::EngineOptions& options) {
  return Player(workload, options).Play();
}

}  // namespace chorus::bench
