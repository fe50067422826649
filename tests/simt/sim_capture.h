// SimCapture: what a capturing SimDevice records, and SimGraph, what is replayed. A captured stream
// becomes a branch; a branch waits for points of others, as streams do for events.
#ifndef CHORUS_TESTS_SIMT_SIM_CAPTURE_H_
#define CHORUS_TESTS_SIMT_SIM_CAPTURE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/device/device.h"
#include "tests/simt/sim_schedule.h"

namespace chorus::kernels {

// Work before it is enqueued: `arm` is called each time it is, and gives what runs.
struct SimNode {
  const char* name = "";
  SimEngine engine = SimEngine::kNone;
  double duration_us = 0;
  std::function<SimWork::Run()> arm;
  bool is_launch = false;
  LaunchBegin begin = LaunchBegin::kInOrder;

  SimWork Arm() const { return {name, engine, duration_us, arm(), is_launch, begin}; }
};

// A point of a capture, which its event holds.
struct SimCapturedPoint {
  uint64_t capture = 0;  // which; 0: none
  int record = -1;
};

class SimGraph : public DeviceGraph {
 public:
  ~SimGraph() override;
  // Called when the graph goes.
  void set_dropped(std::function<void()> dropped) { dropped_ = std::move(dropped); }
  // Enqueues everything once more, after what `queue` holds and before what it will.
  void Replay(SimSchedule* schedule, int queue);

 private:
  friend class SimCapture;
  struct Step {
    enum class Kind : uint8_t { kWork, kRecord, kWait } kind;
    int branch = 0;
    int record = -1;  // of kRecord and kWait: which
    SimNode node;     // of kWork
  };

  std::vector<Step> steps_;  // in the order of the calls
  std::vector<int> queues_;  // of the branches; the first is the origin's
  int num_records_ = 0;
  std::function<void()> dropped_;
};

class SimCapture {
 public:
  // Begun on `queue` by the calling thread.
  SimCapture(int queue, uint64_t id);

  bool IsOfThisThread() const { return std::this_thread::get_id() == thread_; }
  int origin() const { return streams_.front(); }
  // Remembers what must not have been asked for; EndCapture tells.
  absl::Status Break(const std::string& why);

  absl::Status Add(int queue, SimNode node);
  absl::StatusOr<SimCapturedPoint> Record(int queue);
  // `queue` joins the capture if it is not in it yet.
  absl::Status Wait(int queue, const SimCapturedPoint& point);
  // FailedPrecondition when the capture is broken, or a branch was not joined.
  absl::StatusOr<std::unique_ptr<SimGraph>> End(SimSchedule* schedule);

 private:
  int BranchOf(int queue) const;  // -1: not captured
  absl::Status Outside(const char* what);

  const std::thread::id thread_;
  const uint64_t id_;
  absl::Status broken_;
  std::vector<int> streams_;    // [branches] their queues
  std::vector<Clock> clocks_;   // [branches] what each has come after, counted in steps
  std::vector<Clock> records_;  // [records] the same, at a Record
  std::unique_ptr<SimGraph> graph_;
};

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_SIM_CAPTURE_H_
