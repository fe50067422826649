// A Scheduler without threads or a model: loads end when the test says so, and every step is run by
// a Runner (FakeRunner), or not at all.
#ifndef CHORUS_TESTS_ENGINE_SCHEDULE_SCHEDULER_HARNESS_H_
#define CHORUS_TESTS_ENGINE_SCHEDULE_SCHEDULER_HARNESS_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/schedule/scheduler.h"
#include "tests/engine/schedule/manual_loads.h"
#include "tests/support/fake_runner.h"

namespace chorus::engine {

// An adapter that is nothing but a digest, a rank, a number of pages and perhaps an invocation.
class FakeAdapter : public AdapterVersion {
 public:
  FakeAdapter(std::string tenant, std::string name, int64_t pages, int32_t rank,
              const kernels::PoolView& view, std::vector<int32_t> invocation)
      : AdapterVersion(std::move(tenant), name, 1, DigestOf(name),
                       LayoutOf(name, pages, rank, view), std::move(invocation)) {}

  absl::StatusOr<std::unique_ptr<ImageReader>> OpenImage() const override {
    return absl::UnimplementedError("a fake adapter has no image");
  }

 private:
  static AdapterDigest DigestOf(const std::string& name) {
    AdapterDigest digest;
    for (size_t i = 0; i < name.size(); ++i) {
      digest.bytes[i % 32] = static_cast<uint8_t>(digest.bytes[i % 32] * 31 + name[i]);
    }
    return digest;
  }
  static ImageLayout LayoutOf(const std::string& name, int64_t pages, int32_t rank,
                              const kernels::PoolView& view) {
    ImageLayout layout;
    layout.modules.resize(static_cast<size_t>(view.num_slabs * kernels::kNumLoraModules));
    layout.modules[0].rank = rank;
    layout.modules[0].scale = static_cast<float>(std::hash<std::string>()(name) % 65536);
    layout.num_ids = pages;
    layout.num_tiles = pages * view.num_slabs * kernels::TilesPerCell(view);
    return layout;
  }
};

// What a reader saw of one choice.
struct Heard {
  std::vector<int32_t> tokens;
  std::vector<StreamEvent> finished;
};

class SchedulerHarness {
 public:
  SchedulerHarness(const EngineOptions& options, int64_t pages, const RunnerLimits& limits = {})
      : view_{.base = nullptr, .num_ids = pages, .num_slabs = 2, .kv_heads = 1, .head_dim = 8},
        runner_(view_, limits),
        scheduler_(options, {"base", {FakeRunner::kEos}, 4096, FakeRunner::kVocabulary, limits},
                   view_, &loads_, &bell_) {}
  ~SchedulerHarness() {
    scheduler_.FailAll(absl::CancelledError("the test ends"));
    while (!loads_.under_way.empty()) EndLoad();
  }

  AdapterRef Adapter(const std::string& name, int64_t pages, int32_t rank = 8,
                     std::vector<int32_t> invocation = {}) {
    return std::make_shared<FakeAdapter>("tenant", name, pages, rank, view_, std::move(invocation));
  }

  // Validates and submits; the request's id is the name that Hear takes.
  absl::Status Submit(GenerateRequest request) {
    if (absl::Status status = scheduler_.intake().Validate(request); !status.ok()) return status;
    const std::string id = request.request_id;
    std::unique_ptr<Request> made = scheduler_.intake().MakeRequest(std::move(request));
    streams_[id] = {made->stream, made->spec.num_choices};
    scheduler_.Submit(std::move(made), now_);
    return absl::OkStatus();
  }

  absl::Duration step_time = absl::Milliseconds(1);

  // Plans and runs one step; false when nothing could run.
  bool Step() {
    return Step([this](const StepPlan&) { return step_time; });
  }
  bool Step(const std::function<absl::Duration(const StepPlan&)>& time_of) {
    std::optional<StepPlan> plan = scheduler_.PlanStep(now_);
    if (!plan.has_value()) return false;
    const absl::Duration took = time_of(*plan);
    const absl::StatusOr<StepResult> result = runner_.Run(*plan);
    CHORUS_CHECK(result.ok());
    last_plan_ = *std::move(plan);
    scheduler_.CommitStep(*result, took);
    now_ += took;
    Listen();
    return true;
  }

