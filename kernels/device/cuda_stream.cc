#include "kernels/device/cuda_stream.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

class CudaGraph : public DeviceGraph {
 public:
  CudaGraph(CudaContext* context, cudaGraphExec_t graph) : context_(context), graph_(graph) {}
  ~CudaGraph() override {
    if (!context_->Enter().ok()) return;
    context_->CountAllocation();
    context_->Check(cudaGraphExecDestroy(graph_), "cudaGraphExecDestroy").IgnoreError();
  }

  cudaGraphExec_t graph() const { return graph_; }

 private:
  CudaContext* const context_;
  const cudaGraphExec_t graph_;
};

class CudaTimer : public DeviceTimer {
 public:
  CudaTimer(CudaContext* context, cudaEvent_t start, cudaEvent_t stop)
      : context_(context), start_(start), stop_(stop) {}
  ~CudaTimer() override {
    if (!context_->Enter().ok()) return;
    context_->Check(cudaEventDestroy(start_), "cudaEventDestroy").IgnoreError();
    context_->Check(cudaEventDestroy(stop_), "cudaEventDestroy").IgnoreError();
  }

  absl::Status Start(DeviceStream* stream) override { return RecordOn(stream, start_); }
  absl::Status Stop(DeviceStream* stream) override { return RecordOn(stream, stop_); }
  absl::StatusOr<double> ElapsedUs() override {
    CHORUS_RETURN_IF_ERROR(context_->Enter());
    CHORUS_RETURN_IF_ERROR(context_->Check(cudaEventSynchronize(stop_), "DeviceTimer::ElapsedUs"));
    float milliseconds = 0;
    CHORUS_RETURN_IF_ERROR(context_->Check(cudaEventElapsedTime(&milliseconds, start_, stop_),
                                           "DeviceTimer::ElapsedUs"));
    return 1e3 * milliseconds;
  }

 private:
  absl::Status RecordOn(DeviceStream* stream, cudaEvent_t event) {
    CHORUS_RETURN_IF_ERROR(context_->Enter());
    CudaStream& cuda_stream = *static_cast<CudaStream*>(stream);
    cuda_stream.EndLaunches();
    return context_->Check(cudaEventRecord(event, cuda_stream.stream()), "DeviceTimer");
  }

  CudaContext* const context_;
  const cudaEvent_t start_;
  const cudaEvent_t stop_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceEvent>> CudaEvent::New(CudaContext* context) {
  CHORUS_RETURN_IF_ERROR(context->Enter());
  cudaEvent_t event = nullptr;
  CHORUS_RETURN_IF_ERROR(
      context->Check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "NewEvent"));
  return std::unique_ptr<DeviceEvent>(new CudaEvent(context, event));
}

CudaEvent::~CudaEvent() {
  if (!context_->Enter().ok()) return;
  context_->Check(cudaEventDestroy(event_), "cudaEventDestroy").IgnoreError();
}

absl::StatusOr<bool> CudaEvent::Done() {
  CHORUS_RETURN_IF_ERROR(context_->Enter());
  const cudaError_t error = cudaEventQuery(event_);
  if (error == cudaErrorNotReady) {
    cudaGetLastError();
    return false;
  }
  CHORUS_RETURN_IF_ERROR(context_->Check(error, "DeviceEvent::Done", last_launch_));
  return true;
}

absl::Status CudaEvent::Wait() {
  CHORUS_RETURN_IF_ERROR(context_->Enter());
  return context_->Check(cudaEventSynchronize(event_), "DeviceEvent::Wait", last_launch_);
}

absl::StatusOr<std::unique_ptr<DeviceStream>> CudaStream::New(CudaContext* context,
                                                              Device::Priority priority) {
  CHORUS_RETURN_IF_ERROR(context->Enter());
  int least = 0;
  int greatest = 0;
  CHORUS_RETURN_IF_ERROR(
      context->Check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "NewStream"));
  cudaStream_t stream = nullptr;
  CHORUS_RETURN_IF_ERROR(context->Check(
      cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking,
                                   priority == Device::Priority::kHigh ? greatest : least),
      "NewStream"));
  context->CountAllocation();
  return std::unique_ptr<DeviceStream>(new CudaStream(context, stream));
}

CudaStream::~CudaStream() {
  if (!context_->Enter().ok()) return;
  context_->CountAllocation();
  context_->Check(cudaStreamDestroy(stream_), "cudaStreamDestroy", last_launch_).IgnoreError();
}

absl::Status CudaStream::Copy(void* to, const void* from, int64_t bytes, cudaMemcpyKind kind,
                              const char* op) {
  CHORUS_CHECK_GE(bytes, 0);
  CHORUS_RETURN_IF_ERROR(context_->Enter());
  if (bytes == 0) return absl::OkStatus();
  EndLaunches();
  return context_->Check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), kind, stream_), op,
                         last_launch_);
}

