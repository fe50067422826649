#include <utility>

#include "engine/backend/backend.h"
#include "engine/model/cpu_runner.h"
#include "engine/model/weights.h"
#include "kernels/status_macros.h"

namespace chorus::engine {

absl::StatusOr<Backend> MakeCpuBackend(const BackendSpec& spec) {
  CHORUS_ASSIGN_OR_RETURN(Weights weights,
                          Weights::Load(spec.model_dir, spec.config, spec.dtype, Shard{}));
  Backend backend;
  backend.weights_digest = weights.digest();
  backend.weights_bytes = weights.bytes();
  CHORUS_ASSIGN_OR_RETURN(
      backend.host_pool,
      PoolMemory::Allocate(
          spec.config, spec.dtype,
          spec.memory.pool_bytes > 0 ? spec.memory.pool_bytes : MemoryOptions::kCpuPoolBytes));
  backend.pool = backend.host_pool.view();
  if (spec.memory.kv_host_bytes > 0) {
    CHORUS_ASSIGN_OR_RETURN(backend.host_pages, PoolMemory::Allocate(spec.config, spec.dtype,
                                                                     spec.memory.kv_host_bytes));
  }
  const kernels::PoolView& slots = backend.host_pages.view();
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<CpuRunner> runner,
                          CpuRunner::Create(spec.config, std::move(weights), backend.pool,
                                            {.num_workers = spec.threads,
                                             .max_rows = spec.engine.max_step_tokens,
                                             .valid_vocabulary = spec.vocabulary,
                                             .host_pages = {slots.base, slots.num_ids}}));
  backend.limits.host_pages = slots.num_ids;
  if (slots.num_ids > 0) {
    CHORUS_ASSIGN_OR_RETURN(
        backend.limits.host_page_time,
        MeasureHostPages(runner.get(), backend.pool, slots.num_ids, spec.clock));
  }
  backend.memory = {{"weights", backend.weights_bytes},
                    {"workspaces", runner->workspace_bytes()},
                    {"pool", backend.pool.total_bytes()},
                    {"KV outside the pool", slots.total_bytes()}};
  backend.runner = std::move(runner);
  backend.adapters = std::make_unique<HostAdapterPages>(backend.pool);
  return backend;
}

}  // namespace chorus::engine
