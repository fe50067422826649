#include "kernels/device/cuda_errors.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace chorus::kernels {
namespace {

std::string UuidText(const cudaUUID_t& uuid) {
  std::string text = "GPU";
  for (int i = 0; i < 16; ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    absl::StrAppendFormat(&text, "%02x", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

CudaFacts::KernelDriver FindKernelDriver() {
  constexpr char kControl[] = "/dev/nvidiactl";
  // Opening asks what access() does not: a container's device rules.
  const int file = open(kControl, O_RDWR | O_CLOEXEC);
  if (file >= 0) {
    close(file);
    return CudaFacts::KernelDriver::kPresent;
  }
  return errno == EACCES || errno == EPERM ? CudaFacts::KernelDriver::kForbidden
                                           : CudaFacts::KernelDriver::kAbsent;
}

cudaError_t ListGpus(std::vector<CudaGpu>* gpus) {
  int count = 0;
  if (cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) return error;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    if (cudaError_t error = cudaGetDeviceProperties(&properties, i); error != cudaSuccess) {
      return error;
    }
    int compute_mode = cudaComputeModeDefault;
    if (cudaError_t error = cudaDeviceGetAttribute(&compute_mode, cudaDevAttrComputeMode, i);
        error != cudaSuccess) {
      return error;
    }
    gpus->push_back({.name = properties.name,
                     .uuid = UuidText(properties.uuid),
                     .compute_capability = 10 * properties.major + properties.minor,
                     .prohibited = compute_mode == cudaComputeModeProhibited});
  }
  return cudaSuccess;
}

}  // namespace

std::string CudaErrorText(cudaError_t error) {
  return absl::StrCat(cudaGetErrorName(error), ": ", cudaGetErrorString(error));
}

// What capturing a graph refuses; the device goes on.
static bool IsCaptureError(cudaError_t error) {
  switch (error) {
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated:
    case cudaErrorStreamCaptureMerge:
    case cudaErrorStreamCaptureUnmatched:
    case cudaErrorStreamCaptureUnjoined:
    case cudaErrorStreamCaptureIsolation:
    case cudaErrorStreamCaptureImplicit:
    case cudaErrorCapturedEvent:
    case cudaErrorStreamCaptureWrongThread:
      return true;
    default:
      return false;
  }
}

bool IsStickyCudaError(cudaError_t error) {
  switch (error) {
    case cudaErrorInvalidValue:
    case cudaErrorMemoryAllocation:
    case cudaErrorInvalidConfiguration:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorInvalidDevice:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorInvalidResourceHandle:
    case cudaErrorIllegalState:
    case cudaErrorSymbolNotFound:
    case cudaErrorNotReady:
    case cudaErrorLaunchOutOfResources:
    case cudaErrorNotSupported:
      return false;
    default:
      return !IsCaptureError(error);
  }
}

absl::Status CudaErrorStatus(cudaError_t error, absl::string_view op, absl::string_view detail) {
  const std::string message =
      absl::StrCat(op, ": ", CudaErrorText(error), detail.empty() ? "" : "; ", detail);
  switch (error) {
    case cudaErrorMemoryAllocation:
      return absl::ResourceExhaustedError(message);
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorIllegalState:
      return absl::FailedPreconditionError(message);
    default:
      return IsCaptureError(error) ? absl::FailedPreconditionError(message)
                                   : absl::InternalError(message);
  }
}

CudaProblem ProblemOf(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return CudaProblem::kNone;
    case cudaErrorNoDevice:
      return CudaProblem::kNoDevice;
    case cudaErrorInsufficientDriver:
    case cudaErrorCallRequiresNewerDriver:
    case cudaErrorStubLibrary:
      return CudaProblem::kOldDriver;
    case cudaErrorNotPermitted:
    case cudaErrorOperatingSystem:
      return CudaProblem::kNoPermission;
    case cudaErrorDevicesUnavailable:
    case cudaErrorDeviceAlreadyInUse:
      return CudaProblem::kBusy;
    case cudaErrorSystemNotReady:
    case cudaErrorMpsServerNotReady:
      return CudaProblem::kNotReady;
    case cudaErrorSystemDriverMismatch:
    case cudaErrorCompatNotSupportedOnDevice:
      return CudaProblem::kMismatch;
    default:
      return CudaProblem::kOther;
  }
}

CudaFacts GatherCudaFacts() {
  CudaFacts facts;
  facts.kernel_driver = FindKernelDriver();
  if (const char* visible = std::getenv("CUDA_VISIBLE_DEVICES")) facts.visible_devices = visible;
  facts.runtime_version = CUDART_VERSION;
  // Says 0 and succeeds where there is no driver library.
  if (cudaDriverGetVersion(&facts.driver_version) != cudaSuccess) facts.driver_version = 0;
  const cudaError_t error = ListGpus(&facts.gpus);
  facts.problem = ProblemOf(error);
  if (error != cudaSuccess) facts.error = CudaErrorText(error);
  cudaGetLastError();  // this thread starts without an error
  return facts;
}

}  // namespace chorus::kernels