absl::Status CudaStream::CopyToDevice(void* to, const void* host_from, int64_t bytes) {
  return Copy(to, host_from, bytes, cudaMemcpyHostToDevice, "CopyToDevice");
}

absl::Status CudaStream::CopyMany(std::span<const DeviceCopy> copies, const char* op) {
  CHORUS_RETURN_IF_ERROR(context_->Enter());
  if (capturing_) {
    return absl::FailedPreconditionError(absl::StrCat(op, ": the stream is capturing"));
  }
  std::vector<void*> to;
  std::vector<const void*> from;
  std::vector<size_t> bytes;
  for (const DeviceCopy& copy : copies) {
    CHORUS_CHECK_GE(copy.bytes, 0);
    if (copy.bytes == 0) continue;  // the library refuses it
    to.push_back(copy.to);
    from.push_back(copy.from);
    bytes.push_back(static_cast<size_t>(copy.bytes));
  }
  if (to.empty()) return absl::OkStatus();
  EndLaunches();
  cudaMemcpyAttributes attributes = {};
  attributes.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
  attributes.flags = cudaMemcpyFlagPreferOverlapWithCompute;
  size_t first = 0;  // of those with these attributes
  return context_->Check(cudaMemcpyBatchAsync(to.data(), from.data(), bytes.data(), to.size(),
                                              &attributes, &first, 1, stream_),
                         op, last_launch_);
}

absl::Status CudaStream::CopyToHost(void* host_to, const void* from, int64_t bytes) {
  return Copy(host_to, from, bytes, cudaMemcpyDeviceToHost, "CopyToHost");
}

absl::Status CudaStream::CopyOnDevice(void* to, const void* from, int64_t bytes) {
  return Copy(to, from, bytes, cudaMemcpyDeviceToDevice, "CopyOnDevice");
}

absl::Status CudaStream::Fill(void* to, uint8_t value, int64_t bytes) {
  CHORUS_CHECK_GE(bytes, 0);
  CHORUS_RETURN_IF_ERROR(context_->Enter());
  if (bytes == 0) return absl::OkStatus();
  EndLaunches();
  return context_->Check(cudaMemsetAsync(to, value, static_cast<size_t>(bytes), stream_), "Fill",
                         last_launch_);
}

absl::Status CudaStream::Record(DeviceEvent* event) {
  CudaEvent* const cuda_event = static_cast<CudaEvent*>(event);
  CHORUS_RETURN_IF_ERROR(context_->Enter());
  EndLaunches();
  CHORUS_RETURN_IF_ERROR(
      context_->Check(cudaEventRecord(cuda_event->event(), stream_), "Record", last_launch_));
  cuda_event->set_last_launch(last_launch_);
  return absl::OkStatus();
}

absl::Status CudaStream::Wait(DeviceEvent* event) {
  CHORUS_RETURN_IF_ERROR(context_->Enter());
  EndLaunches();
  return context_->Check(
      cudaStreamWaitEvent(stream_, static_cast<CudaEvent*>(event)->event(), cudaEventWaitDefault),
      "DeviceStream::Wait", last_launch_);
}

absl::Status CudaStream::Synchronize() {
  CHORUS_RETURN_IF_ERROR(context_->Enter());
  return context_->Check(cudaStreamSynchronize(stream_), "Synchronize", last_launch_);
}

absl::Status CudaStream::BeginCapture() {
  CHORUS_RETURN_IF_ERROR(context_->Enter());
  if (capturing_) return absl::FailedPreconditionError("BeginCapture: the stream is capturing");
  // Thread-local: what this thread must not do meanwhile fails, other threads go on.
  CHORUS_RETURN_IF_ERROR(
      context_->Check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal),
                      "BeginCapture", last_launch_));
  capturing_ = true;
  EndLaunches();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<DeviceGraph>> CudaStream::EndCapture() {
  CHORUS_RETURN_IF_ERROR(context_->Enter());
  if (!capturing_) {
    return absl::FailedPreconditionError("EndCapture: no capture was begun on this stream");
  }
  capturing_ = false;
  EndLaunches();
  cudaGraph_t captured = nullptr;
  CHORUS_RETURN_IF_ERROR(
      context_->Check(cudaStreamEndCapture(stream_, &captured), "EndCapture", last_launch_));
  cudaGraphExec_t graph = nullptr;
  // Kernels keep the priorities of the streams they were captured on.
  const absl::Status made = context_->Check(
      cudaGraphInstantiate(&graph, captured, cudaGraphInstantiateFlagUseNodePriority),
      "cudaGraphInstantiate");
  const absl::Status dropped = context_->Check(cudaGraphDestroy(captured), "cudaGraphDestroy");
  CHORUS_RETURN_IF_ERROR(made);
  context_->CountAllocation();
  auto result = std::make_unique<CudaGraph>(context_, graph);
  CHORUS_RETURN_IF_ERROR(dropped);
  // Now, so that the first replay does not pay for it.
  CHORUS_RETURN_IF_ERROR(context_->Check(cudaGraphUpload(graph, stream_), "cudaGraphUpload"));
  return std::unique_ptr<DeviceGraph>(std::move(result));
}

