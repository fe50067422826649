#include "tests/simt/sim_device.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "kernels/device/block_limits.h"
#include "kernels/device/cluster_check.h"
#include "kernels/status_macros.h"
#include "tests/simt/sim_stream.h"
#include "tests/simt/simt_launch.h"

namespace chorus::kernels {

SimDevice::SimDevice(const SimOptions& options)
    : options_(options),
      schedule_(options.order, options.seed),
      launch_seed_(static_cast<uint32_t>(options.seed)) {}

SimDevice::~SimDevice() {
  const MutexLock lock(&mutex_);
  CHORUS_CHECK_EQ(memory_.live_buffers(), 0);
}

absl::Status SimDevice::Violate(const absl::Status& status) {
  if (!status.ok() && violation_.ok()) {
    violation_ = absl::InternalError(absl::StrCat("sim: ", status.message()));
  }
  return violation_;
}

bool SimDevice::CapturesHere() const { return capture_ != nullptr && capture_->IsOfThisThread(); }

absl::Status SimDevice::Enter(const char* op) {
  CHORUS_RETURN_IF_ERROR(violation_);
  return CapturesHere() ? capture_->Break(op) : absl::OkStatus();
}

absl::Status SimDevice::Add(int queue, SimNode node) {
  if (CapturesHere()) return capture_->Add(queue, std::move(node));
  schedule_.Enqueue(queue, node.Arm());
  return Violate(schedule_.failure());
}

absl::Status SimDevice::AddCopy(int queue, const char* name, SimBytes to, SimBytes from,
                                SimEngine engine) {
  using Kind = SimMemory::Kind;
  CHORUS_CHECK_GE(to.bytes, 0);
  const MutexLock lock(&mutex_);
  CHORUS_RETURN_IF_ERROR(violation_);
  if (to.bytes == 0) return absl::OkStatus();
  CHORUS_RETURN_IF_ERROR(
      Violate(memory_.Check(engine == SimEngine::kToHost ? Kind::kPinned : Kind::kDevice, to.at,
                            to.bytes, absl::StrCat(name, ": the destination").c_str())));
  CHORUS_RETURN_IF_ERROR(
      Violate(memory_.Check(engine == SimEngine::kToDevice ? Kind::kPinned : Kind::kDevice, from.at,
                            from.bytes, absl::StrCat(name, ": the source").c_str())));
  const auto bytes = static_cast<double>(to.bytes);
  SimNode node{.name = name, .engine = engine};
  node.duration_us = engine == SimEngine::kNone
                         ? bytes / options_.device_bytes_per_us
                         : bytes * options_.copy_slowness / options_.host_bytes_per_us;
  node.duration_us += options_.copy_us;
  node.arm = [memory = &memory_, name, to, from, engine] {
    std::optional<SimMemory::Ticket> ticket;
    auto* const to_at = static_cast<std::byte*>(const_cast<void*>(to.at));
    auto* const from_at = static_cast<std::byte*>(const_cast<void*>(from.at));
    if (engine == SimEngine::kToDevice) ticket = memory->QueueCopy(from_at, from.bytes, false);
    if (engine == SimEngine::kToHost) ticket = memory->QueueCopy(to_at, to.bytes, true);
    return [=](const WorkId& id, const Clock& clock, const Clock*) -> absl::Status {
      if (ticket.has_value()) CHORUS_RETURN_IF_ERROR(memory->RunCopy(*ticket, name));
      CHORUS_RETURN_IF_ERROR(memory->Use(from.at, from.bytes, /*write=*/false, id, clock));
      CHORUS_RETURN_IF_ERROR(memory->Use(to.at, to.bytes, /*write=*/true, id, clock));
      std::memmove(to_at, from_at, static_cast<size_t>(to.bytes));
      return absl::OkStatus();
    };
  };
  return Add(queue, std::move(node));
}

absl::Status SimDevice::AddHostOp(int queue, SimHostOp op) {
  const MutexLock lock(&mutex_);
  CHORUS_RETURN_IF_ERROR(violation_);
  for (const auto* uses : {&op.reads, &op.writes}) {
    for (const SimBytes& use : *uses) {
      if (use.bytes == 0) continue;
      CHORUS_RETURN_IF_ERROR(Violate(memory_.Check(
          SimMemory::Kind::kDevice, use.at, use.bytes,
          absl::StrCat(op.name, uses == &op.reads ? ": what it reads" : ": what it writes")
              .c_str())));
    }
  }
  SimNode node{.name = op.name, .duration_us = op.duration_us};
  node.arm = [memory = &memory_, op = std::make_shared<const SimHostOp>(std::move(op))] {
    return [memory, op](const WorkId& id, const Clock& clock, const Clock*) -> absl::Status {
      for (const SimBytes& use : op->reads) {
        CHORUS_RETURN_IF_ERROR(memory->Use(use.at, use.bytes, /*write=*/false, id, clock));
      }
      for (const SimBytes& use : op->writes) {
        CHORUS_RETURN_IF_ERROR(memory->Use(use.at, use.bytes, /*write=*/true, id, clock));
      }
      if (op->late_reads != nullptr) {
        for (const SimBytes& use : op->late_reads()) {
          CHORUS_RETURN_IF_ERROR(
              memory->Check(SimMemory::Kind::kDevice, use.at, use.bytes, op->name));
          CHORUS_RETURN_IF_ERROR(memory->Use(use.at, use.bytes, /*write=*/false, id, clock));
        }
      }
      op->run();
      return absl::OkStatus();
    };
  };
  return Add(queue, std::move(node));
}

absl::Status SimDevice::AddLaunch(int queue, const Kernel& kernel, int32_t blocks,
                                  int32_t shared_bytes, const void* params, LaunchBegin begin) {
  const MutexLock lock(&mutex_);
  CHORUS_RETURN_IF_ERROR(violation_);
  if (kernel.simt_entry == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat(kernel.name, ": was not compiled for the SIMT executor"));
  }
  CHORUS_RETURN_IF_ERROR(CheckClusters(kernel, options_.info));
  if (shared_bytes > kUnpreparedSharedBytes) {
    const auto found = prepared_bytes_.find(&kernel);
    const int32_t prepared = found == prepared_bytes_.end() ? 0 : found->second;
    if (shared_bytes > prepared) {
      return absl::FailedPreconditionError(
          absl::StrCat(kernel.name, ": launched with ", shared_bytes,
                       " bytes of shared memory, prepared for ", prepared));
    }
  }
  ++counters_.launches;
  const auto* const from = static_cast<const std::byte*>(params);
  auto copied = std::make_shared<const std::vector<std::byte>>(from, from + kernel.params_bytes);
  SimNode node{.name = kernel.name, .duration_us = options_.launch_us, .is_launch = true};
  if (options_.info.compute_capability >= 90) node.begin = begin;
  node.arm = [memory = &memory_, seed = &launch_seed_, kernel = &kernel, blocks, shared_bytes,
              copied, toward_zero = options_.toward_zero] {
    return [=](const WorkId& id, const Clock& clock, const Clock* early) -> absl::Status {
      const uint32_t drawn = ++*seed;
      const SimtOptions options{.order = static_cast<Order>(drawn % 5),
                                .seed = drawn,
                                .chosen_warp = static_cast<int>(drawn / 5 % 32),
                                .toward_zero = toward_zero,
                                .early = early != nullptr};
      const SimtReport report =
          RunSimt(*kernel, blocks, shared_bytes, copied->data(), memory->kernels(), options);
      if (!report.failure.empty()) {
        return absl::InternalError(
            absl::StrCat(kernel->name, " in ", Name(options), ": ", report.failure));
      }
      return memory->UseOfLaunch(id, clock, early);
    };
  };
  return Add(queue, std::move(node));
}

