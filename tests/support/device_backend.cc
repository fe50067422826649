#include "tests/support/device_backend.h"

#include <cstring>
#include <utility>

#include "gtest/gtest.h"
#include "kernels/status_macros.h"

namespace chorus::test {

absl::StatusOr<std::unique_ptr<ModelHost>> DeviceBackend::Open(
    const std::string& model_dir, HostOptions host, const MakeDevice& make,
    const engine::DeviceRunnerOptions& runner) {
  host.b_tiles = kernels::BTileOrder::kFragments;
  return ModelHost::Open(
      model_dir, host,
      [&](const engine::ModelConfig& config,
          const kernels::PoolView& pool) -> absl::StatusOr<std::unique_ptr<HostBackend>> {
        CHORUS_ASSIGN_OR_RETURN(DeviceSetup setup, make());
        std::unique_ptr<DeviceBackend> backend(new DeviceBackend(std::move(setup), pool));
        CHORUS_RETURN_IF_ERROR(backend->Start(model_dir, config, runner));
        return backend;
      });
}

absl::Status DeviceBackend::Start(const std::string& model_dir, const engine::ModelConfig& config,
                                  engine::DeviceRunnerOptions options) {
  CHORUS_ASSIGN_OR_RETURN(stage_, device().AllocatePinned(host_pool_.cell_bytes()));
  CHORUS_ASSIGN_OR_RETURN(stream_, device().NewStream(kernels::Device::Priority::kNormal));
  CHORUS_ASSIGN_OR_RETURN(
      engine::DeviceWeights weights,
      engine::DeviceWeights::Load(model_dir, config, host_pool_.dtype, {}, setup_.device.get()));
  options.pool.bytes = host_pool_.total_bytes();
  CHORUS_ASSIGN_OR_RETURN(
      runner_, engine::DeviceRunner::Create(setup_.device.get(), setup_.ops.get(), config,
                                            std::move(weights), options));
  device().Seal();
  return absl::OkStatus();
}

DeviceBackend::~DeviceBackend() {
  const absl::Status finished = setup_.finish == nullptr ? absl::OkStatus() : setup_.finish();
  EXPECT_TRUE(finished.ok()) << finished;
  EXPECT_EQ(device().counters().allocations_after_seal, 0);
}

absl::Status DeviceBackend::TakeCells(std::span<const int32_t> cells) {
  for (const int32_t cell : cells) {
    std::memcpy(stage_.data(), host_pool_.CellAddress(cell),
                static_cast<size_t>(host_pool_.cell_bytes()));
    CHORUS_RETURN_IF_ERROR(stream_->CopyToDevice(runner_->pool().CellAddress(cell), stage_.data(),
                                                 host_pool_.cell_bytes()));
    CHORUS_RETURN_IF_ERROR(stream_->Synchronize());
  }
  return absl::OkStatus();
}

}  // namespace chorus::test