  // Answers the oldest load: OK, Cancelled when it was cancelled, or `status`.
  void EndLoad(absl::Status status = absl::OkStatus()) {
    LoadJob job = std::move(loads_.under_way.front());
    loads_.under_way.pop_front();
    for (uint64_t ticket : loads_.cancelled) {
      if (ticket == job.ticket) status = absl::CancelledError("load cancelled");
    }
    scheduler_.OnLoadDone({job.ticket, std::move(status)}, now_);
    Listen();
  }

  // The oldest load has nothing but copies left. What it reports of them follows.
  std::shared_ptr<LayerArrivals> ArriveLoad(const ArrivalProgress& progress) {
    auto arrivals = std::make_shared<LayerArrivals>(LayerArrivals::Events());
    arrivals->SetProgress(progress);
    scheduler_.OnLoadArriving({loads_.under_way.front().ticket, arrivals});
    return arrivals;
  }

  // Steps and loads until nothing moves any more.
  void RunToEnd() {
    while (Step() || !loads_.under_way.empty()) {
      if (!loads_.under_way.empty()) EndLoad();
    }
  }

  void Listen() {
    for (auto it = streams_.begin(); it != streams_.end();) {
      auto& [id, open] = *it;
      for (StreamEvent& event : open.stream->Drain()) {
        Heard& heard = heard_[{id, event.choice}];
        if (event.kind == StreamEvent::Kind::kToken) heard.tokens.push_back(event.token.token);
        if (event.kind == StreamEvent::Kind::kAdmitted) admitted_[id] = event;
        if (event.kind != StreamEvent::Kind::kFinished) continue;
        heard.finished.push_back(event);
        --open.choices;
      }
      it = open.choices == 0 ? streams_.erase(it) : std::next(it);
    }
  }

  const Heard& Hear(const std::string& id, int32_t choice = 0) { return heard_[{id, choice}]; }
  bool Ended(const std::string& id, int32_t choice = 0) {
    return !heard_[{id, choice}].finished.empty();
  }
  const StreamEvent& Admission(const std::string& id) { return admitted_.at(id); }
  bool Admitted(const std::string& id) const { return admitted_.contains(id); }

  EngineStats Stats() const {
    EngineStats stats;
    scheduler_.FillStats(&stats);
    return stats;
  }

  const kernels::PoolView& view() const { return view_; }
  Scheduler& scheduler() { return scheduler_; }
  ManualLoads& loads() { return loads_; }
  const FakeRunner& runner() const { return runner_; }
  const StepPlan& last_plan() const { return last_plan_; }
  absl::Time& now() { return now_; }

 private:
  const kernels::PoolView view_;
  ManualLoads loads_;
  StreamBell bell_;
  FakeRunner runner_;
  Scheduler scheduler_;
  absl::Time now_ = absl::UnixEpoch();
  StepPlan last_plan_;
  struct Open {
    std::shared_ptr<TokenStream> stream;
    int32_t choices = 0;  // that have not ended
  };
  std::map<std::string, Open> streams_;
  std::map<std::pair<std::string, int32_t>, Heard> heard_;
  std::map<std::string, StreamEvent> admitted_;
};

// A request for `max_tokens` after a prompt of `prompt` tokens that start with `first`.
inline GenerateRequest MakeRequest(const std::string& id, int prompt, int max_tokens,
                                   AdapterRef adapter = nullptr, int32_t first = 1) {
  GenerateRequest request;
  request.request_id = id;
  request.tenant = "tenant";
  request.adapter = std::move(adapter);
  for (int i = 0; i < prompt; ++i) request.prompt.push_back((first + i) % 97);
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

}  // namespace chorus::engine

#endif  // CHORUS_TESTS_ENGINE_SCHEDULE_SCHEDULER_HARNESS_H_
