#include "server/daemon.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "kernels/status_macros.h"
#include "server/config/command_line.h"
#include "server/config/options.h"
#include "server/log/log.h"

namespace chorus::server {
namespace {

constexpr int kTaskThreads = 2;
constexpr int kFileThreads = 4;

const char* ArchitectureName(engine::Architecture architecture) {
  switch (architecture) {
    case engine::Architecture::kLlama:
      return "llama";
    case engine::Architecture::kMistral:
      return "mistral";
    case engine::Architecture::kQwen2:
      return "qwen2";
    case engine::Architecture::kQwen3:
      return "qwen3";
  }
  return "unknown";
}

// What makes a device's memory, or what its host has to pin, go further.
std::string MemoryHelp(const ServerConfig& config) {
  return absl::StrCat(
      "; what helps: ",
      config.memory.pool_bytes > 0
          ? "a smaller --pool-bytes, or none"
          : absl::StrCat("a larger --device-memory-fraction than ", config.memory.device_fraction),
      ", a smaller --max-step-tokens than ", config.engine.max_step_tokens,
      ", a smaller --max-step-rank-sum than ", config.engine.max_step_rank_sum,
      ", a GPU with more memory; for pinned memory, a smaller --adapter-host-bytes than ",
      config.memory.adapter_host_bytes, ", a smaller --kv-host-bytes than ",
      config.memory.kv_host_bytes);
}

// A line for each share of the memory.
void LogMemory(const engine::Backend& backend) {
  int64_t total = 0;
  for (const engine::MemoryShare& share : backend.memory) total += share.bytes;
  const auto log = [&](const std::string& of, int64_t bytes, const std::string& percent) {
    LogInfo("memory", {{"of", of},
                       {"bytes", bytes},
                       {"gib", absl::StrFormat("%.3f", static_cast<double>(bytes) / (1 << 30))},
                       {"percent", percent}});
  };
  for (const auto& [of, bytes] : backend.memory) {
    log(of, bytes,
        absl::StrFormat("%.1f", 100.0 * static_cast<double>(bytes) / static_cast<double>(total)));
  }
  if (backend.pinned_bytes > 0) log("pinned, of the host", backend.pinned_bytes, "-");
  LogInfo("pool", {{"pages", backend.pool.num_ids},
                   {"tokens", backend.pool.num_ids * kernels::kPageTokens},
                   {"page_bytes", backend.pool.total_bytes() / backend.pool.num_ids}});
}

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const ServerConfig& config) {
  CHORUS_ASSIGN_OR_RETURN(ServingDevice device, ServingDevice::Open(config.device));
  return Start(config, std::move(device));
}

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const ServerConfig& config,
                                                      ServingDevice device) {
  LogInfo("device chosen", {{"device", device.name}, {"why", device.why}});
  if (const auto active = ActiveExperiments(config); !active.empty()) {
    LogWarning("experiments are on, for benches alone: answers may be wrong or slow",
               {{"flags", absl::StrJoin(active, " ")}});
  }
  std::unique_ptr<Daemon> daemon(new Daemon(config, std::move(device)));
  CHORUS_RETURN_IF_ERROR(daemon->LoadModel());
  CHORUS_RETURN_IF_ERROR(daemon->StartEngine());
  CHORUS_RETURN_IF_ERROR(daemon->OpenCatalog());
  CHORUS_RETURN_IF_ERROR(daemon->StartServing());
  return daemon;
}

Daemon::~Daemon() {
  metrics_server_.reset();
  grpc_.reset();  // every call has ended
  files_.reset();
  tasks_.reset();
  generations_.reset();
}

absl::Status Daemon::LoadModel() {
  CHORUS_ASSIGN_OR_RETURN(model_, ServingModel::Load(config_, !device_.is_cpu(), clock_));
  if (!model_.chat.has_value()) {
    LogWarning("chat is off", {{"why", model_.chat_problem.message()}});
  }
  return absl::OkStatus();
}

