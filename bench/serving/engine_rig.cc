#include "bench/serving/engine_rig.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bench/ceilings.h"
#include "engine/model/cpu_runner.h"
#include "engine/model/weights.h"
#include "kernels/status_macros.h"

namespace chorus::bench {
namespace {

using engine::AdapterRef;
using engine::StreamEvent;
using kernels::DType;

constexpr char kTenant[] = "bench";

constexpr DType kDtype = DType::kBf16;

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in.good() || bytes.empty()) return absl::NotFoundError(absl::StrCat(path, ": not readable"));
  return bytes;
}

}  // namespace

absl::StatusOr<std::unique_ptr<EngineRig>> EngineRig::Open(const RigOptions& options) {
  std::unique_ptr<EngineRig> rig(new EngineRig(options));
  CHORUS_ASSIGN_OR_RETURN(rig->config_, engine::ModelConfig::Load(options.model_dir));
  CHORUS_ASSIGN_OR_RETURN(
      rig->pool_, engine::PoolMemory::Allocate(rig->config_, kDtype, options.pool_bytes));
  CHORUS_RETURN_IF_ERROR(rig->OpenCatalog());
  CHORUS_RETURN_IF_ERROR(rig->StartEngine());
  return rig;
}

EngineRig::~EngineRig() {
  engine_.reset();
  bell_->Close();
}

absl::Status EngineRig::OpenCatalog() {
  std::filesystem::create_directories(options_.store_dir);
  engine::CatalogOptions options;
  options.directory = options_.store_dir;
  options.model = config_;
  options.geometry = pool_->view();
  options.allow_volatile = true;
  options.scrub_bytes_per_second = 0.0;
  options.background = false;
  CHORUS_ASSIGN_OR_RETURN(catalog_,
                          engine::StoredCatalog::Open(std::move(options), engine::Clock::Real()));
  for (const std::string& dir : options_.adapter_dirs) {
    CHORUS_ASSIGN_OR_RETURN(AdapterRef adapter, Upload(dir));
    adapters_.push_back(std::move(adapter));
  }
  return absl::OkStatus();
}

absl::StatusOr<AdapterRef> EngineRig::Upload(const std::string& dir) {
  CHORUS_ASSIGN_OR_RETURN(const std::string config, ReadFile(dir + "/adapter_config.json"));
  CHORUS_ASSIGN_OR_RETURN(const std::string tensors, ReadFile(dir + "/adapter_model.safetensors"));
  const std::string name = std::filesystem::path(dir).filename().string();
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<engine::Upload> upload,
                          catalog_->BeginUpload({.tenant = kTenant,
                                                 .name = name,
                                                 .config_bytes = config.size(),
                                                 .tensor_bytes = tensors.size()}));
  CHORUS_RETURN_IF_ERROR(upload->AppendConfig(config));
  CHORUS_RETURN_IF_ERROR(upload->AppendTensors(tensors));
  CHORUS_RETURN_IF_ERROR(upload->Commit().status());
  return catalog_->Resolve(kTenant, name);
}

absl::Status EngineRig::StartEngine() {
  CHORUS_ASSIGN_OR_RETURN(
      engine::Weights weights,
      engine::Weights::Load(options_.model_dir, config_, kDtype, engine::Shard{}));
  weights_bytes_ = weights.bytes();
  const engine::EngineOptions options;
  engine::Engine::Model model;
  model.pool = pool_->view();
  model.adapters = std::make_unique<engine::HostAdapterPages>(model.pool);
  model.base_digest = weights.digest();
  model.eos_token_ids = config_.eos_token_ids;
  model.max_positions = config_.max_positions;
  model.vocabulary = config_.vocabulary;
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<engine::CpuRunner> runner,
                          engine::CpuRunner::Create(config_, std::move(weights), model.pool,
                                                    {.num_workers = options_.num_workers,
                                                     .max_rows = options.max_step_tokens}));
  workspace_bytes_ = runner->workspace_bytes();
  auto timed = std::make_unique<TimedRunner>(config_, kDtype, std::move(runner));
  runner_ = timed.get();
  model.runner = std::move(timed);
  CHORUS_ASSIGN_OR_RETURN(
      engine_, engine::Engine::Start(options, std::move(model), bell_, engine::Clock::Real()));
  return absl::OkStatus();
}

