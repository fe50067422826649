#include "kernels/device/cuda_context.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/device/cuda_errors.h"

namespace chorus::kernels {

absl::Status CudaContext::Enter() {
  if (lost_.load(std::memory_order_acquire)) {
    const MutexLock lock(&mutex_);
    return error_;
  }
  // The current device is each thread's own, and a library may have changed it.
  return Check(cudaSetDevice(ordinal_), "cudaSetDevice");
}

absl::Status CudaContext::Check(cudaError_t error, absl::string_view op, const char* last_launch) {
  if (error == cudaSuccess) return absl::OkStatus();
  cudaGetLastError();  // or the next launch of this thread would report it once more
  const bool sticky = IsStickyCudaError(error);
  if (last_launch == nullptr) last_launch = last_launch_.load(std::memory_order_relaxed);
  const std::string detail =
      sticky && last_launch != nullptr ? absl::StrCat("launched last: ", last_launch) : "";
  absl::Status status = CudaErrorStatus(error, op, detail);
  if (!sticky) return status;
  const MutexLock lock(&mutex_);
  if (error_.ok()) error_ = std::move(status);
  lost_.store(true, std::memory_order_release);
  return error_;
}

int32_t CudaContext::PreparedBytes(const void* entry) {
  const MutexLock lock(&mutex_);
  const auto found = prepared_bytes_.find(entry);
  return found == prepared_bytes_.end() ? 0 : found->second;
}

void CudaContext::SetPreparedBytes(const void* entry, int32_t shared_bytes) {
  const MutexLock lock(&mutex_);
  int32_t& bytes = prepared_bytes_[entry];
  bytes = std::max(bytes, shared_bytes);
}

}  // namespace chorus::kernels
