#include "tests/simt/sim_stream.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "kernels/check.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

constexpr std::chrono::microseconds kPollPause(50);

absl::Status CapturedEvent() {
  return absl::FailedPreconditionError("the event was recorded last while capturing");
}

}  // namespace

absl::StatusOr<bool> SimEvent::Done() {
  const MutexLock lock(&device_->mutex_);
  CHORUS_RETURN_IF_ERROR(device_->Enter("DeviceEvent::Done"));
  if (captured_.capture != 0) return CapturedEvent();
  if (!mark_.has_value()) return true;
  const absl::StatusOr<bool> done = device_->schedule_.HostPoll(*mark_, 1);
  return done.ok() ? done : device_->Violate(done.status());
}

absl::Status SimEvent::Wait() {
  for (;; std::this_thread::sleep_for(kPollPause)) {
    const MutexLock lock(&device_->mutex_);
    CHORUS_RETURN_IF_ERROR(device_->Enter("DeviceEvent::Wait"));
    if (captured_.capture != 0) return CapturedEvent();
    if (!mark_.has_value()) return absl::OkStatus();
    if (device_->KeepsTimeHere()) return device_->Violate(device_->schedule_.HostWait(*mark_));
    const absl::StatusOr<bool> done = device_->schedule_.HostPoll(*mark_, 0);
    if (!done.ok()) return device_->Violate(done.status());
    if (*done) return absl::OkStatus();
  }
}

SimStream::~SimStream() {
  const MutexLock lock(&device_->mutex_);
  device_->CountAllocation();
}

absl::Status SimStream::CopyToDevice(void* to, const void* host_from, int64_t bytes) {
  return device_->AddCopy(queue_, "CopyToDevice", {to, bytes}, {host_from, bytes},
                          SimEngine::kToDevice);
}

absl::Status SimStream::CopyManyToDevice(std::span<const DeviceCopy> copies) {
  return CopyMany("CopyManyToDevice", copies, &SimStream::CopyToDevice);
}

absl::Status SimStream::CopyManyToHost(std::span<const DeviceCopy> copies) {
  return CopyMany("CopyManyToHost", copies, &SimStream::CopyToHost);
}

absl::Status SimStream::CopyMany(const char* op, std::span<const DeviceCopy> copies,
                                 absl::Status (SimStream::*copy)(void*, const void*, int64_t)) {
  {
    const MutexLock lock(&device_->mutex_);
    CHORUS_RETURN_IF_ERROR(device_->Enter(op));
  }
  for (const DeviceCopy& piece : copies) {
    CHORUS_RETURN_IF_ERROR((this->*copy)(piece.to, piece.from, piece.bytes));
  }
  return absl::OkStatus();
}

absl::Status SimStream::CopyToHost(void* host_to, const void* from, int64_t bytes) {
  return device_->AddCopy(queue_, "CopyToHost", {host_to, bytes}, {from, bytes},
                          SimEngine::kToHost);
}

absl::Status SimStream::CopyOnDevice(void* to, const void* from, int64_t bytes) {
  return device_->AddCopy(queue_, "CopyOnDevice", {to, bytes}, {from, bytes}, SimEngine::kNone);
}

absl::Status SimStream::Fill(void* to, uint8_t value, int64_t bytes) {
  CHORUS_CHECK_GE(bytes, 0);
  return device_->AddHostOp(
      queue_, {.name = "Fill",
               .writes = {{to, bytes}},
               .duration_us = static_cast<double>(bytes) / device_->options_.device_bytes_per_us,
               .run = [=] { std::fill_n(static_cast<uint8_t*>(to), bytes, value); }});
}

absl::Status SimStream::Record(DeviceEvent* event) {
  SimEvent& sim_event = *static_cast<SimEvent*>(event);
  const MutexLock lock(&device_->mutex_);
  CHORUS_RETURN_IF_ERROR(device_->violation_);
  if (device_->CapturesHere()) {
    CHORUS_ASSIGN_OR_RETURN(sim_event.captured_, device_->capture_->Record(queue_));
    return absl::OkStatus();
  }
  sim_event.captured_ = {};
  sim_event.mark_ = device_->schedule_.MarkOf(queue_);
  return absl::OkStatus();
}

