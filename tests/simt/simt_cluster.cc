#include "tests/simt/simt_cluster.h"

#include <algorithm>
#include <cstring>

#include "kernels/check.h"
#include "tests/simt/simt_block.h"
#include "tests/simt/turns.h"

namespace chorus::kernels {

SimtCluster::SimtCluster() = default;
SimtCluster::~SimtCluster() = default;

void SimtCluster::BeginLaunch(const SimtGrid& grid) {
  grid_ = &grid;
  CHORUS_CHECK_EQ(grid.blocks % size(), 0);
  while (blocks_.size() < static_cast<size_t>(size())) {
    blocks_.push_back(std::make_unique<SimtBlock>(this, static_cast<int>(blocks_.size())));
  }
  for (int rank = 0; rank < size(); ++rank) block(rank).BeginLaunch(grid);
}

bool SimtCluster::Run(int32_t first) {
  order_ = InOrder(grid_->options, size());
  random_.seed(grid_->options.seed + static_cast<uint32_t>(first));
  num_left_ = num_at_sync_ = num_syncs_ = 0;
  deadlock_ = false;
  for (int rank = 0; rank < size(); ++rank) block(rank).BeginBlock(first + rank);
  caller_.SwitchTo(Next()->fiber());
  SimtBlock* failed = deadlock_ ? &block(0) : nullptr;
  std::string failure = deadlock_ ? DescribeDeadlock() : "";
  for (int rank = 0; rank < size(); ++rank) {
    if (block(rank).failure()[0] == '\0') continue;
    failed = &block(rank);
    failure = failed->failure();
  }
  if (failed == nullptr) return true;
  for (int rank = 0; rank < size(); ++rank) block(rank).Forget();
  grid_->report.failure = std::string(grid_->kernel.name) + ", block " +
                          std::to_string(failed->block()) + ": " + failure;
  return false;
}

SimtBlock* SimtCluster::Next() {
  if (grid_->options.order == Order::kRandom && size() > 1) {
    std::rotate(order_.begin(), order_.begin() + static_cast<int>(random_()) % size(),
                order_.end());
  }
  for (const int rank : order_) {
    if (block(rank).ChooseThread()) return &block(rank);
  }
  return nullptr;
}

std::string SimtCluster::DescribeDeadlock() const {
  std::vector<WaitingThreads> groups;
  for (int rank = 0; rank < size(); ++rank) blocks_[static_cast<size_t>(rank)]->AddWaiting(&groups);
  std::string text = "deadlock:";
  for (const WaitingThreads& group : groups) {
    text += " " + std::to_string(group.threads) + " threads in " + Name(group.meeting) + " at " +
            FileName(group.place.file) + ":" + std::to_string(group.place.line) + ",";
  }
  return text + " " + std::to_string(num_left_) + " have left";
}

void SimtBlock::ClusterSync(Place place) {
  if (TakenAway(SiteKind::kClusterSync, place)) return;
  SimtCluster& cluster = *cluster_;
  if (cluster.num_left_ > 0) {
    Fail("thread %d in ClusterSync at %s:%d, but %d threads of its cluster have left the kernel",
         thread_, FileName(place.file), place.line, cluster.num_left_);
  }
  if (cluster.num_at_sync_ > 0 &&
      (place.line != cluster.sync_.line || std::strcmp(place.file, cluster.sync_.file) != 0)) {
    Fail("threads at different ClusterSyncs: %s:%d and %s:%d", FileName(cluster.sync_.file),
         cluster.sync_.line, FileName(place.file), place.line);
  }
  cluster.sync_ = place;
  if (++cluster.num_at_sync_ < cluster.size() * num_threads()) {
    return Wait(Meeting::kClusterSync, place);
  }
  cluster.num_at_sync_ = 0;
  ++cluster.num_syncs_;
  for (int rank = 0; rank < cluster.size(); ++rank) {
    SimtBlock& block = cluster.block(rank);
    block.shadow_.EndClusterInterval();
    block.remote_reader_ = {};
    for (int i = 0; i < num_threads(); ++i) block.Wake(i);
  }
  Yield();
}

const std::byte* SimtBlock::Remote(int rank, const void* own, int bytes, Place place) {
  if (rank < 0 || rank >= cluster_->size()) {
    Fail("thread %d at %s:%d: block %d of a cluster of %d", thread_, FileName(place.file),
         place.line, rank, cluster_->size());
  }
  const auto begin = static_cast<int>(static_cast<const std::byte*>(own) - shared_);
  SimtBlock& other = cluster_->block(rank);
  if (!grid_->options.shadow) return other.shared_ + begin;
  if (cluster_->num_syncs_ == 0) {
    Fail(
        "thread %d at %s:%d: reads shared memory of block %d with no ClusterSync before, so that "
        "it may not have begun",
        thread_, FileName(place.file), place.line, other.block_);
  }
  if (other.num_left_ == num_threads()) {
    Fail(
        "thread %d at %s:%d: reads shared memory of block %d, which has ended since the last "
        "ClusterSync",
        thread_, FileName(place.file), place.line, other.block_);
  }
  if (rank != rank_) other.remote_reader_ = {block_, place};
  const Shadow::Actor actor{thread_, warp().interval, place.line};
  const auto conflict = rank == rank_ ? shadow_.Touch(Access::kRead, begin, bytes, actor)
                                      : other.shadow_.TouchRemote(begin, bytes, block_, actor);
  if (conflict.has_value()) FailShared(*conflict, Access::kRead, place, &other);
  return other.shared_ + begin;
}

// By the last thread that leaves.
void SimtBlock::FailIfStillRead() {
  if (remote_reader_.place.line == 0) return;
  Fail(
      "all threads left the kernel, and block %d may still read their shared memory at %s:%d: no "
      "ClusterSync between",
      remote_reader_.block, FileName(remote_reader_.place.file), remote_reader_.place.line);
}

}  // namespace chorus::kernels