absl::StatusOr<engine::Backend> Daemon::MakeBackend() {
  const absl::Time begin = clock_->Now();
  absl::StatusOr<engine::Backend> backend = device_.make_backend({.model_dir = config_.model,
                                                                  .config = model_.config,
                                                                  .dtype = model_.dtype,
                                                                  .vocabulary = model_.vocabulary,
                                                                  .engine = config_.engine,
                                                                  .memory = config_.memory,
                                                                  .threads = config_.threads,
                                                                  .clock = clock_});
  if (absl::IsResourceExhausted(backend.status()) && !device_.is_cpu()) {
    return absl::ResourceExhaustedError(
        absl::StrCat(backend.status().message(), MemoryHelp(config_)));
  }
  if (backend.ok()) {
    LogInfo("model loaded", {{"model", model_.name},
                             {"dtype", kernels::Name(model_.dtype)},
                             {"device", device_.name},
                             {"seconds", absl::ToDoubleSeconds(clock_->Now() - begin)}});
    LogMemory(*backend);
  }
  return backend;
}

absl::Status Daemon::StartEngine() {
  CHORUS_ASSIGN_OR_RETURN(backend_, MakeBackend());
  engine::Engine::Model model;
  model.runner = std::move(backend_.runner);
  model.adapters = std::move(backend_.adapters);
  model.pool = backend_.pool;
  model.base_digest = backend_.weights_digest;
  model.eos_token_ids = model_.eos_token_ids;
  model.max_positions = model_.config.max_positions;
  model.vocabulary = model_.vocabulary;
  model.limits = backend_.limits;
  CHORUS_ASSIGN_OR_RETURN(engine_,
                          engine::Engine::Start(config_.engine, std::move(model), bell_, clock_));
  return absl::OkStatus();
}

absl::Status Daemon::OpenCatalog() {
  engine::CatalogOptions options;
  options.directory = config_.store;
  options.model = model_.config;
  options.geometry = backend_.pool;
  options.limits = config_.catalog;
  options.allow_volatile = config_.allow_volatile_store;
  options.pad_rank = config_.experiment_pad_rank;
  options.reserved_names.push_back(model_.name);
  absl::StatusOr<std::unique_ptr<engine::StoredCatalog>> opened =
      engine::StoredCatalog::Open(std::move(options), clock_);
  if (!opened.ok()) {
    return absl::Status(opened.status().code(),
                        absl::StrCat("--store ", config_.store, ": ", opened.status().message()));
  }
  catalog_ = *std::move(opened);
  catalog_->OnForget(
      [engine = engine_.get()](const std::string& tenant, const engine::AdapterDigest& digest) {
        engine->Forget(tenant, digest);
      });
  const std::vector<engine::AdapterInfo> adapters = catalog_->List(LocalPrincipal().tenant);
  LogInfo("store opened", {{"directory", config_.store}, {"adapters", adapters.size()}});
  pins_ = std::make_unique<Pins>(catalog_.get(), engine_.get());
  pins_->Restore(LocalPrincipal().tenant);
  return absl::OkStatus();
}

