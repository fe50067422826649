// Which GPU a device spec means, from what the driver says of this machine: pure, so that every way
// in which a GPU can be missing or unusable is tested without one.
#ifndef CHORUS_KERNELS_DEVICE_CUDA_CHOICE_H_
#define CHORUS_KERNELS_DEVICE_CUDA_CHOICE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace chorus::kernels {

constexpr int32_t kMinComputeCapability = 80;

// How the device layer sorts CUDA's error codes at start.
enum class CudaProblem : uint8_t {
  kNone,
  kNoDevice,      // the driver runs and lists nothing
  kOldDriver,     // older than this build needs, or no driver library at all
  kNoPermission,  // the operating system or the driver forbids it
  kBusy,          // exclusive or prohibited compute mode
  kNotReady,      // the machine's fabric or driver is still starting
  kMismatch,      // kernel module and library of the driver are of different versions
  kOther,
};

struct CudaGpu {
  std::string name;
  std::string uuid;  // GPU-…
  int32_t compute_capability = 0;
  bool prohibited = false;  // by its compute mode
};

struct CudaFacts {
  CudaProblem problem = CudaProblem::kNone;  // of listing the GPUs
  std::string error;                         // CUDA's name and text of it
  int32_t driver_version = 0;                // 13000 for 13.0; 0: no driver library
  int32_t runtime_version = 0;               // what this build was made with
  enum class KernelDriver : uint8_t { kAbsent, kForbidden, kPresent };
  KernelDriver kernel_driver = KernelDriver::kAbsent;  // /dev/nvidiactl
  std::optional<std::string> visible_devices;          // CUDA_VISIBLE_DEVICES
  std::vector<CudaGpu> gpus;                           // in CUDA's order
};

struct CudaChoice {
  int32_t ordinal = 0;
  std::string why;  // "cuda:0, NVIDIA H100 80GB HBM3 (GPU-…): the first usable one of 2"
};

// `spec` is "auto", "cuda" (both: the first usable GPU) or "cuda:N". InvalidArgument for another
// spec; NotFound when the machine has no GPU or hides it; FailedPrecondition when there is one that
// cannot be used. Messages say what was found and what is needed.
absl::StatusOr<CudaChoice> ChooseCudaGpu(absl::string_view spec, const CudaFacts& facts);

// Why the chosen GPU could not be opened, after `problem` came from making its context.
absl::Status CudaOpenError(const CudaChoice& choice, CudaProblem problem, absl::string_view error);

}  // namespace chorus::kernels

#endif  // CHORUS_KERNELS_DEVICE_CUDA_CHOICE_H_
