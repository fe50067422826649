#include "tests/support/stepped_server.h"

#include <thread>
#include <utility>

#include "engine/backend/device_limits.h"
#include "gtest/gtest.h"
#include "kernels/check.h"
#include "tests/support/last_pages.h"
#include "tests/support/memory_adapter.h"

namespace chorus::test {
namespace {

using kernels::MutexLock;

constexpr int kMostIdleTurns = 100'000;

template <class T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) ADD_FAILURE() << value.status();
  CHORUS_CHECK(value.ok());
  return *std::move(value);
}

}  // namespace

SteppedServer::SteppedServer(const std::string& model_dir, ServerDevice device,
                             const SteppedServerOptions& options)
    : options_(options),
      config_(Must(engine::ModelConfig::Load(model_dir))),
      device_(std::move(device)) {
  kernels::Device& own = *device_.setup.device;
  engine::DeviceWeights weights =
      Must(engine::DeviceWeights::Load(model_dir, config_, kernels::DType::kBf16, {}, &own));
  engine::DeviceRunnerOptions runner =
      Must(engine::DeviceRunnerOptionsFor(options.engine, config_, config_.vocabulary));
  runner.max_graph_rows = options.max_graph_rows;
  const kernels::PoolView one{.num_ids = 1,
                              .num_slabs = config_.layers,
                              .kv_heads = config_.kv_heads,
                              .head_dim = config_.head_dim,
                              .dtype = kernels::DType::kBf16};
  runner.pool.bytes = options.pages * one.total_bytes();
  runner.pool.reserve_bytes = int64_t{1} << 30;
  const engine::RunnerLimits limits = engine::LimitsOf(runner);
  runner_ = Must(engine::DeviceRunner::Create(&own, device_.setup.ops.get(), config_,
                                              std::move(weights), runner));
  pages_ = Must(engine::DeviceAdapterPages::Create(&own, runner_->pool(), options.adapters,
                                                   device_.clock.get()));
  target_ = std::make_unique<LastPagesTarget>(pages_.get(),
                                              options.last_pages ? runner_->pool().num_ids : 0);
  own.Seal();
  device_.begin();
  engine::LoadAnswers answers{.done =
                                  [this](engine::LoadDone done) {
                                    MutexLock lock(&mutex_);
                                    done_.push_back(std::move(done));
                                  },
                              .arriving =
                                  [this](engine::LoadArriving arriving) {
                                    MutexLock lock(&mutex_);
                                    arriving_.push_back(std::move(arriving));
                                  }};
  loader_ = std::make_unique<engine::AdapterLoader>(target_.get(), options.engine.loader_threads,
                                                    device_.clock.get(), std::move(answers));
  kernels::PoolView pool = runner_->pool();
  pool.base = nullptr;  // not the host's
  scheduler_ = std::make_unique<engine::Scheduler>(
      options.engine,
      engine::ModelLimits{"base", {}, config_.max_positions, config_.vocabulary, limits}, pool,
      loader_.get(), &bell_);
}

SteppedServer::~SteppedServer() {
  scheduler_->FailAll(absl::CancelledError("the test ends"));
  device_.end();
  loader_.reset();
  DeliverLoads();
  scheduler_.reset();
  const absl::Status finished =
      device_.setup.finish == nullptr ? absl::OkStatus() : device_.setup.finish();
  EXPECT_TRUE(finished.ok()) << finished;
  EXPECT_EQ(device_.setup.device->counters().allocations_after_seal, 0);
}

engine::AdapterRef SteppedServer::MakeAdapter(const std::string& name, const std::string& config,
                                              const std::string& tensors) const {
  return Must(MemoryAdapter::Make("tenant", name, config, tensors, config_, runner_->pool()));
}

void SteppedServer::Submit(engine::GenerateRequest request) {
  const absl::Status valid = scheduler_->intake().Validate(request);
  ASSERT_TRUE(valid.ok()) << valid;
  const std::string id = request.request_id;
  std::unique_ptr<engine::Request> made = scheduler_->intake().MakeRequest(std::move(request));
  streams_[id] = made->stream;
  scheduler_->Submit(std::move(made), Now());
}

void SteppedServer::Turn() {
  if (scheduler_->num_loading() > 0) std::this_thread::sleep_for(device_.pause);
  DeliverLoads();
  std::optional<engine::StepPlan> plan = scheduler_->PlanStep(Now());
  if (!plan.has_value()) {
    device_.idle();
    Listen();
    return;
  }
  num_early_steps_ += plan->arrivals.empty() ? 0 : 1;
  if (options_.last_pages) TakeLastPages(runner_->pool(), &*plan);
  const absl::Time begin = Now();
  const engine::StepResult result = Must(runner_->Run(*plan));
  scheduler_->CommitStep(result, (Now() - begin) * options_.told_step_time);
  Listen();
}

void SteppedServer::RunToEnd() {
  int idle = 0;
  while (!scheduler_->idle()) {
    const uint64_t steps = stats().steps;
    Turn();
    idle = stats().steps == steps ? idle + 1 : 0;
    ASSERT_LT(idle, kMostIdleTurns) << "nothing runs and nothing loads";
  }
}

engine::EngineStats SteppedServer::stats() const {
  engine::EngineStats stats;
  scheduler_->FillStats(&stats);
  return stats;
}

// Those that arrive first: what a load says last is that it is done.
void SteppedServer::DeliverLoads() {
  std::vector<engine::LoadArriving> arriving;
  std::vector<engine::LoadDone> done;
  {
    MutexLock lock(&mutex_);
    arriving = std::exchange(arriving_, {});
    done = std::exchange(done_, {});
  }
  for (engine::LoadArriving& load : arriving) {
    if (!options_.early_steps) continue;
    scheduler_->OnLoadArriving(load);
  }
  for (const engine::LoadDone& load : done) scheduler_->OnLoadDone(load, Now());
}

void SteppedServer::Listen() {
  for (auto& [id, stream] : streams_) {
    ServerAnswer& answer = answers_[id];
    for (const engine::StreamEvent& event : stream->Drain()) {
      if (event.kind == engine::StreamEvent::Kind::kToken) {
        answer.tokens.push_back(event.token.token);
        answer.at_us.push_back(now_us());
        const auto& top = event.token.top;
        answer.margins.push_back(top.size() < 2 ? 0.0f : top[0].logprob - top[1].logprob);
      } else if (event.kind == engine::StreamEvent::Kind::kFinished) {
        answer.ended = true;
        answer.status = event.status;
      }
    }
  }
}

}  // namespace chorus::test
