#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "engine/adapters/adapter_loader.h"
#include "engine/adapters/residency_board.h"
#include "engine/refusal.h"
#include "engine/schedule/scheduler.h"
#include "kernels/check.h"
#include "kernels/mutex.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

// How long the engine thread sleeps at most while requests wait for something it cannot run.
constexpr absl::Duration kIdleWait = absl::Milliseconds(20);
// How old a snapshot of the statistics may get while steps run.
constexpr absl::Duration kStatsPeriod = absl::Milliseconds(50);

// What is kept for a reader of TakeLoadSeconds who may never come.
constexpr int64_t kMaxLoadSeconds = 4096;
// A hint: a full queue empties at the pace of answers.
constexpr int64_t kRetryWhenFull = 1000;

absl::Status DeviceLost() {
  return MakeRefusal(absl::StatusCode::kUnavailable,
                     {Reason::kEngineFailed, "engine", "", "the device is lost"});
}

absl::Status ShuttingDown() {
  return MakeRefusal(absl::StatusCode::kUnavailable,
                     {Reason::kDraining, "server", "one that goes on", "one that ends"});
}

absl::Status ValidateOptions(const EngineOptions& options, const Engine::Model& model) {
  const auto positive = [](const char* name, int64_t value) {
    return value >= 1 ? absl::OkStatus()
                      : absl::InvalidArgumentError(absl::StrCat(name, ": at least 1, got ", value));
  };
  CHORUS_RETURN_IF_ERROR(positive("max_running", options.max_running));
  CHORUS_RETURN_IF_ERROR(positive("max_step_tokens", options.max_step_tokens));
  CHORUS_RETURN_IF_ERROR(positive("max_prefill_chunk", options.max_prefill_chunk));
  CHORUS_RETURN_IF_ERROR(positive("max_step_adapters", options.max_step_adapters));
  CHORUS_RETURN_IF_ERROR(positive("max_loads", options.max_loads));
  CHORUS_RETURN_IF_ERROR(positive("loader_threads", options.loader_threads));
  CHORUS_RETURN_IF_ERROR(positive("pool pages", model.pool.num_ids));
  if (options.max_running > options.max_step_tokens) {
    return absl::InvalidArgumentError(absl::StrCat(
        "max_step_tokens: at least max_running (", options.max_running,
        "), so that every sequence can decode in every step, got ", options.max_step_tokens));
  }
  if (options.max_step_rank_sum < kernels::kMaxLoraRank) {
    return absl::InvalidArgumentError(absl::StrCat("max_step_rank_sum: at least ",
                                                   kernels::kMaxLoraRank, ", got ",
                                                   options.max_step_rank_sum));
  }
  CHORUS_RETURN_IF_ERROR(positive("max_load_bytes", options.max_load_bytes));
  for (const auto& [tenant, weight] : options.tenant_weights) {
    if (!(weight > 0.0 && std::isfinite(weight))) {
      return absl::InvalidArgumentError(
          absl::StrCat("tenant_weights: ", Quoted(tenant), ": a weight above 0, got ", weight));
    }
  }
  if (!(options.adapter_page_price >= 0.0 && std::isfinite(options.adapter_page_price))) {
    return absl::InvalidArgumentError(
        absl::StrCat("adapter_page_price: at least 0, got ", options.adapter_page_price));
  }
  for (const auto& [name, share] : {std::pair("pin_budget", options.pin_budget),
                                    std::pair("admission_watermark", options.admission_watermark),
                                    std::pair("adapter_pool_share", options.adapter_pool_share)}) {
    if (!(share >= 0.0 && share < 1.0)) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": at least 0 and below 1, got ", share));
    }
  }
  if (options.adapter_pool_share > 0.0 && options.adapter_pool_share < options.pin_budget) {
    return absl::InvalidArgumentError(
        absl::StrCat("adapter_pool_share: 0, or at least pin_budget (", options.pin_budget,
                     "), got ", options.adapter_pool_share));
  }
  return absl::OkStatus();
}

