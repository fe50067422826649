// The CUDA backend of paged attention: FlashInfer's FA2 kernel over our pages and our plan.
//
// A call launches one kernel, and a merge if it splits. It neither allocates nor synchronises nor
// reads what the device computes, so it can be captured; each call does ask the driver for the
// current device, two or three of its attributes and an occupancy, and sets the kernels' shared
// memory limit: a few microseconds, none of them in a replayed graph. Call it once for each layout
// before the first capture, since the first launch of a kernel loads it.
#ifndef CHORUS_KERNELS_ATTENTION_PAGED_ATTENTION_CUDA_H_
#define CHORUS_KERNELS_ATTENTION_PAGED_ATTENTION_CUDA_H_

#include "absl/status/status.h"
#include "kernels/attention/device_attention.h"
#include "kernels/device/device.h"

namespace chorus::kernels {

// InvalidArgument unless the kernels have heads of this size.
absl::Status CheckCudaHeadDim(int32_t head_dim);

// InvalidArgument as CheckDeviceAttention says; Internal with CUDA's or FlashInfer's word for what
// they refuse. REQUIRES: `stream` is of a CudaDevice, the last one that the calling thread called.
absl::Status PagedAttentionCuda(const DeviceAttentionArgs& args, DeviceStream* stream);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_ATTENTION_PAGED_ATTENTION_CUDA_H_
