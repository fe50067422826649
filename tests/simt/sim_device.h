// SimDevice: the Device without a GPU, which looks for what a GPU would let pass. Kernels run on
// the SIMT executor (their sources compiled by g++, chorus_simt_kernels).
//
// * Streams are queues that run in an adversarial order (SimOrder), bound only by stream order and
//   events, and mostly when the host waits. A copy from pinned memory reads it when it runs; that
//   the host has changed it since the copy was enqueued is found in any order. The destination of a
//   copy to the host is poisoned when the copy is enqueued.
// * Two uses of a byte of device or pinned memory by work, one of them a write, must be ordered by
//   stream order, events, or the host having waited for the one before it enqueued the other. That
//   is checked byte by byte, of launches too (by what they really touch), in any order of running.
//   Not seen: what the host does to pinned memory, but for the two checks above; all host threads
//   count as one.
// * A launch that begins early (LaunchBegin) is held to the rule: its first block waits, and what
//   its threads touch before they do counts as unordered with the launch before.
// * New and freed memory is 0xff throughout; what uses freed memory, or memory that is freed before
//   the host knows that its uses are done, fails.
// * While capturing, the capturing thread may do nothing but enqueue on captured streams; what else
//   it asks for is refused and breaks the capture. A captured event means nothing afterwards.
// * Each piece of work takes virtual time (SimOptions), and so does the host (AdvanceHost). Kernels
//   do not slow each other down; copies of one direction follow each other, by kTimed.
//
// A violation is Internal, starts with "sim:", and is sticky: every later call returns it, nothing
// runs any more. Thread-safe. Streams, events, graphs and buffers must not outlive the device.
#ifndef CHORUS_TESTS_SIMT_SIM_DEVICE_H_
#define CHORUS_TESTS_SIMT_SIM_DEVICE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/device/device.h"
#include "kernels/mutex.h"
#include "tests/simt/sim_capture.h"
#include "tests/simt/sim_memory.h"
#include "tests/simt/sim_schedule.h"
#include "tests/simt/simt_options.h"

namespace chorus::kernels {

struct SimOptions {
  SimOrder order = SimOrder::kRandom;
  uint64_t seed = 1;
  int64_t lost_wait = -1;  // of all that streams were told, counted from 0: this one has no effect
  bool toward_zero = false;  // sums of an MMA are cut off, not rounded, as a card may
  DeviceInfo info = {.name = "simulator",
                     .compute_capability = 90,
                     .multiprocessors = 4,
                     .max_block_shared_bytes = 227 << 10,
                     .l2_bytes = 50 << 20,
                     .total_bytes = int64_t{1} << 30};
  double launch_us = 5;                    // of a kernel, whatever its size
  double copy_us = 2;                      // of a copy, and then its bytes:
  double host_bytes_per_us = 25'000;       // between device and host, divided by
  double copy_slowness = 1;                // this
  double device_bytes_per_us = 1'000'000;  // on the device
};

// Bytes that a host op reads or writes.
struct SimBytes {
  const void* at = nullptr;
  int64_t bytes = 0;
};

// Work that is a plain function here and a library's kernels on a GPU (matrix products, attention).
struct SimHostOp {
  const char* name = "";  // lives as long as the program
  std::vector<SimBytes> reads;
  std::vector<SimBytes> writes;
  double duration_us = 5;
  std::function<void()> run;  // reads its operands when it is called, once for each replay
  // What else it reads, asked just before each run: what lies where its operands say. May be null.
  std::function<std::vector<SimBytes>()> late_reads;
};

class SimDevice : public Device {
 public:
  explicit SimDevice(const SimOptions& options);
  ~SimDevice() override;

  const DeviceInfo& info() const override { return options_.info; }
  absl::StatusOr<int64_t> FreeBytes() override;
  absl::StatusOr<DeviceBuffer> Allocate(int64_t bytes) override;
  absl::StatusOr<DeviceBuffer> AllocatePinned(int64_t bytes) override;
  absl::StatusOr<std::unique_ptr<DeviceStream>> NewStream(Priority priority) override;
  absl::StatusOr<std::unique_ptr<DeviceEvent>> NewEvent() override;
  absl::StatusOr<std::unique_ptr<DeviceTimer>> NewTimer() override;
  absl::Status Prepare(const Kernel& kernel, int32_t shared_bytes) override;
  absl::StatusOr<int32_t> ResidentBlocks(const Kernel& kernel, int32_t shared_bytes) override;
  void Seal() override;
  DeviceCounters counters() const override;

  // Counts as a launch. REQUIRES: a stream of this device.
  absl::Status Enqueue(DeviceStream* stream, SimHostOp op);
  // Runs all that is queued. The violation, if there was one: what a test asserts at its end.
  absl::Status Finish();
  // The host works for that long without the device.
  void AdvanceHost(double us);
  double now_us() const;  // the host's virtual time
  // From now on only what this thread waits for moves virtual time; others' waits for events last
  // until it has come that far. Of no thread: everybody's waits move it, as at first.
  void SetTimekeeper(std::thread::id thread);
  int64_t num_waits() const;  // that streams were told so far

 private:
  friend class SimStream;
  friend class SimEvent;
  friend class SimTimer;

  // OK if `op` may be asked for now: no violation yet, and this thread does not capture.
  absl::Status Enter(const char* op) CHORUS_REQUIRES(mutex_);
  bool CapturesHere() const CHORUS_REQUIRES(mutex_);
  bool KeepsTimeHere() const CHORUS_REQUIRES(mutex_);
  // Keeps what is not OK, if it is the first; what there is now.
  absl::Status Violate(const absl::Status& status) CHORUS_REQUIRES(mutex_);
  // Captures `node` on the queue's stream if this thread captures, else arms and enqueues it.
  absl::Status Add(int queue, SimNode node) CHORUS_REQUIRES(mutex_);
  absl::Status AddCopy(int queue, const char* name, SimBytes to, SimBytes from, SimEngine engine);
  absl::Status AddLaunch(int queue, const Kernel& kernel, int32_t blocks, int32_t shared_bytes,
                         const void* params, LaunchBegin begin);
  absl::Status AddHostOp(int queue, SimHostOp op);
  absl::StatusOr<DeviceBuffer> AllocateKind(SimMemory::Kind kind, int64_t bytes);
  static void Free(void* device, void* data);
  void CountAllocation() CHORUS_REQUIRES(mutex_) {
    if (sealed_) ++counters_.allocations_after_seal;
  }

  const SimOptions options_;
  mutable Mutex mutex_;
  SimMemory memory_ CHORUS_GUARDED_BY(mutex_);
  SimSchedule schedule_ CHORUS_GUARDED_BY(mutex_);
  absl::Status violation_ CHORUS_GUARDED_BY(mutex_);
  std::unique_ptr<SimCapture> capture_ CHORUS_GUARDED_BY(mutex_);
  std::unordered_map<const void*, int32_t> prepared_bytes_ CHORUS_GUARDED_BY(mutex_);
  DeviceCounters counters_ CHORUS_GUARDED_BY(mutex_);
  bool sealed_ CHORUS_GUARDED_BY(mutex_) = false;
  std::thread::id timekeeper_ CHORUS_GUARDED_BY(mutex_);
  uint64_t captures_ CHORUS_GUARDED_BY(mutex_) = 0;
  int64_t num_waits_ CHORUS_GUARDED_BY(mutex_) = 0;
  uint32_t launch_seed_ CHORUS_GUARDED_BY(mutex_);  // one more for each launch
};

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_SIM_DEVICE_H_