absl::Status SimDevice::Enqueue(DeviceStream* stream, SimHostOp op) {
  {
    const MutexLock lock(&mutex_);
    ++counters_.launches;
  }
  return AddHostOp(static_cast<SimStream*>(stream)->queue(), std::move(op));
}

absl::StatusOr<int64_t> SimDevice::FreeBytes() {
  const MutexLock lock(&mutex_);
  CHORUS_RETURN_IF_ERROR(Enter("FreeBytes"));
  return options_.info.total_bytes - memory_.device_bytes();
}

absl::StatusOr<DeviceBuffer> SimDevice::AllocateKind(SimMemory::Kind kind, int64_t bytes) {
  CHORUS_CHECK_GT(bytes, 0);
  const MutexLock lock(&mutex_);
  CHORUS_RETURN_IF_ERROR(Enter("an allocation"));
  CountAllocation();
  const int64_t free = options_.info.total_bytes - memory_.device_bytes();
  if (kind == SimMemory::Kind::kDevice && bytes > free) {
    return absl::ResourceExhaustedError(absl::StrCat("GPU memory: need ", bytes, " bytes, ", free,
                                                     " of ", options_.info.total_bytes,
                                                     " are free on ", options_.info.name));
  }
  std::byte* const data = memory_.Allocate(kind, bytes);
  if (data == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the system has no ", bytes, " bytes for the simulator"));
  }
  return DeviceBuffer(data, bytes, this, &Free);
}