absl::Status Daemon::StartServing() {
  metrics_ = std::make_shared<ServerMetrics>(
      MetricsOptions{.version = kVersion,
                     .model_name = model_.name,
                     .context_tokens = model_.config.max_positions,
                     .max_step_adapters = config_.engine.max_step_adapters},
      ServerMetrics::EngineReaders{[engine = engine_.get()] {
                                     engine::EngineStats stats = engine->stats();
                                     stats.adapters = engine->adapters();
                                     return stats;
                                   },
                                   [engine = engine_.get()] { return engine->TakeLoadSeconds(); }},
      clock_);
  generations_ = std::make_unique<Generations>(engine_.get(), model_.tokenizer.get(),
                                               metrics_.get(), bell_, clock_);
  builder_ = std::make_unique<RequestBuilder>(&model_, catalog_.get(), clock_);
  tasks_ = std::make_unique<TaskPool>(kTaskThreads);
  files_ = std::make_unique<TaskPool>(kFileThreads);
  front_ = Front{.config = &config_,
                 .clock = clock_,
                 .model = &model_,
                 .engine = engine_.get(),
                 .catalog = catalog_.get(),
                 .pins = pins_.get(),
                 .generations = generations_.get(),
                 .builder = builder_.get(),
                 .metrics = metrics_.get(),
                 .tasks = tasks_.get(),
                 .files = files_.get(),
                 .drain = [this] { Drain(); },
                 .draining = &draining_};
  if (config_.metrics_listen != "none") {
    CHORUS_ASSIGN_OR_RETURN(metrics_server_,
                            MetricsServer::Start(config_.metrics_listen, metrics_));
  }
  CHORUS_ASSIGN_OR_RETURN(grpc_, GrpcServer::Start(&front_, Info()));
  grpc_->SetReady(true);
  metrics_->SetState(ServerState::kReady);
  return WritePortFile();
}

v1::ServerInfo Daemon::Info() const {
  v1::ServerInfo info;
  info.set_version(kVersion);
  info.set_served_model_name(model_.name);
  info.set_architecture(ArchitectureName(model_.config.architecture));
  info.set_dtype(std::string(kernels::Name(model_.dtype)));
  info.set_device(device_.name);
  info.set_context_tokens(model_.config.max_positions);
  info.set_vocabulary(model_.vocabulary);
  info.set_chat_available(model_.chat.has_value());
  if (!model_.chat.has_value()) info.set_chat_problem(std::string(model_.chat_problem.message()));
  info.set_pool_pages(backend_.pool.num_ids);
  info.set_pool_bytes(backend_.pool.total_bytes());
  info.set_weight_bytes(backend_.weights_bytes);
  info.set_page_tokens(kernels::kPageTokens);
  info.set_threads(config_.threads);
  info.set_weights_digest(absl::StrCat("sha256:", backend_.weights_digest));
  for (std::string& flag : ActiveExperiments(config_)) info.add_experiments(std::move(flag));
  return info;
}

absl::Status Daemon::WritePortFile() const {
  if (config_.port_file.empty()) return absl::OkStatus();
  // Under its name only when it is whole: whoever waits for it may read it at once.
  const std::string temporary = absl::StrCat(config_.port_file, ".new");
  {
    std::ofstream out(temporary);
    out << "grpc=" << grpc_port() << "\nmetrics=" << metrics_port() << "\n";
    if (!out.flush()) return absl::UnavailableError(absl::StrCat(temporary, ": cannot be written"));
  }
  if (std::rename(temporary.c_str(), config_.port_file.c_str()) != 0) {
    return absl::UnavailableError(absl::StrCat(config_.port_file, ": cannot be written"));
  }
  return absl::OkStatus();
}

absl::Status Daemon::Tick() {
  const absl::Time now = clock_->Now();
  if (drain_wanted_ && drain_begin_ == absl::InfiniteFuture()) {
    LogInfo("draining", {{"delay_ms", config_.drain_delay_ms}});
    grpc_->SetReady(false);
    metrics_->SetState(ServerState::kDraining);
    drain_begin_ = now + absl::Milliseconds(config_.drain_delay_ms);
  }
  if (!draining_ && now >= drain_begin_) {
    engine_->Drain();
    draining_ = true;
  }
  grpc_->CutStalled();
  if (const engine::EngineStats stats = engine_->stats(); stats.failed) {
    grpc_->SetReady(false);
    metrics_->SetState(ServerState::kFailed);
    return absl::InternalError(absl::StrCat("the engine has failed: ", stats.failure));
  }
  return absl::OkStatus();
}

}  // namespace chorus::server
