// SimSchedule: queues of work, the order in which it runs, and the virtual time that it takes. Work
// of a queue runs in its order and after what the queue was told to wait for; that is all that
// binds. Not thread-safe.
//
// Orders: kLazy runs only what the host waits for, as late as it can; kEager everything as soon as
// it is enqueued; kRandom draws, with some queues far slower than others; kTimed runs what is ready
// first by virtual time. Every order gives virtual times that the work could have had, but with
// copy engines shared as a real card would, and events that answer by the clock, only in kTimed.
#ifndef CHORUS_TESTS_SIMT_SIM_SCHEDULE_H_
#define CHORUS_TESTS_SIMT_SIM_SCHEDULE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <random>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/device/device.h"
#include "tests/simt/access_history.h"

namespace chorus::kernels {

enum class SimOrder : uint8_t { kLazy, kEager, kRandom, kTimed };
// What two pieces of work cannot use at the same time, whatever their queues.
enum class SimEngine : uint8_t { kNone, kToDevice, kToHost };

// The first `index` pieces of work of `queue`, and what is done once they are.
struct SimMark {
  int queue = 0;
  int64_t index = 0;
  Clock clock;
};

struct SimWork {
  // `clock` is what is done when it starts; `early` the same but for the launch before, null unless
  // it begins early after one. A violation is an error, which ends the simulation.
  using Run = std::function<absl::Status(const WorkId& id, const Clock& clock, const Clock* early)>;

  const char* name = "";
  SimEngine engine = SimEngine::kNone;
  double duration_us = 0;
  Run run;                 // null: only takes its time
  bool is_launch = false;  // of a kernel
  LaunchBegin begin = LaunchBegin::kInOrder;
};

class SimSchedule {
 public:
  SimSchedule(SimOrder order, uint64_t seed) : order_(order), random_(seed) {}

  int NewQueue();
  void Enqueue(int queue, SimWork work);
  // What is enqueued from now on runs after `mark`.
  void EnqueueWait(int queue, const SimMark& mark);
  SimMark MarkOf(int queue) const;

  // The host waits for `mark`, or asks whether it is reached; from then on it knows. A question
  // that takes time is answered yes after finitely many.
  absl::Status HostWait(const SimMark& mark);
  absl::StatusOr<bool> HostPoll(const SimMark& mark, double question_us);
  absl::Status HostWaitForAll();

  // The first error that work returned; from then on nothing runs.
  const absl::Status& failure() const { return failure_; }
  const Clock& host_clock() const { return host_clock_; }
  double host_us() const { return host_us_; }
  void AdvanceHost(double us) { host_us_ += us; }
  // REQUIRES: the host knows that `mark` is reached.
  double EndUs(const SimMark& mark) const;

 private:
  struct Entry {
    SimWork work;
    std::optional<SimMark> after;
    double enqueued_us = 0;
    Clock clock;
    std::optional<Clock> early;  // what is done when it begins early after a launch
  };
  struct Queue {
    std::deque<Entry> pending;
    int64_t done = 0;
    Clock clock;  // of the last entry
    bool ends_in_launch = false;
    Clock before_last;         // what was done when the last entry started
    std::vector<double> ends;  // [done] virtual, in µs
    double weight = 1;         // of being drawn
  };

  Queue& At(int queue) { return queues_[static_cast<size_t>(queue)]; }
  const Queue& At(int queue) const { return queues_[static_cast<size_t>(queue)]; }
  void Push(int queue, Entry entry);
  bool Reached(const SimMark& mark) const { return At(mark.queue).done >= mark.index; }
  bool Runnable(const Queue& queue) const;
  double ReadyUs(const Queue& queue) const;
  void RunHead(int queue);
  // Runs one piece that can run; false if there is none, or after an error.
  bool RunOne();
  void RunNeeded(const SimMark& mark);
  void Know(const SimMark& mark);
  int Draw();
  int Earliest() const;

  const SimOrder order_;
  std::mt19937_64 random_;
  std::vector<Queue> queues_;
  Clock host_clock_;
  double host_us_ = 0;
  double engine_free_us_[3] = {};
  int64_t polls_ = 0;
  absl::Status failure_;
};

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_SIM_SCHEDULE_H_
