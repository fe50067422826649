// Linear of the simulator: plain loops over the shapes and arguments that cuBLASLt gets.
#ifndef CHORUS_TESTS_SIMT_LINEAR_SIM_H_
#define CHORUS_TESTS_SIMT_LINEAR_SIM_H_

#include "absl/status/status.h"
#include "kernels/linear/device_linear.h"
#include "tests/simt/sim_device.h"

namespace chorus::test {

// Runs at once: f32 sums over ascending inputs, rounded to y's type at the end. InvalidArgument as
// CheckDeviceLinear says.
absl::Status LinearSim(const kernels::DeviceLinearShape& shape,
                       const kernels::DeviceLinearArgs& args);

// Enqueues it on a stream of `device`, which learns what it reads and writes.
absl::Status EnqueueLinear(const kernels::DeviceLinearShape& shape,
                           const kernels::DeviceLinearArgs& args, kernels::SimDevice* device,
                           kernels::DeviceStream* stream);

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SIMT_LINEAR_SIM_H_
