// DeviceBackend: a ModelHost's model on a device, whichever, by the runner of devices.
#ifndef CHORUS_TESTS_SUPPORT_DEVICE_BACKEND_H_
#define CHORUS_TESTS_SUPPORT_DEVICE_BACKEND_H_

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/model/device_runner.h"
#include "kernels/library/library_ops.h"
#include "tests/support/model_host.h"

namespace chorus::test {

// A device with its libraries.
struct DeviceSetup {
  std::unique_ptr<kernels::Device> device;
  std::unique_ptr<kernels::LibraryOps> ops;
  std::function<absl::Status()> finish;  // what is to be OK at the end; may be null
};
using MakeDevice = std::function<absl::StatusOr<DeviceSetup>()>;

class DeviceBackend : public HostBackend {
 public:
  // A host on the device. bf16 or f16; the pool's B tiles are a device's whatever `host` says.
  static absl::StatusOr<std::unique_ptr<ModelHost>> Open(const std::string& model_dir,
                                                         HostOptions host, const MakeDevice& make,
                                                         const engine::DeviceRunnerOptions& runner);
  // REQUIRES: opened here.
  static DeviceBackend& Of(ModelHost& host) { return static_cast<DeviceBackend&>(host.backend()); }

  // Fails the test when the device was misused, or asked for memory while it ran.
  ~DeviceBackend() override;

  engine::Runner& runner() override { return *runner_; }
  engine::DeviceRunner& device_runner() { return *runner_; }
  kernels::Device& device() { return *setup_.device; }
  // Of the steps from now on.
  void set_least_shape(const engine::StepShape& shape) { least_ = shape; }

  absl::StatusOr<std::vector<float>> RunForLogits(const engine::StepPlan& plan,
                                                  std::span<const int32_t> rows) override {
    return runner_->RunForLogits(plan, rows, least_);
  }
  absl::Status TakeCells(std::span<const int32_t> cells) override;

 private:
  DeviceBackend(DeviceSetup setup, const kernels::PoolView& host_pool)
      : setup_(std::move(setup)), host_pool_(host_pool) {}

  absl::Status Start(const std::string& model_dir, const engine::ModelConfig& config,
                     engine::DeviceRunnerOptions options);

  DeviceSetup setup_;
  const kernels::PoolView host_pool_;
  kernels::DeviceBuffer stage_;
  std::unique_ptr<kernels::DeviceStream> stream_;
  std::unique_ptr<engine::DeviceRunner> runner_;
  engine::StepShape least_;
};

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_DEVICE_BACKEND_H_
