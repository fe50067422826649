// SimBackend: a ModelHost's model on the simulator, by the runner of devices and our kernels.
#ifndef CHORUS_TESTS_SIMT_SIM_BACKEND_H_
#define CHORUS_TESTS_SIMT_SIM_BACKEND_H_

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/model/device_runner.h"
#include "tests/simt/library_ops_sim.h"
#include "tests/simt/sim_device.h"
#include "tests/support/model_host.h"

namespace chorus::test {

class SimBackend : public HostBackend {
 public:
  // A host on the simulator. bf16 or f16; the pool's B tiles are a device's whatever `host` says.
  static absl::StatusOr<std::unique_ptr<ModelHost>> Open(const std::string& model_dir,
                                                         HostOptions host,
                                                         const kernels::SimOptions& sim,
                                                         const engine::DeviceRunnerOptions& runner);
  // REQUIRES: opened here.
  static SimBackend& Of(ModelHost& host) { return static_cast<SimBackend&>(host.backend()); }

  ~SimBackend() override;

  engine::Runner& runner() override { return *runner_; }
  engine::DeviceRunner& device_runner() { return *runner_; }
  kernels::SimDevice& device() { return device_; }
  // Of the steps from now on.
  void set_least_shape(const engine::StepShape& shape) { least_ = shape; }

  absl::StatusOr<std::vector<float>> RunForLogits(const engine::StepPlan& plan,
                                                  std::span<const int32_t> rows) override {
    return runner_->RunForLogits(plan, rows, least_);
  }
  absl::Status TakeCells(std::span<const int32_t> cells) override;

 private:
  SimBackend(const kernels::SimOptions& sim, const kernels::PoolView& host_pool)
      : device_(sim), ops_(&device_), host_pool_(host_pool), pool_(host_pool) {}

  absl::Status Start(const std::string& model_dir, const engine::ModelConfig& config,
                     const engine::DeviceRunnerOptions& options);

  kernels::SimDevice device_;
  SimLibraryOps ops_;
  const kernels::PoolView host_pool_;
  kernels::PoolView pool_;  // the device's
  kernels::DeviceBuffer memory_, stage_;
  std::unique_ptr<kernels::DeviceStream> stream_;
  std::unique_ptr<engine::DeviceRunner> runner_;
  engine::StepShape least_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SIMT_SIM_BACKEND_H_