engine::GenerateRequest EngineRig::MakeRequest(const Wave& wave, int stream) {
  engine::GenerateRequest request;
  request.request_id = absl::StrCat("r", num_requests_++);
  request.tenant = kTenant;
  if (wave.adapters) request.adapter = adapters_[static_cast<size_t>(stream) % adapters_.size()];
  std::mt19937 random(wave.seed * 1009 + static_cast<uint32_t>(stream));
  std::uniform_int_distribution<int32_t> token(100, config_.vocabulary - 1);
  for (int i = 0; i < wave.prompt_tokens; ++i) request.prompt.push_back(token(random));
  request.max_tokens = wave.max_tokens;
  request.sampling.temperature = 0.0f;
  request.ignore_eos = true;
  return request;
}

absl::StatusOr<WaveResult> EngineRig::Run(const Wave& wave) {
  if (wave.adapters && adapters_.empty()) return absl::FailedPreconditionError("no adapters");
  std::vector<engine::GenerateRequest> requests;
  for (int i = 0; i < wave.streams; ++i) requests.push_back(MakeRequest(wave, i));
  runner_->TakeSteps();
  WaveResult result;
  const double begin = Now();
  std::vector<std::shared_ptr<engine::TokenStream>> streams;
  for (engine::GenerateRequest& request : requests) {
    CHORUS_ASSIGN_OR_RETURN(streams.emplace_back(), engine_->Submit(std::move(request)));
  }
  runner_->WaitForTokens(int64_t{wave.streams} * wave.max_tokens);
  result.steps = runner_->TakeSteps();
  result.seconds = result.steps.back().end - begin;
  CHORUS_RETURN_IF_ERROR(DrainStreams(streams));
  return result;
}

// The last step's commit may still be under way.
absl::Status EngineRig::DrainStreams(
    const std::vector<std::shared_ptr<engine::TokenStream>>& streams) {
  size_t ended = 0;
  while (ended < streams.size()) {
    bell_->Wait();
    for (const std::shared_ptr<engine::TokenStream>& stream : streams) {
      for (const StreamEvent& event : stream->Drain()) {
        if (event.kind != StreamEvent::Kind::kFinished) continue;
        CHORUS_RETURN_IF_ERROR(event.status);
        ++ended;
      }
    }
  }
  return absl::OkStatus();
}

absl::Status EngineRig::LoadAdapters() {
  for (const AdapterRef& adapter : adapters_) {
    CHORUS_RETURN_IF_ERROR(engine_->Pin(adapter, true));
  }
  return WaitForResidents(adapters_.size());
}

absl::Status EngineRig::UnloadAdapters() {
  for (const AdapterRef& adapter : adapters_) {
    CHORUS_RETURN_IF_ERROR(engine_->Pin(adapter, false));
    engine_->Forget(kTenant, adapter->digest());
  }
  return WaitForResidents(0);
}

absl::Status EngineRig::WaitForResidents(size_t count) {
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (absl::Now() < deadline) {
    size_t resident = 0;
    for (const engine::AdapterResidency& adapter : engine_->adapters()) {
      resident += adapter.state == engine::ResidencyState::kResident ? 1 : 0;
    }
    if (resident == count) return absl::OkStatus();
    absl::SleepFor(absl::Milliseconds(2));
  }
  return absl::DeadlineExceededError(
      absl::StrCat("adapters: ", count, " expected to be resident after 30 s"));
}

}  // namespace chorus::bench