absl::Status CudaStream::Replay(DeviceGraph* graph) {
  CHORUS_RETURN_IF_ERROR(context_->Enter());
  EndLaunches();
  CHORUS_RETURN_IF_ERROR(context_->Check(
      cudaGraphLaunch(static_cast<CudaGraph*>(graph)->graph(), stream_), "Replay", last_launch_));
  last_launch_ = "a graph";
  context_->CountReplay();
  return absl::OkStatus();
}

absl::Status CudaStream::CheckForeignLaunch(const char* op) {
  CHORUS_RETURN_IF_ERROR(context_->Enter());
  EndLaunches();
  CHORUS_RETURN_IF_ERROR(context_->Check(cudaGetLastError(), op, last_launch_));
  last_launch_ = op;
  context_->CountLaunch(op);
  return absl::OkStatus();
}

CudaLaunch::CudaLaunch(const Kernel& kernel, int32_t blocks, int32_t shared_bytes,
                       cudaStream_t stream, LaunchBegin begin) {
  config_.gridDim = dim3(static_cast<unsigned>(blocks));
  config_.blockDim = dim3(static_cast<unsigned>(kernel.threads));
  config_.dynamicSmemBytes = static_cast<size_t>(shared_bytes);
  config_.stream = stream;
  config_.attrs = attributes_;
  if (kernel.cluster_blocks > 1) {
    cudaLaunchAttribute& attribute = attributes_[config_.numAttrs++];
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {static_cast<unsigned>(kernel.cluster_blocks), 1, 1};
  }
  if (begin == LaunchBegin::kEarly) {
    cudaLaunchAttribute& attribute = attributes_[config_.numAttrs++];
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
  }
}

absl::Status CudaStream::LaunchBytes(const Kernel& kernel, int32_t blocks, int32_t shared_bytes,
                                     const void* params, int64_t params_bytes, LaunchBegin begin) {
  CHORUS_CHECK_GT(blocks, 0);
  CHORUS_CHECK_EQ(blocks % kernel.cluster_blocks, 0);
  CHORUS_CHECK_EQ(params_bytes, kernel.params_bytes);
  if (kernel.cuda_entry == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(kernel.name, ": was not compiled for CUDA"));
  }
  CHORUS_RETURN_IF_ERROR(context_->Enter());
  if (shared_bytes > Device::kUnpreparedSharedBytes) {
    if (const int32_t prepared = context_->PreparedBytes(kernel.cuda_entry);
        shared_bytes > prepared) {
      return absl::FailedPreconditionError(absl::StrCat(kernel.name, ": launched with ",
                                                        shared_bytes, " bytes of shared memory, ",
                                                        "prepared for ", prepared));
    }
  }
  // After anything else the runtime's rules are others, and within a capture it may refuse.
  if (!after_launch_ || !context_->allows_early()) begin = LaunchBegin::kInOrder;
  const CudaLaunch launch(kernel, blocks, shared_bytes, stream_, begin);
  void* arguments[] = {const_cast<void*>(params)};  // copied before the call returns
  CHORUS_RETURN_IF_ERROR(
      context_->Check(cudaLaunchKernelExC(launch.config(), kernel.cuda_entry, arguments),
                      kernel.name, last_launch_));
  last_launch_ = kernel.name;
  after_launch_ = true;
  context_->CountLaunch(kernel.name);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<DeviceTimer>> NewCudaTimer(CudaContext* context) {
  CHORUS_RETURN_IF_ERROR(context->Enter());
  cudaEvent_t start = nullptr;
  cudaEvent_t stop = nullptr;
  CHORUS_RETURN_IF_ERROR(context->Check(cudaEventCreate(&start), "NewTimer"));
  if (absl::Status made = context->Check(cudaEventCreate(&stop), "NewTimer"); !made.ok()) {
    cudaEventDestroy(start);
    return made;
  }
  return std::unique_ptr<DeviceTimer>(new CudaTimer(context, start, stop));
}

}  // namespace chorus::kernels
