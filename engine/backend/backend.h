// Backend: a model that is ready to run: its runner, its pool, and where its adapters are loaded
// to. MakeCpuBackend and MakeDeviceBackend (device_backend.h) make one; nothing above the engine
// knows which it has.
#ifndef CHORUS_ENGINE_BACKEND_BACKEND_H_
#define CHORUS_ENGINE_BACKEND_BACKEND_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/adapters/adapter_target.h"
#include "engine/backend/memory_options.h"
#include "engine/backend/pool_memory.h"
#include "engine/clock.h"
#include "engine/model/model_config.h"
#include "engine/model/runner.h"
#include "engine/schedule/engine_options.h"
#include "kernels/device/dtype.h"
#include "kernels/device/pool_view.h"

namespace chorus::engine {

// What a backend is made of, and for.
struct BackendSpec {
  std::string model_dir;
  ModelConfig config;
  kernels::DType dtype = kernels::DType::kF32;
  int32_t vocabulary = 0;  // ids at or above it are never drawn
  EngineOptions engine;    // how much a step may ask for
  MemoryOptions memory;
  int threads = 1;  // of the CPU
  const Clock* clock = Clock::Real();
};

// What memory was taken for.
struct MemoryShare {
  std::string of;
  int64_t bytes = 0;
};

struct Backend {
  // Of a CPU, they outlive what is below, which an engine takes.
  PoolMemory host_pool;
  PoolMemory host_pages;
  std::unique_ptr<Runner> runner;
  std::unique_ptr<AdapterTarget> adapters;
  kernels::PoolView pool;  // base null when it is not the host's
  RunnerLimits limits;
  std::string weights_digest;
  int64_t weights_bytes = 0;
  std::vector<MemoryShare> memory;  // of a device: they add up to all that it has
  int64_t pinned_bytes = 0;         // of the host, for a device
};

// How long a page takes to or from the host, by the slower way of the two. REQUIRES: `runner` has
// `num_slots` > 0 of them, and nothing uses its pool yet. Errors are the runner's.
absl::StatusOr<absl::Duration> MeasureHostPages(Runner* runner, const kernels::PoolView& pool,
                                                int64_t num_slots, const Clock* clock);

// Errors are those of Weights::Load, PoolMemory::Allocate and CpuRunner::Create.
absl::StatusOr<Backend> MakeCpuBackend(const BackendSpec& spec);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_BACKEND_BACKEND_H_
