// What the scheduler takes to plan and commit a step of 64 decodes, in µs of processor time, by
// what waits, what is resident and why nobody is admitted. The runner is replaced by one constant
// token.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "engine/schedule/scheduler.h"
#include "kernels/check.h"

namespace chorus::engine {
namespace {

constexpr int kRunning = 64;
constexpr int kSteps = 400;

class Adapter : public AdapterVersion {
 public:
  Adapter(const std::string& name, const kernels::PoolView& view)
      : AdapterVersion("default", name, 1, DigestOf(name), LayoutOf(view)) {}

  absl::StatusOr<std::unique_ptr<ImageReader>> OpenImage() const override {
    return absl::UnimplementedError("nothing is loaded here");
  }

 private:
  static AdapterDigest DigestOf(const std::string& name) {
    AdapterDigest digest;
    std::copy_n(name.begin(), std::min<size_t>(name.size(), 32), digest.bytes.begin());
    return digest;
  }
  static ImageLayout LayoutOf(const kernels::PoolView& view) {
    ImageLayout layout;
    layout.modules.resize(static_cast<size_t>(view.num_slabs * kernels::kNumLoraModules));
    layout.modules[0].rank = 8;
    layout.num_ids = 2;
    layout.num_tiles = 2 * view.num_slabs * kernels::TilesPerCell(view);
    return layout;
  }
};

class Loads : public LoadQueue {
 public:
  void Start(LoadJob job) override { tickets.push_back(job.ticket); }
  void Cancel(uint64_t) override {}
  void Forget(const std::string&, const AdapterDigest&) override {}

  std::vector<uint64_t> tickets;
};

struct Case {
  const char* name;
  int waiting;
  int residents;
  int tenants;
  int running = kRunning;
  bool for_pages = false;  // what waits would need almost the whole pool
  AdmissionMode admission = AdmissionMode::kExpected;
};

double Microseconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e6 * static_cast<double>(now.tv_sec) + 1e-3 * static_cast<double>(now.tv_nsec);
}

class Rig {
 public:
  explicit Rig(const Case& of)
      : case_(of),
        view_{.base = nullptr,
              .num_ids = 2 * of.residents + kRunning * (kPrompt + 2 * kSteps) / 16 + 1000,
              .num_slabs = 2,
              .kv_heads = 1,
              .head_dim = 8},
        scheduler_(OptionsOf(of), {"base", {}, 1 << 20, 32000, {}}, view_, &loads_, &bell_) {
    for (int i = 0; i < of.residents; ++i) {
      adapters_.push_back(std::make_shared<Adapter>("adapter" + std::to_string(i), view_));
    }
  }
  ~Rig() {
    scheduler_.FailAll(absl::CancelledError("the end"));
    Answer();
  }

  // The median of a step.
  double Measure() {
    for (const AdapterRef& adapter : adapters_) Submit(adapter, kPrompt, 1);
    // Answers as long as those to come, so that admission expects something of these.
    for (int tokens : {100, 2 * kSteps}) {
      for (int i = 0; i < 40; ++i) Submit(nullptr, kPrompt, tokens);
    }
    while (!scheduler_.idle()) Step();
    for (int i = 0; i < case_.running; ++i) Submit(AnyAdapter(i), kPrompt, 2 * kSteps);
    for (int i = 0; i < 40; ++i) Step();
    const int prompt = case_.for_pages ? static_cast<int>(16 * (view_.num_ids - 50)) : kPrompt;
    for (int i = 0; i < case_.waiting; ++i) Submit(AnyAdapter(7 * i), prompt, 100);
    std::vector<double> times;
    for (int i = 0; i < kSteps; ++i) times.push_back(Step());
    std::nth_element(times.begin(), times.begin() + kSteps / 2, times.end());
    return times[kSteps / 2];
  }

 private:
  static constexpr int kPrompt = 64;

  static EngineOptions OptionsOf(const Case& of) {
    EngineOptions options;
    options.max_running = kRunning;
    options.max_waiting = 1 << 20;
    options.pin_budget = 0.0;
    options.admission_watermark = 0.0;
    options.admission = of.admission;
    return options;
  }
  AdapterRef AnyAdapter(int i) const {
    return adapters_.empty() ? nullptr : adapters_[static_cast<size_t>(i) % adapters_.size()];
  }

  void Submit(AdapterRef adapter, int prompt, int max_tokens) {
    GenerateRequest request;
    request.request_id = std::to_string(submitted_);
    request.tenant = "tenant" + std::to_string(submitted_ % case_.tenants);
    request.adapter = std::move(adapter);
    for (int i = 0; i < prompt; ++i) request.prompt.push_back((submitted_ * 31 + i) % 32000);
    ++submitted_;
    request.max_tokens = max_tokens;
    request.ignore_eos = true;
    CHORUS_CHECK(scheduler_.intake().Validate(request).ok());
    std::unique_ptr<Request> made = scheduler_.intake().MakeRequest(std::move(request));
    streams_.push_back(made->stream);
    scheduler_.Submit(std::move(made), now_);
  }

  double Step() {
    const double begin = Microseconds();
    const std::optional<StepPlan> plan = scheduler_.PlanStep(now_);
    double used = Microseconds() - begin;
    now_ += absl::Milliseconds(10);
    if (plan.has_value()) {
      StepResult result;
      result.tokens.assign(plan->samples.size(), {5});
      const double commit = Microseconds();
      scheduler_.CommitStep(result, absl::Milliseconds(10));
      used += Microseconds() - commit;
    }
    Answer();
    bell_.Ring();
    return used;
  }
  void Answer() {
    for (uint64_t ticket : std::exchange(loads_.tickets, {})) {
      scheduler_.OnLoadDone({ticket, absl::OkStatus()}, now_);
    }
  }

  const Case case_;
  const kernels::PoolView view_;
  Loads loads_;
  StreamBell bell_;
  Scheduler scheduler_;
  std::vector<AdapterRef> adapters_;
  std::vector<std::shared_ptr<TokenStream>> streams_;
  int submitted_ = 0;
  absl::Time now_ = absl::UnixEpoch();
};

int Run() {
  const Case cases[] = {
      {"nobody waits", 0, 0, 1},
      {"4,096 wait for rows", 4096, 0, 1},
      {"4,096 of 100 tenants wait for rows", 4096, 0, 100},
      {"the same, 2,000 adapters resident", 4096, 2000, 100},
      {"128 of 100 tenants wait for pages", 128, 0, 100, 48, true},
      {"the same, 2,000 adapters resident", 128, 2000, 100, 48, true},
      {"the same, optimistic", 128, 2000, 100, 48, true, AdmissionMode::kOptimistic},
      {"the same, conservative", 128, 2000, 100, 48, true, AdmissionMode::kConservative},
  };
  std::printf("%-40s %12s\n", "64 running (48 where pages are short)", "µs a step");
  for (const Case& of : cases) std::printf("%-40s %12.1f\n", of.name, Rig(of).Measure());
  return 0;
}

}  // namespace
}  // namespace chorus::engine

int main() { return chorus::engine::Run(); }
