#include "kernels/device/cuda_device.h"

#include <cuda_runtime_api.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "kernels/device/block_limits.h"
#include "kernels/device/cluster_check.h"
#include "kernels/device/cuda_choice.h"
#include "kernels/device/cuda_context.h"
#include "kernels/device/cuda_errors.h"
#include "kernels/device/cuda_stream.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

class CudaDeviceImpl : public CudaDevice {
 public:
  explicit CudaDeviceImpl(CudaChoice choice)
      : choice_(std::move(choice)), context_(choice_.ordinal) {}

  absl::Status ReadInfo();

  const std::string& choice() const override { return choice_.why; }
  int32_t ordinal() const override { return context_.ordinal(); }
  const DeviceInfo& info() const override { return info_; }
  absl::StatusOr<int64_t> FreeBytes() override;
  absl::StatusOr<DeviceBuffer> Allocate(int64_t bytes) override;
  absl::StatusOr<DeviceBuffer> AllocatePinned(int64_t bytes) override;
  absl::StatusOr<std::unique_ptr<DeviceStream>> NewStream(Priority priority) override {
    return CudaStream::New(&context_, priority);
  }
  absl::StatusOr<std::unique_ptr<DeviceEvent>> NewEvent() override {
    return CudaEvent::New(&context_);
  }
  absl::StatusOr<std::unique_ptr<DeviceTimer>> NewTimer() override {
    return NewCudaTimer(&context_);
  }
  absl::Status Prepare(const Kernel& kernel, int32_t shared_bytes) override;
  absl::StatusOr<int32_t> ResidentBlocks(const Kernel& kernel, int32_t shared_bytes) override;
  void Seal() override { context_.Seal(); }
  DeviceCounters counters() const override { return context_.counters(); }

 private:
  // Whether this GPU can run the kernel as asked, whose code says `attributes`.
  absl::Status CheckFits(const Kernel& kernel, int32_t shared_bytes,
                         const cudaFuncAttributes& attributes) const;
  static void FreeDevice(void* context, void* data);
  static void FreePinned(void* context, void* data);

  const CudaChoice choice_;
  CudaContext context_;
  DeviceInfo info_;
  int64_t reserved_shared_bytes_ = 0;  // that the system keeps of every block
};

absl::Status CudaDeviceImpl::ReadInfo() {
  cudaDeviceProp properties;
  CHORUS_RETURN_IF_ERROR(context_.Check(cudaGetDeviceProperties(&properties, context_.ordinal()),
                                        "cudaGetDeviceProperties"));
  info_.name = properties.name;
  info_.compute_capability = 10 * properties.major + properties.minor;
  context_.set_allows_early(info_.compute_capability >= 90);
  info_.multiprocessors = properties.multiProcessorCount;
  info_.max_block_shared_bytes = static_cast<int32_t>(properties.sharedMemPerBlockOptin);
  reserved_shared_bytes_ = static_cast<int64_t>(properties.reservedSharedMemPerBlock);
  info_.l2_bytes = properties.l2CacheSize;
  info_.total_bytes = static_cast<int64_t>(properties.totalGlobalMem);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> CudaDeviceImpl::FreeBytes() {
  CHORUS_RETURN_IF_ERROR(context_.Enter());
  size_t free = 0;
  size_t total = 0;
  CHORUS_RETURN_IF_ERROR(context_.Check(cudaMemGetInfo(&free, &total), "FreeBytes"));
  return static_cast<int64_t>(free);
}

void CudaDeviceImpl::FreeDevice(void* context, void* data) {
  CudaContext& cuda = *static_cast<CudaContext*>(context);
  if (!cuda.Enter().ok()) return;
  cuda.CountAllocation();
  cuda.Check(cudaFree(data), "cudaFree").IgnoreError();
}

void CudaDeviceImpl::FreePinned(void* context, void* data) {
  CudaContext& cuda = *static_cast<CudaContext*>(context);
  if (!cuda.Enter().ok()) return;
  cuda.CountAllocation();
  cuda.Check(cudaFreeHost(data), "cudaFreeHost").IgnoreError();
}

absl::StatusOr<DeviceBuffer> CudaDeviceImpl::Allocate(int64_t bytes) {
  CHORUS_CHECK_GT(bytes, 0);
  CHORUS_RETURN_IF_ERROR(context_.Enter());
  context_.CountAllocation();
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, static_cast<size_t>(bytes));
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    CHORUS_ASSIGN_OR_RETURN(const int64_t free, FreeBytes());
    return absl::ResourceExhaustedError(absl::StrCat("GPU memory: need ", bytes, " bytes, ", free,
                                                     " of ", info_.total_bytes, " are free on ",
                                                     info_.name));
  }
  CHORUS_RETURN_IF_ERROR(context_.Check(error, "Allocate"));
  return DeviceBuffer(static_cast<std::byte*>(data), bytes, &context_, &FreeDevice);
}