absl::StatusOr<DeviceBuffer> SimDevice::Allocate(int64_t bytes) {
  return AllocateKind(SimMemory::Kind::kDevice, bytes);
}

absl::StatusOr<DeviceBuffer> SimDevice::AllocatePinned(int64_t bytes) {
  return AllocateKind(SimMemory::Kind::kPinned, bytes);
}

void SimDevice::Free(void* device, void* data) {
  SimDevice& sim = *static_cast<SimDevice*>(device);
  const MutexLock lock(&sim.mutex_);
  sim.CountAllocation();
  // Nobody hears a Status here, so this one is a violation.
  if (sim.CapturesHere()) {
    sim.Violate(absl::InternalError("memory was freed while capturing")).IgnoreError();
  }
  sim.Violate(sim.memory_.Free(static_cast<std::byte*>(data), sim.schedule_.host_clock()))
      .IgnoreError();
}

absl::StatusOr<std::unique_ptr<DeviceStream>> SimDevice::NewStream(Priority) {
  const MutexLock lock(&mutex_);
  CHORUS_RETURN_IF_ERROR(Enter("NewStream"));
  CountAllocation();
  return std::unique_ptr<DeviceStream>(new SimStream(this, schedule_.NewQueue()));
}

absl::StatusOr<std::unique_ptr<DeviceEvent>> SimDevice::NewEvent() {
  const MutexLock lock(&mutex_);
  CHORUS_RETURN_IF_ERROR(Enter("NewEvent"));
  return std::unique_ptr<DeviceEvent>(new SimEvent(this));
}

absl::StatusOr<std::unique_ptr<DeviceTimer>> SimDevice::NewTimer() {
  const MutexLock lock(&mutex_);
  CHORUS_RETURN_IF_ERROR(Enter("NewTimer"));
  return std::unique_ptr<DeviceTimer>(new SimTimer(this));
}

absl::Status SimDevice::Prepare(const Kernel& kernel, int32_t shared_bytes) {
  const MutexLock lock(&mutex_);
  CHORUS_RETURN_IF_ERROR(Enter("Prepare"));
  if (sealed_) {
    return absl::FailedPreconditionError(absl::StrCat(kernel.name, ": prepared after Seal"));
  }
  if (kernel.simt_entry == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat(kernel.name, ": was not compiled for the SIMT executor"));
  }
  CHORUS_RETURN_IF_ERROR(CheckClusters(kernel, options_.info));
  CHORUS_RETURN_IF_ERROR(CheckBlockShared(kernel, shared_bytes, /*code_bytes=*/0,
                                          /*reserved_bytes=*/0, options_.info));
  int32_t& prepared = prepared_bytes_[&kernel];
  prepared = std::max(prepared, shared_bytes);
  return absl::OkStatus();
}

absl::StatusOr<int32_t> SimDevice::ResidentBlocks(const Kernel& kernel, int32_t) {
  CHORUS_RETURN_IF_ERROR(CheckClusters(kernel, options_.info));
  const int32_t blocks = options_.info.multiprocessors * kernel.min_blocks;
  if (blocks < kernel.cluster_blocks) return NoClusterFits(kernel, options_.info);
  return blocks / kernel.cluster_blocks * kernel.cluster_blocks;
}

void SimDevice::Seal() {
  const MutexLock lock(&mutex_);
  sealed_ = true;
}

DeviceCounters SimDevice::counters() const {
  const MutexLock lock(&mutex_);
  return counters_;
}

absl::Status SimDevice::Finish() {
  const MutexLock lock(&mutex_);
  CHORUS_RETURN_IF_ERROR(Enter("Finish"));
  return Violate(schedule_.HostWaitForAll());
}

void SimDevice::AdvanceHost(double us) {
  const MutexLock lock(&mutex_);
  schedule_.AdvanceHost(us);
}

int64_t SimDevice::num_waits() const {
  const MutexLock lock(&mutex_);
  return num_waits_;
}

void SimDevice::SetTimekeeper(std::thread::id thread) {
  const MutexLock lock(&mutex_);
  timekeeper_ = thread;
}

bool SimDevice::KeepsTimeHere() const {
  return timekeeper_ == std::thread::id() || timekeeper_ == std::this_thread::get_id();
}

double SimDevice::now_us() const {
  const MutexLock lock(&mutex_);
  return schedule_.host_us();
}

}  // namespace chorus::kernels
