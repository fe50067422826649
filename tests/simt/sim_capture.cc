#include "tests/simt/sim_capture.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"

namespace chorus::kernels {

void SimGraph::Replay(SimSchedule* schedule, int queue) {
  const SimMark before = schedule->MarkOf(queue);
  // The origin's queue also orders this replay after the last one: every branch begins with a wait
  // for something that began there.
  schedule->EnqueueWait(queues_.front(), before);
  std::vector<SimMark> records(static_cast<size_t>(num_records_));
  for (const Step& step : steps_) {
    const int to = queues_[static_cast<size_t>(step.branch)];
    switch (step.kind) {
      case Step::Kind::kWork:
        schedule->Enqueue(to, step.node.Arm());
        break;
      case Step::Kind::kRecord:
        records[static_cast<size_t>(step.record)] = schedule->MarkOf(to);
        break;
      case Step::Kind::kWait:
        schedule->EnqueueWait(to, records[static_cast<size_t>(step.record)]);
        break;
    }
  }
  schedule->EnqueueWait(queue, schedule->MarkOf(queues_.front()));
}

SimGraph::~SimGraph() {
  if (dropped_) dropped_();
}

SimCapture::SimCapture(int queue, uint64_t id)
    : thread_(std::this_thread::get_id()),
      id_(id),
      streams_{queue},
      clocks_{{0}},
      graph_(std::make_unique<SimGraph>()) {}

int SimCapture::BranchOf(int queue) const {
  const auto found = std::find(streams_.begin(), streams_.end(), queue);
  return found == streams_.end() ? -1 : static_cast<int>(found - streams_.begin());
}

absl::Status SimCapture::Break(const std::string& why) {
  const absl::Status status = absl::FailedPreconditionError(absl::StrCat("while capturing: ", why));
  broken_.Update(status);
  return status;
}

absl::Status SimCapture::Outside(const char* what) {
  return Break(absl::StrCat(what, " on a stream that waits for no event of the capture"));
}

absl::Status SimCapture::Add(int queue, SimNode node) {
  const int branch = BranchOf(queue);
  if (branch < 0) return Outside(node.name);
  ++clocks_[static_cast<size_t>(branch)][static_cast<size_t>(branch)];
  graph_->steps_.push_back(
      {.kind = SimGraph::Step::Kind::kWork, .branch = branch, .node = std::move(node)});
  return absl::OkStatus();
}

absl::StatusOr<SimCapturedPoint> SimCapture::Record(int queue) {
  const int branch = BranchOf(queue);
  if (branch < 0) return Outside("Record");
  const int record = graph_->num_records_++;
  records_.push_back(clocks_[static_cast<size_t>(branch)]);
  graph_->steps_.push_back(
      {.kind = SimGraph::Step::Kind::kRecord, .branch = branch, .record = record});
  return SimCapturedPoint{id_, record};
}

absl::Status SimCapture::Wait(int queue, const SimCapturedPoint& point) {
  if (point.capture != id_)
    return Break("a wait for an event that was not recorded in the capture");
  int branch = BranchOf(queue);
  if (branch < 0) {
    branch = static_cast<int>(streams_.size());
    streams_.push_back(queue);
    clocks_.emplace_back(streams_.size(), 0);
  }
  Clock& clock = clocks_[static_cast<size_t>(branch)];
  ++clock[static_cast<size_t>(branch)];
  JoinClock(&clock, records_[static_cast<size_t>(point.record)]);
  graph_->steps_.push_back(
      {.kind = SimGraph::Step::Kind::kWait, .branch = branch, .record = point.record});
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<SimGraph>> SimCapture::End(SimSchedule* schedule) {
  if (!broken_.ok()) return broken_;
  Clock joined = clocks_.front();
  joined.resize(streams_.size(), 0);
  for (size_t branch = 1; branch < streams_.size(); ++branch) {
    if (joined[branch] < clocks_[branch][branch]) {
      return Break("the stream that began it does not wait for the end of another captured one");
    }
  }
  for (size_t branch = 0; branch < streams_.size(); ++branch) {
    graph_->queues_.push_back(schedule->NewQueue());
  }
  return std::move(graph_);
}

}  // namespace chorus::kernels
