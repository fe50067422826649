// CudaDevice: the Device that is a CUDA card, over the CUDA runtime. Only built with CUDA; needs no
// CUDA header, and starts (with a Status) on a machine that has no driver.
#ifndef CHORUS_KERNELS_DEVICE_CUDA_DEVICE_H_
#define CHORUS_KERNELS_DEVICE_CUDA_DEVICE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/device/device.h"

struct CUstream_st;  // what cudaStream_t points to

namespace chorus::kernels {

class CudaDevice : public Device {
 public:
  // `spec` is "auto", "cuda" or "cuda:N", N as CUDA counts after CUDA_VISIBLE_DEVICES. Makes the
  // context of the GPU. NotFound: there is no GPU (with "auto": use the CPU). FailedPrecondition:
  // there is one that cannot be used, and why. InvalidArgument: no such spec.
  static absl::StatusOr<std::unique_ptr<CudaDevice>> Open(absl::string_view spec);

  // One line: which GPU, and why that one.
  virtual const std::string& choice() const = 0;
  // As cudaSetDevice counts.
  virtual int32_t ordinal() const = 0;

  // For libraries that enqueue by themselves (cuBLASLt, attention): the stream to give them, and
  // the check after each of their launches, which also counts it. REQUIRES: a CudaDevice's stream.
  static CUstream_st* Native(DeviceStream* stream);
  static absl::Status LaunchStatus(const char* op, DeviceStream* stream);
};

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_CUDA_DEVICE_H_
