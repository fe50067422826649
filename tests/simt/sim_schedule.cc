#include "tests/simt/sim_schedule.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/check.h"

namespace chorus::kernels {

int SimSchedule::NewQueue() {
  Queue queue;
  queue.weight = std::exp2(-static_cast<double>(random_() % 7));
  queues_.push_back(std::move(queue));
  return static_cast<int>(queues_.size()) - 1;
}

void SimSchedule::Push(int queue, Entry entry) {
  Queue& to = At(queue);
  const auto q = static_cast<size_t>(queue);
  JoinClock(&to.clock, host_clock_);  // the host enqueues, so it happens before
  if (entry.after.has_value()) JoinClock(&to.clock, entry.after->clock);
  if (entry.work.begin == LaunchBegin::kEarly && to.ends_in_launch) {
    entry.early = to.before_last;
    JoinClock(&*entry.early, host_clock_);
  }
  to.ends_in_launch = entry.work.is_launch;
  to.before_last = to.clock;
  if (to.clock.size() <= q) to.clock.resize(q + 1, 0);
  to.clock[q] = to.done + static_cast<int64_t>(to.pending.size()) + 1;
  entry.enqueued_us = host_us_;
  entry.clock = to.clock;
  to.pending.push_back(std::move(entry));
  switch (order_) {
    case SimOrder::kEager:
      while (RunOne()) {
      }
      break;
    case SimOrder::kRandom:
      for (uint64_t i = random_() % 4; i > 1 && RunOne(); --i) {
      }
      break;
    case SimOrder::kLazy:
    case SimOrder::kTimed:
      break;
  }
}

void SimSchedule::Enqueue(int queue, SimWork work) {
  Entry entry;
  entry.work = std::move(work);
  Push(queue, std::move(entry));
}

void SimSchedule::EnqueueWait(int queue, const SimMark& mark) {
  Entry entry;
  entry.work.name = "Wait";
  entry.after = mark;
  Push(queue, std::move(entry));
}

SimMark SimSchedule::MarkOf(int queue) const {
  const Queue& at = At(queue);
  return {queue, at.done + static_cast<int64_t>(at.pending.size()), at.clock};
}

bool SimSchedule::Runnable(const Queue& queue) const {
  return !queue.pending.empty() &&
         (!queue.pending.front().after.has_value() || Reached(*queue.pending.front().after));
}

double SimSchedule::ReadyUs(const Queue& queue) const {
  const Entry& head = queue.pending.front();
  double ready = head.enqueued_us;
  if (!queue.ends.empty()) ready = std::max(ready, queue.ends.back());
  if (head.after.has_value() && head.after->index > 0) ready = std::max(ready, EndUs(*head.after));
  return ready;
}

double SimSchedule::EndUs(const SimMark& mark) const {
  CHORUS_CHECK(mark.index > 0 && Reached(mark));
  return At(mark.queue).ends[static_cast<size_t>(mark.index - 1)];
}

void SimSchedule::RunHead(int queue) {
  Queue& at = At(queue);
  double start = ReadyUs(at);
  const Entry entry = std::move(at.pending.front());
  at.pending.pop_front();
  const SimEngine engine = entry.work.engine;
  double& engine_free = engine_free_us_[static_cast<size_t>(engine)];
  if (engine != SimEngine::kNone) start = std::max(start, engine_free);
  const double end = start + entry.work.duration_us;
  if (engine != SimEngine::kNone) engine_free = end;
  at.ends.push_back(end);
  ++at.done;
  if (entry.work.run) {
    failure_.Update(entry.work.run({queue, at.done, entry.work.name}, entry.clock,
                                   entry.early.has_value() ? &*entry.early : nullptr));
  }
}

int SimSchedule::Draw() {
  double total = 0;
  for (const Queue& queue : queues_) total += Runnable(queue) ? queue.weight : 0;
  double left = std::uniform_real_distribution<double>(0, total)(random_);
  int last = -1;
  for (size_t i = 0; i < queues_.size(); ++i) {
    if (!Runnable(queues_[i])) continue;
    last = static_cast<int>(i);
    left -= queues_[i].weight;
    if (left < 0) break;
  }
  return last;
}

int SimSchedule::Earliest() const {
  int earliest = -1;
  for (size_t i = 0; i < queues_.size(); ++i) {
    if (!Runnable(queues_[i])) continue;
    if (earliest < 0 || ReadyUs(queues_[i]) < ReadyUs(At(earliest))) earliest = static_cast<int>(i);
  }
  return earliest;
}

bool SimSchedule::RunOne() {
  if (!failure_.ok()) return false;
  const int queue = order_ == SimOrder::kTimed ? Earliest() : Draw();
  if (queue < 0) return false;
  RunHead(queue);
  return true;
}

void SimSchedule::RunNeeded(const SimMark& mark) {
  while (!Reached(mark) && failure_.ok()) {
    // A copy: what runs before it changes the queue.
    const std::optional<SimMark> after = At(mark.queue).pending.front().after;
    if (after.has_value()) RunNeeded(*after);
    if (failure_.ok()) RunHead(mark.queue);
  }
}

void SimSchedule::Know(const SimMark& mark) {
  JoinClock(&host_clock_, mark.clock);
  if (mark.index > 0) host_us_ = std::max(host_us_, EndUs(mark));
}

absl::Status SimSchedule::HostWait(const SimMark& mark) {
  if (order_ == SimOrder::kLazy) {
    RunNeeded(mark);
  } else {
    while (!Reached(mark) && RunOne()) {
    }
  }
  if (!failure_.ok()) return failure_;
  CHORUS_CHECK(Reached(mark));  // marks are of what was enqueued, so nothing can be in the way
  Know(mark);
  return absl::OkStatus();
}

absl::StatusOr<bool> SimSchedule::HostPoll(const SimMark& mark, double question_us) {
  host_us_ += question_us;
  bool reached = false;
  if (order_ == SimOrder::kTimed) {
    for (int next = Earliest(); next >= 0 && failure_.ok() && ReadyUs(At(next)) <= host_us_;
         next = Earliest()) {
      RunHead(next);
    }
    reached = Reached(mark) && (mark.index == 0 || EndUs(mark) <= host_us_);
  } else {
    if (order_ == SimOrder::kLazy && ++polls_ % 4 == 0) RunNeeded(mark);
    if (order_ == SimOrder::kRandom) {
      for (uint64_t i = random_() % 4; i > 0 && RunOne(); --i) {
      }
    }
    reached = Reached(mark);
  }
  if (!failure_.ok()) return failure_;
  if (reached) Know(mark);
  return reached;
}

absl::Status SimSchedule::HostWaitForAll() {
  for (size_t i = 0; i < queues_.size(); ++i) {
    if (absl::Status status = HostWait(MarkOf(static_cast<int>(i))); !status.ok()) return status;
  }
  return failure_;
}

}  // namespace chorus::kernels
