#include "engine/backend/device_backend.h"

#include <algorithm>
#include <utility>

#include "engine/adapters/device_adapter_pages.h"
#include "engine/backend/device_limits.h"
#include "engine/model/device_runner.h"
#include "engine/model/device_weights.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

// All of the device's memory: `free_before` of it were there to be taken, `free_now` still are.
std::vector<MemoryShare> Shares(const DeviceMemoryUse& use, int64_t total, int64_t free_before,
                                int64_t free_now) {
  std::vector<MemoryShare> shares = {
      {"driver, libraries and other programs", total - free_before},
      {"weights", use.weights},
      {"activations", use.activations},
      {"lora", use.lora},
      {"attention", use.attention},
      {"steps", use.steps},
      {"pool", use.pool},
      {"graphs", use.graphs},
  };
  int64_t left = total - free_now;
  for (const MemoryShare& share : shares) left -= share.bytes;
  // Kernels' code, and what other programs took or gave back meanwhile.
  shares.push_back({"code and rounding", left});
  shares.push_back({"reserve", free_now});
  return shares;
}

}  // namespace

absl::StatusOr<Backend> MakeDeviceBackend(kernels::Device* device, kernels::LibraryOps* ops,
                                          const BackendSpec& spec) {
  const int64_t total = device->info().total_bytes;
  CHORUS_ASSIGN_OR_RETURN(const int64_t free_before, device->FreeBytes());
  CHORUS_ASSIGN_OR_RETURN(DeviceRunnerOptions options,
                          DeviceRunnerOptionsFor(spec.engine, spec.config, spec.vocabulary));
  CHORUS_ASSIGN_OR_RETURN(DeviceWeights weights, DeviceWeights::Load(spec.model_dir, spec.config,
                                                                     spec.dtype, Shard{}, device));
  Backend backend;
  backend.weights_digest = weights.digest();
  backend.weights_bytes = weights.bytes();
  options.pool = {
      .bytes = spec.memory.pool_bytes,
      .reserve_bytes =
          static_cast<int64_t>((1.0 - spec.memory.device_fraction) * static_cast<double>(total)),
      // A step's tokens; who asks for less by name gets it.
      .min_pages = spec.memory.pool_bytes > 0
                       ? 1
                       : kernels::CeilDiv(spec.engine.max_step_tokens, kernels::kPageTokens)};
  options.host_page_bytes = spec.memory.kv_host_bytes;
  CHORUS_ASSIGN_OR_RETURN(
      std::unique_ptr<DeviceRunner> runner,
      DeviceRunner::Create(device, ops, spec.config, std::move(weights), options));
  backend.pool = runner->pool();
  CHORUS_ASSIGN_OR_RETURN(
      std::unique_ptr<DeviceAdapterPages> adapters,
      DeviceAdapterPages::Create(device, backend.pool,
                                 {.pinned_bytes = spec.memory.adapter_host_bytes}, spec.clock));
  device->Seal();
  backend.limits = LimitsOf(options);
  backend.limits.host_pages = runner->num_host_pages();
  if (backend.limits.host_pages > 0) {
    CHORUS_ASSIGN_OR_RETURN(
        backend.limits.host_page_time,
        MeasureHostPages(runner.get(), backend.pool, backend.limits.host_pages, spec.clock));
  }
  backend.pool.base = nullptr;
  backend.limits.max_adapter_pages =
      std::min(backend.limits.max_adapter_pages,
               adapters->pinned_bytes() / (backend.pool.cell_bytes() * backend.pool.num_slabs));
  CHORUS_ASSIGN_OR_RETURN(const int64_t free_now, device->FreeBytes());
  backend.memory = Shares(runner->memory_use(), total, free_before, free_now);
  backend.pinned_bytes = runner->memory_use().pinned + adapters->pinned_bytes();
  backend.runner = std::move(runner);
  backend.adapters = std::move(adapters);
  return backend;
}

}  // namespace chorus::engine
