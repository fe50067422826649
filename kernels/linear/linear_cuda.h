// LinearPlanner: the GEMMs of a CUDA device, by cuBLASLt. Plan, at start and for each shape, asks
// the library for a few algorithms, times them on the weights that they will read, and keeps the
// fastest; Run only enqueues, so it can be captured.
//
// One planner a device, one thread at a time. The library is opened at run time: a machine without
// it gets a Status.
#ifndef CHORUS_KERNELS_LINEAR_LINEAR_CUDA_H_
#define CHORUS_KERNELS_LINEAR_LINEAR_CUDA_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/device/device.h"
#include "kernels/linear/device_linear.h"

namespace chorus::kernels {

// A stream that runs GEMMs has one workspace of this size, 256-byte aligned.
constexpr int64_t kLinearWorkspaceBytes = int64_t{32} << 20;

class LinearPlanner {
 public:
  // `choices_path` names the file of earlier measurements (kernels/linear/linear_choices.h), empty
  // for none; what cannot be read there is measured anew. NotFound without cuBLASLt.
  // REQUIRES: a CudaDevice, which outlives the planner.
  static absl::StatusOr<std::unique_ptr<LinearPlanner>> Create(Device* device,
                                                               std::string choices_path);
  virtual ~LinearPlanner() = default;

  // The number by which Run knows `shape`, one number for equal shapes. `samples`, at least one,
  // are arguments as Run will get them (each layer's): they give the alignments, and are timed in
  // turn, so that weights come from memory and not from a cache; each y is overwritten. Blocks.
  // InvalidArgument as CheckDeviceLinear says; Unimplemented when the library has no algorithm, as
  // may be with a bias; Internal as CUDA says.
  virtual absl::StatusOr<int32_t> Plan(const DeviceLinearShape& shape,
                                       std::span<const DeviceLinearArgs> samples,
                                       std::byte* workspace, DeviceStream* stream) = 0;

  // Enqueues a GEMM. `workspace` is the stream's. InvalidArgument when a pointer is less aligned
  // than the samples were. REQUIRES: `number` came from Plan; `stream` is of the planner's device,
  // the last one that the calling thread called.
  virtual absl::Status Run(int32_t number, const DeviceLinearArgs& args, std::byte* workspace,
                           DeviceStream* stream) = 0;

  // Writes what was measured to the file, if anything was. Internal when it cannot be written.
  virtual absl::Status SaveChoices() = 0;

  // How many shapes Plan had to measure.
  virtual int32_t num_measured() const = 0;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LINEAR_LINEAR_CUDA_H_