// What a caller or a loader wants of the scheduler, done on the engine thread.
using Message = absl::AnyInvocable<void(Scheduler&, absl::Time now)>;

}  // namespace

struct Engine::Impl {
  Impl(const EngineOptions& engine_options, Model engine_model,
       std::shared_ptr<StreamBell> stream_bell, const Clock* engine_clock)
      : options(engine_options),
        model(std::move(engine_model)),
        bell(std::move(stream_bell)),
        clock(engine_clock),
        loader(std::make_unique<AdapterLoader>(
            model.adapters.get(), options.loader_threads, clock,
            LoadAnswers{.done =
                            [this](LoadDone done) {
                              Post([this, done = std::move(done)](Scheduler&, absl::Time now) {
                                OnLoadDone(done, now);
                              });
                            },
                        .arriving =
                            [this](LoadArriving arriving) {
                              Post([arriving = std::move(arriving)](Scheduler& s, absl::Time) {
                                s.OnLoadArriving(arriving);
                              });
                            }})),
        scheduler(options,
                  {model.base_digest, model.eos_token_ids, model.max_positions, model.vocabulary,
                   model.limits},
                  model.pool, loader.get(), bell.get()) {
    scheduler.OnEnded([this](const std::string& id) {
      kernels::MutexLock lock(&mutex);
      live.erase(id);
    });
  }

  void Post(Message message) {
    {
      kernels::MutexLock lock(&mutex);
      inbox.push_back(std::move(message));
    }
    changed.NotifyOne();
  }

  // Whatever is pinned, others must find room to load and run.
  int64_t MaxPins() const {
    return model.limits.max_adapters - options.max_running - options.max_loads;
  }

  void Loop();
  void WaitForWork(bool ran);
  void Deliver(std::vector<Message> messages);
  void OnLoadDone(const LoadDone& done, absl::Time now);
  bool RunStep();
  void Fail(const absl::Status& status);
  void TakeSnapshot(absl::Time now);
  void Stop();

  const EngineOptions options;
  Model model;
  const std::shared_ptr<StreamBell> bell;  // shared with the readers' threads
  const Clock* const clock;

  kernels::Mutex mutex;
  kernels::CondVar changed;
  std::vector<Message> inbox CHORUS_GUARDED_BY(mutex);
  absl::flat_hash_set<std::string> live CHORUS_GUARDED_BY(mutex);            // request ids
  absl::flat_hash_map<AdapterKey, int64_t> pinned CHORUS_GUARDED_BY(mutex);  // pages
  bool draining CHORUS_GUARDED_BY(mutex) = false;
  bool stopping CHORUS_GUARDED_BY(mutex) = false;
  EngineStats snapshot CHORUS_GUARDED_BY(mutex);
  std::vector<double> load_seconds CHORUS_GUARDED_BY(mutex);
  ResidencyBoard board;
  std::atomic<bool> failed{false};

  // Engine thread only, but for Scheduler::intake.
  std::unique_ptr<AdapterLoader> loader;
  Scheduler scheduler;
  double step_seconds = 0.0;
  std::string failure;
  absl::Time snapshot_time = absl::InfinitePast();
  std::thread thread;
};