absl::Status SimStream::Wait(DeviceEvent* event) {
  const SimEvent& sim_event = *static_cast<SimEvent*>(event);
  const MutexLock lock(&device_->mutex_);
  CHORUS_RETURN_IF_ERROR(device_->violation_);
  if (device_->num_waits_++ == device_->options_.lost_wait) return absl::OkStatus();
  if (device_->CapturesHere()) return device_->capture_->Wait(queue_, sim_event.captured_);
  if (sim_event.captured_.capture != 0) return CapturedEvent();
  if (!sim_event.mark_.has_value()) return absl::OkStatus();
  device_->schedule_.EnqueueWait(queue_, *sim_event.mark_);
  return device_->Violate(device_->schedule_.failure());
}

absl::Status SimStream::Synchronize() {
  const MutexLock lock(&device_->mutex_);
  CHORUS_RETURN_IF_ERROR(device_->Enter("Synchronize"));
  return device_->Violate(device_->schedule_.HostWait(device_->schedule_.MarkOf(queue_)));
}

absl::Status SimStream::BeginCapture() {
  const MutexLock lock(&device_->mutex_);
  CHORUS_RETURN_IF_ERROR(device_->Enter("BeginCapture"));
  if (device_->capture_ != nullptr) {
    return absl::FailedPreconditionError("BeginCapture: another thread is capturing");
  }
  device_->capture_ = std::make_unique<SimCapture>(queue_, ++device_->captures_);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<DeviceGraph>> SimStream::EndCapture() {
  const MutexLock lock(&device_->mutex_);
  CHORUS_RETURN_IF_ERROR(device_->violation_);
  if (!device_->CapturesHere() || device_->capture_->origin() != queue_) {
    return absl::FailedPreconditionError("EndCapture: no capture was begun on this stream");
  }
  const std::unique_ptr<SimCapture> capture = std::move(device_->capture_);
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<SimGraph> graph, capture->End(&device_->schedule_));
  device_->CountAllocation();
  graph->set_dropped([device = device_] {
    const MutexLock lock(&device->mutex_);
    device->CountAllocation();
  });
  return std::unique_ptr<DeviceGraph>(std::move(graph));
}

absl::Status SimStream::Replay(DeviceGraph* graph) {
  const MutexLock lock(&device_->mutex_);
  CHORUS_RETURN_IF_ERROR(device_->Enter("Replay"));
  ++device_->counters_.graph_replays;
  static_cast<SimGraph*>(graph)->Replay(&device_->schedule_, queue_);
  return device_->Violate(device_->schedule_.failure());
}

absl::Status SimStream::LaunchBytes(const Kernel& kernel, int32_t blocks, int32_t shared_bytes,
                                    const void* params, int64_t params_bytes, LaunchBegin begin) {
  CHORUS_CHECK_GT(blocks, 0);
  CHORUS_CHECK_EQ(blocks % kernel.cluster_blocks, 0);
  CHORUS_CHECK_EQ(params_bytes, kernel.params_bytes);
  return device_->AddLaunch(queue_, kernel, blocks, shared_bytes, params, begin);
}

absl::StatusOr<double> SimTimer::ElapsedUs() {
  const MutexLock lock(&device_->mutex_);
  CHORUS_RETURN_IF_ERROR(device_->Enter("DeviceTimer::ElapsedUs"));
  CHORUS_CHECK(start_.index > 0 && stop_.index > 0);
  CHORUS_RETURN_IF_ERROR(device_->Violate(device_->schedule_.HostWait(start_)));
  CHORUS_RETURN_IF_ERROR(device_->Violate(device_->schedule_.HostWait(stop_)));
  return device_->schedule_.EndUs(stop_) - device_->schedule_.EndUs(start_);
}

absl::Status SimTimer::MarkNow(DeviceStream* stream, SimMark* mark) {
  const int queue = static_cast<SimStream*>(stream)->queue();
  const MutexLock lock(&device_->mutex_);
  CHORUS_RETURN_IF_ERROR(device_->Enter("DeviceTimer"));
  device_->schedule_.Enqueue(queue, {.name = "DeviceTimer"});
  *mark = device_->schedule_.MarkOf(queue);
  return device_->Violate(device_->schedule_.failure());
}

}  // namespace chorus::kernels
