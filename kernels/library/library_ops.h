// LibraryOps: what a device computes by libraries rather than by kernels of ours: matrix products
// and attention. MakeCudaLibraryOps gives those of a CUDA device (cuBLASLt, FlashInfer's kernels),
// the simulator has plain loops (tests/simt/library_ops_sim.h). One thread and one stream at a
// time.
#ifndef CHORUS_KERNELS_LIBRARY_LIBRARY_OPS_H_
#define CHORUS_KERNELS_LIBRARY_LIBRARY_OPS_H_

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/attention/device_attention.h"
#include "kernels/device/device.h"
#include "kernels/linear/device_linear.h"

namespace chorus::kernels {

class LibraryOps {
 public:
  virtual ~LibraryOps() = default;

  // InvalidArgument unless attention has heads of this size.
  virtual absl::Status CheckHeadDim(int32_t head_dim) const = 0;

  // The number by which Linear knows `shape`, one number for equal shapes. `samples`, at least one,
  // are arguments as Linear will get them; each y is overwritten. Blocks; before Device::Seal.
  virtual absl::StatusOr<int32_t> PlanLinear(const DeviceLinearShape& shape,
                                             std::span<const DeviceLinearArgs> samples,
                                             DeviceStream* stream) = 0;

  // Both enqueue, and can be captured. InvalidArgument when the arguments do not fit.
  virtual absl::Status Linear(int32_t number, const DeviceLinearArgs& args,
                              DeviceStream* stream) = 0;
  virtual absl::Status PagedAttention(const DeviceAttentionArgs& args, DeviceStream* stream) = 0;
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_LIBRARY_LIBRARY_OPS_H_