absl::StatusOr<std::unique_ptr<Engine>> Engine::Start(const EngineOptions& options, Model model,
                                                      std::shared_ptr<StreamBell> bell,
                                                      const Clock* clock) {
  CHORUS_RETURN_IF_ERROR(ValidateOptions(options, model));
  std::sort(model.eos_token_ids.begin(), model.eos_token_ids.end());
  auto impl = std::make_unique<Impl>(options, std::move(model), std::move(bell), clock);
  impl->TakeSnapshot(clock->Now());
  impl->thread = std::thread([impl = impl.get()] { impl->Loop(); });
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Engine::~Engine() {
  {
    kernels::MutexLock lock(&impl_->mutex);
    impl_->stopping = true;
  }
  impl_->changed.NotifyOne();
  impl_->thread.join();
}

absl::StatusOr<std::shared_ptr<TokenStream>> Engine::Submit(GenerateRequest spec) {
  CHORUS_RETURN_IF_ERROR(impl_->scheduler.intake().Validate(spec));
  std::unique_ptr<Request> request = impl_->scheduler.intake().MakeRequest(std::move(spec));
  std::shared_ptr<TokenStream> stream = request->stream;
  {
    kernels::MutexLock lock(&impl_->mutex);
    if (impl_->failed) return DeviceLost();
    if (impl_->draining || impl_->stopping) {
      return MakeRefusal(absl::StatusCode::kUnavailable,
                         {Reason::kDraining, "server", "one that is not draining", ""});
    }
    const int64_t limit = int64_t{impl_->options.max_waiting} + impl_->options.max_running;
    if (static_cast<int64_t>(impl_->live.size()) >= limit) {
      return MakeRefusal(
          absl::StatusCode::kResourceExhausted,
          {Reason::kQueueFull, "queue", absl::StrCat("fewer than ", limit, " requests"),
           absl::StrCat(impl_->live.size()), kRetryWhenFull});
    }
    if (!impl_->live.insert(request->spec.request_id).second) {
      return MakeRefusal(absl::StatusCode::kAlreadyExists,
                         {Reason::kRequestIdInUse, "request_id", "one that no live request has",
                          Quoted(request->spec.request_id)});
    }
    impl_->inbox.push_back([request = std::move(request)](Scheduler& s, absl::Time now) mutable {
      s.Submit(std::move(request), now);
    });
  }
  impl_->changed.NotifyOne();
  return stream;
}

void Engine::Cancel(const std::string& request_id, int32_t choice, FinishReason reason) {
  impl_->Post([=](Scheduler& s, absl::Time) { s.Cancel(request_id, choice, reason); });
}

absl::Status Engine::Pin(const AdapterRef& adapter, bool pinned) {
  if (pinned) CHORUS_RETURN_IF_ERROR(impl_->scheduler.intake().CheckAdapter(*adapter));
  {
    kernels::MutexLock lock(&impl_->mutex);
    const AdapterKey key = Residency::KeyOf(*adapter);
    if (!pinned) {
      impl_->pinned.erase(key);
    } else if (!impl_->pinned.contains(key)) {
      const int64_t pages = adapter->layout().num_ids;
      const int64_t budget = static_cast<int64_t>(impl_->options.pin_budget *
                                                  static_cast<double>(impl_->model.pool.num_ids));
      const auto pins = static_cast<int64_t>(impl_->pinned.size());
      if (const int64_t most = impl_->MaxPins(); pins >= most) {
        return MakeRefusal(
            absl::StatusCode::kResourceExhausted,
            {Reason::kPinBudget, absl::StrCat("pin of adapter ", Quoted(adapter->name())),
             absl::StrCat("at most ", most, " pinned adapters"), absl::StrCat(pins + 1)});
      }
      int64_t used = 0;
      for (const auto& [other, held] : impl_->pinned) used += held;
      if (used + pages > budget) {
        return MakeRefusal(
            absl::StatusCode::kResourceExhausted,
            {Reason::kPinBudget, absl::StrCat("pin of adapter ", Quoted(adapter->name())),
             absl::StrCat("at most ", budget - used,
                          " pages, which are left of the pin "
                          "budget's ",
                          budget),
             absl::StrCat(pages)});
      }
      impl_->pinned[key] = pages;
    }
  }
  impl_->Post([=](Scheduler& s, absl::Time) {
    CHORUS_CHECK(s.Pin(adapter, pinned).ok());  // the budget was kept above
  });
  return absl::OkStatus();
}

void Engine::Forget(const std::string& tenant, const AdapterDigest& digest) {
  const AdapterKey key(tenant, digest);
  {
    kernels::MutexLock lock(&impl_->mutex);
    impl_->pinned.erase(key);
  }
  impl_->Post([=](Scheduler& s, absl::Time) { s.Forget(key); });
}

void Engine::Drain() {
  kernels::MutexLock lock(&impl_->mutex);
  impl_->draining = true;
}

bool Engine::Drained() const {
  kernels::MutexLock lock(&impl_->mutex);
  return impl_->draining && impl_->live.empty();
}

EngineStats Engine::stats() const {
  kernels::MutexLock lock(&impl_->mutex);
  return impl_->snapshot;
}

std::vector<AdapterResidency> Engine::adapters() const { return impl_->board.All(); }

ResidencyState Engine::StateOf(const std::string& tenant, const AdapterDigest& digest) const {
  return impl_->board.StateOf(tenant, digest);
}

std::vector<double> Engine::TakeLoadSeconds() {
  kernels::MutexLock lock(&impl_->mutex);
  return std::exchange(impl_->load_seconds, {});
}

void Engine::Impl::Loop() {
  bool ran = false;
  while (true) {
    WaitForWork(ran);
    std::vector<Message> messages;
    {
      kernels::MutexLock lock(&mutex);
      if (stopping) break;
      messages = std::exchange(inbox, {});
    }
    Deliver(std::move(messages));
    ran = !failed && RunStep();
    bell->Ring();
    const absl::Time now = clock->Now();
    if (!ran || now - snapshot_time >= kStatsPeriod) TakeSnapshot(now);
  }
  Stop();
}

// After a step that ran there may be another; otherwise something must happen first.
void Engine::Impl::WaitForWork(bool ran) {
  if (ran) return;
  kernels::MutexLock lock(&mutex);
  while (inbox.empty() && !stopping) {
    if (live.empty()) {
      changed.Wait(&mutex);
    } else if (!changed.WaitFor(&mutex, absl::ToChronoNanoseconds(kIdleWait))) {
      return;
    }
  }
}

void Engine::Impl::Deliver(std::vector<Message> messages) {
  const absl::Time now = clock->Now();
  for (Message& message : messages) message(scheduler, now);
  if (failed) scheduler.FailAll(DeviceLost());
}

void Engine::Impl::OnLoadDone(const LoadDone& done, absl::Time now) {
  scheduler.OnLoadDone(done, now);
  if (failed || done.status.ok() || absl::IsCancelled(done.status)) return;
  if (const absl::Status device = model.runner->Check(); !device.ok()) Fail(device);
}

void Engine::Impl::Fail(const absl::Status& status) {
  failed = true;
  failure = status.ToString();
  scheduler.FailAll(status);
}

bool Engine::Impl::RunStep() {
  const std::optional<StepPlan> plan = scheduler.PlanStep(clock->Now());
  if (!plan.has_value()) return false;
  const absl::Time begin = clock->Now();
  const absl::StatusOr<StepResult> result = model.runner->Run(*plan);
  const absl::Duration step_time = clock->Now() - begin;
  step_seconds += absl::ToDoubleSeconds(step_time);
  if (!result.ok()) {
    Fail(result.status());
    return false;
  }
  scheduler.CommitStep(*result, step_time);
  return true;
}

void Engine::Impl::TakeSnapshot(absl::Time now) {
  snapshot_time = now;
  EngineStats stats;
  scheduler.FillStats(&stats);
  stats.step_seconds = step_seconds;
  stats.failed = failed;
  stats.failure = failure;
  board.Update(scheduler.TakeResidencyChanges());
  const std::vector<double> loads = scheduler.TakeLoadSeconds();
  kernels::MutexLock lock(&mutex);
  load_seconds.insert(load_seconds.end(), loads.begin(), loads.end());
  if (std::ssize(load_seconds) > kMaxLoadSeconds) {
    load_seconds.erase(load_seconds.begin(), load_seconds.end() - kMaxLoadSeconds);
  }
  snapshot = std::move(stats);
}

void Engine::Impl::Stop() {
  scheduler.FailAll(ShuttingDown());
  bell->Ring();
  loader.reset();  // joins; every copy has answered into the inbox
  std::vector<Message> messages;
  {
    kernels::MutexLock lock(&mutex);
    messages = std::exchange(inbox, {});
  }
  Deliver(std::move(messages));
  scheduler.FailAll(ShuttingDown());
  bell->Ring();
}

}  // namespace chorus::engine
