#include "tests/simt/sim_backend.h"

#include <cstring>
#include <utility>

#include "gtest/gtest.h"
#include "kernels/status_macros.h"

namespace chorus::test {

absl::StatusOr<std::unique_ptr<ModelHost>> SimBackend::Open(
    const std::string& model_dir, HostOptions host, const kernels::SimOptions& sim,
    const engine::DeviceRunnerOptions& runner) {
  host.b_tiles = kernels::BTileOrder::kFragments;
  return ModelHost::Open(
      model_dir, host,
      [&](const engine::ModelConfig& config,
          const kernels::PoolView& pool) -> absl::StatusOr<std::unique_ptr<HostBackend>> {
        std::unique_ptr<SimBackend> backend(new SimBackend(sim, pool));
        CHORUS_RETURN_IF_ERROR(backend->Start(model_dir, config, runner));
        return backend;
      });
}

absl::Status SimBackend::Start(const std::string& model_dir, const engine::ModelConfig& config,
                               const engine::DeviceRunnerOptions& options) {
  CHORUS_ASSIGN_OR_RETURN(memory_, device_.Allocate(host_pool_.total_bytes()));
  pool_.base = memory_.data();
  CHORUS_ASSIGN_OR_RETURN(stage_, device_.AllocatePinned(host_pool_.cell_bytes()));
  CHORUS_ASSIGN_OR_RETURN(stream_, device_.NewStream(kernels::Device::Priority::kNormal));
  CHORUS_ASSIGN_OR_RETURN(
      engine::DeviceWeights weights,
      engine::DeviceWeights::Load(model_dir, config, pool_.dtype, {}, &device_));
  CHORUS_ASSIGN_OR_RETURN(
      runner_,
      engine::DeviceRunner::Create(&device_, &ops_, config, std::move(weights), pool_, options));
  return absl::OkStatus();
}

SimBackend::~SimBackend() {
  EXPECT_TRUE(device_.Finish().ok()) << device_.Finish();
  EXPECT_EQ(device_.counters().allocations_after_seal, 0);
}

absl::Status SimBackend::TakeCells(std::span<const int32_t> cells) {
  for (const int32_t cell : cells) {
    std::memcpy(stage_.data(), host_pool_.CellAddress(cell),
                static_cast<size_t>(host_pool_.cell_bytes()));
    CHORUS_RETURN_IF_ERROR(
        stream_->CopyToDevice(pool_.CellAddress(cell), stage_.data(), host_pool_.cell_bytes()));
    CHORUS_RETURN_IF_ERROR(stream_->Synchronize());
  }
  return absl::OkStatus();
}

}  // namespace chorus::test