absl::StatusOr<DeviceBuffer> CudaDeviceImpl::AllocatePinned(int64_t bytes) {
  CHORUS_CHECK_GT(bytes, 0);
  CHORUS_RETURN_IF_ERROR(context_.Enter());
  context_.CountAllocation();
  void* data = nullptr;
  const cudaError_t error = cudaHostAlloc(&data, static_cast<size_t>(bytes), cudaHostAllocDefault);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return absl::ResourceExhaustedError(
        absl::StrCat("pinned memory: need ", bytes,
                     " bytes, the system gives none (free memory, or the limit of locked memory)"));
  }
  CHORUS_RETURN_IF_ERROR(context_.Check(error, "AllocatePinned"));
  return DeviceBuffer(static_cast<std::byte*>(data), bytes, &context_, &FreePinned);
}

absl::Status CudaDeviceImpl::CheckFits(const Kernel& kernel, int32_t shared_bytes,
                                       const cudaFuncAttributes& attributes) const {
  CHORUS_RETURN_IF_ERROR(CheckBlockShared(kernel, shared_bytes,
                                          static_cast<int64_t>(attributes.sharedSizeBytes),
                                          reserved_shared_bytes_, info_));
  if (kernel.threads > attributes.maxThreadsPerBlock) {
    return absl::FailedPreconditionError(
        absl::StrCat(kernel.name, ": has blocks of ", kernel.threads, " threads, at most ",
                     attributes.maxThreadsPerBlock, " fit on ", info_.name));
  }
  return absl::OkStatus();
}

absl::Status CudaDeviceImpl::Prepare(const Kernel& kernel, int32_t shared_bytes) {
  if (context_.sealed()) {
    return absl::FailedPreconditionError(absl::StrCat(kernel.name, ": prepared after Seal"));
  }
  if (kernel.cuda_entry == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(kernel.name, ": was not compiled for CUDA"));
  }
  CHORUS_RETURN_IF_ERROR(CheckClusters(kernel, info_));
  CHORUS_RETURN_IF_ERROR(context_.Enter());
  cudaFuncAttributes attributes;
  const cudaError_t error = cudaFuncGetAttributes(&attributes, kernel.cuda_entry);
  if (error == cudaErrorInvalidDeviceFunction) {  // another name for no kernel image
    cudaGetLastError();
    return absl::FailedPreconditionError(
        absl::StrCat(kernel.name, ": has no code for compute capability ",
                     info_.compute_capability / 10, ".", info_.compute_capability % 10));
  }
  CHORUS_RETURN_IF_ERROR(context_.Check(error, kernel.name));
  CHORUS_RETURN_IF_ERROR(CheckFits(kernel, shared_bytes, attributes));
  if (shared_bytes > context_.PreparedBytes(kernel.cuda_entry)) {
    CHORUS_RETURN_IF_ERROR(context_.Check(
        cudaFuncSetAttribute(kernel.cuda_entry, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             shared_bytes),
        kernel.name));
    context_.SetPreparedBytes(kernel.cuda_entry, shared_bytes);
  }
  return absl::OkStatus();
}

absl::StatusOr<int32_t> CudaDeviceImpl::ResidentBlocks(const Kernel& kernel, int32_t shared_bytes) {
  CHORUS_RETURN_IF_ERROR(CheckClusters(kernel, info_));
  CHORUS_RETURN_IF_ERROR(context_.Enter());
  if (kernel.cluster_blocks == 1) {
    int blocks = 0;
    CHORUS_RETURN_IF_ERROR(context_.Check(
        cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel.cuda_entry, kernel.threads,
                                                      static_cast<size_t>(shared_bytes)),
        kernel.name));
    if (blocks == 0) return NoClusterFits(kernel, info_);
    return blocks * info_.multiprocessors;
  }
  CudaLaunch launch(kernel, kernel.cluster_blocks, shared_bytes, nullptr);
  int clusters = 0;
  CHORUS_RETURN_IF_ERROR(context_.Check(
      cudaOccupancyMaxActiveClusters(&clusters, kernel.cuda_entry, launch.config()), kernel.name));
  if (clusters == 0) return NoClusterFits(kernel, info_);
  return clusters * kernel.cluster_blocks;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CudaDevice>> CudaDevice::Open(absl::string_view spec) {
  CHORUS_ASSIGN_OR_RETURN(CudaChoice choice, ChooseCudaGpu(spec, GatherCudaFacts()));
  cudaError_t error = cudaSetDevice(choice.ordinal);
  if (error == cudaSuccess) error = cudaFree(nullptr);  // makes the context, where it is not yet
  if (error != cudaSuccess) {
    cudaGetLastError();
    return CudaOpenError(choice, ProblemOf(error), CudaErrorText(error));
  }
  auto device = std::make_unique<CudaDeviceImpl>(std::move(choice));
  CHORUS_RETURN_IF_ERROR(device->ReadInfo());
  return std::unique_ptr<CudaDevice>(std::move(device));
}

CUstream_st* CudaDevice::Native(DeviceStream* stream) {
  return static_cast<CudaStream*>(stream)->stream();
}

absl::Status CudaDevice::LaunchStatus(const char* op, DeviceStream* stream) {
  return static_cast<CudaStream*>(stream)->CheckForeignLaunch(op);
}

}  // namespace chorus::kernels
