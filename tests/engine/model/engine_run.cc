#include "tests/engine/model/engine_run.h"

#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/model/cpu_runner.h"
#include "kernels/check.h"
#include "kernels/status_macros.h"

namespace chorus::test {
namespace {

// Tests are about what is heard, so nobody may be cut off for hearing it late.
constexpr size_t kStreamCapacity = 1 << 20;

}  // namespace

std::string HeardChoice::Text() const {
  std::string text;
  for (const Token& token : tokens) {
    absl::StrAppend(&text, token.id, ":", absl::Hex(token.logprob), " ");
  }
  return absl::StrCat(text, ended ? "ended" : "not ended", " ", static_cast<int>(reason), " ",
                      stop_token, " ", error);
}

absl::StatusOr<std::unique_ptr<EngineRun>> EngineRun::Start(const std::string& model_dir,
                                                            const EngineRunOptions& options) {
  CHORUS_ASSIGN_OR_RETURN(const engine::ModelConfig config, engine::ModelConfig::Load(model_dir));
  CHORUS_ASSIGN_OR_RETURN(engine::Weights weights,
                          engine::Weights::Load(model_dir, config, options.dtype, engine::Shard{}));
  std::unique_ptr<EngineRun> run(new EngineRun());
  run->memory_.emplace(options.dtype, config.kv_heads, config.head_dim, options.num_pages,
                       config.layers);
  engine::Engine::Model model;
  model.base_digest = weights.digest();
  model.pool = run->memory_->view();
  model.adapters = std::make_unique<engine::HostAdapterPages>(model.pool);
  run->host_pages_.resize(
      static_cast<size_t>(options.host_pages * model.pool.num_slabs * model.pool.cell_bytes()));
  model.limits.host_pages = options.host_pages;
  model.limits.host_page_time = absl::Nanoseconds(1);
  CHORUS_ASSIGN_OR_RETURN(
      model.runner,
      engine::CpuRunner::Create(config, std::move(weights), model.pool,
                                {.num_workers = options.num_workers,
                                 .max_rows = options.engine.max_step_tokens,
                                 .host_pages = {run->host_pages_.data(), options.host_pages}}));
  CHORUS_RETURN_IF_ERROR(run->StartEngine(config, std::move(model), options.engine));
  return run;
}

absl::StatusOr<std::unique_ptr<EngineRun>> EngineRun::Start(const engine::ModelConfig& config,
                                                            engine::Backend backend,
                                                            const engine::EngineOptions& options) {
  std::unique_ptr<EngineRun> run(new EngineRun());
  engine::Engine::Model model;
  model.base_digest = backend.weights_digest;
  model.pool = backend.pool;
  model.runner = std::move(backend.runner);
  model.adapters = std::move(backend.adapters);
  model.limits = backend.limits;
  run->backend_ = std::move(backend);
  CHORUS_RETURN_IF_ERROR(run->StartEngine(config, std::move(model), options));
  return run;
}

absl::Status EngineRun::StartEngine(const engine::ModelConfig& config, engine::Engine::Model model,
                                    engine::EngineOptions options) {
  model.eos_token_ids = config.eos_token_ids;
  model.max_positions = config.max_positions;
  model.vocabulary = config.vocabulary;
  options.stream_capacity = kStreamCapacity;
  CHORUS_ASSIGN_OR_RETURN(engine_,
                          engine::Engine::Start(options, std::move(model), bell_, &clock_));
  return absl::OkStatus();
}

EngineRun::~EngineRun() {
  engine_.reset();
  bell_->Close();
}

absl::Status EngineRun::Submit(const engine::GenerateRequest& request) {
  CHORUS_ASSIGN_OR_RETURN(std::shared_ptr<engine::TokenStream> stream, engine_->Submit(request));
  names_[stream.get()] = request.request_id;
  heard_[request.request_id].resize(static_cast<size_t>(request.num_choices));
  num_live_ += request.num_choices;
  streams_.push_back(std::move(stream));
  return absl::OkStatus();
}

void EngineRun::Listen() {
  for (const std::shared_ptr<engine::TokenStream>& stream : bell_->Wait()) {
    std::vector<HeardChoice>& choices = heard_.at(names_.at(stream.get()));
    for (const engine::StreamEvent& event : stream->Drain()) {
      Hear(event, &choices.at(static_cast<size_t>(event.choice)));
    }
  }
}

void EngineRun::Hear(const engine::StreamEvent& event, HeardChoice* choice) {
  if (event.kind == engine::StreamEvent::Kind::kAdmitted) return;
  CHORUS_CHECK(!choice->ended);
  if (event.kind == engine::StreamEvent::Kind::kToken) {
    HeardChoice::Token token{event.token.token, std::bit_cast<uint32_t>(event.token.logprob), {}};
    for (const kernels::TokenLogprob& top : event.token.top) {
      token.top.emplace_back(top.token, std::bit_cast<uint32_t>(top.logprob));
    }
    choice->tokens.push_back(std::move(token));
    ++tokens_heard_;
    return;
  }
  choice->ended = true;
  choice->reason = event.reason;
  choice->stop_token = event.stop_token;
  choice->error = std::string(event.status.message());
  --num_live_;
}

void EngineRun::ListenToEnd() {
  while (num_live_ > 0) Listen();
}

}  // namespace chorus::test
