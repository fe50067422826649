// SimtCluster: the thread blocks of a cluster on fibers, together; most clusters are of one block.
// It says which block goes on, and knows where the cluster meets.
//
// Blocks take turns in the same orders as warps do (SimtOptions). All fibers run on the thread that
// calls Run.
#ifndef CHORUS_TESTS_SIMT_SIMT_CLUSTER_H_
#define CHORUS_TESTS_SIMT_SIMT_CLUSTER_H_

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/device/kernel.h"
#include "tests/simt/fiber.h"
#include "tests/simt/simt_memory.h"
#include "tests/simt/simt_options.h"

namespace chorus::kernels {

// A launch under way; borrows everything.
struct SimtGrid {
  const Kernel& kernel;
  const void* params;
  int32_t blocks;
  int32_t shared_bytes;
  SimtMemory& memory;
  const SimtOptions& options;
  SimtReport& report;
};

// Where threads wait for each other.
enum class Meeting : uint8_t {
  kNone,
  kSync,
  kSyncWarp,
  kShfl,
  kBallot,
  kMma,
  kBarWait,
  kClusterSync,
};
constexpr const char* Name(Meeting meeting) {
  constexpr const char* kNames[] = {"none",   "Sync", "SyncWarp", "Shfl",
                                    "Ballot", "Mma",  "BarWait",  "ClusterSync"};
  return kNames[static_cast<size_t>(meeting)];
}
// Threads of a deadlock that wait at one place.
struct WaitingThreads {
  Meeting meeting;
  Place place;
  int threads;
};

class SimtCluster {
 public:
  SimtCluster();
  ~SimtCluster();

  // `grid` must outlive the runs of its blocks, which are a multiple of the kernel's cluster.
  void BeginLaunch(const SimtGrid& grid);
  // The cluster that begins with block `first`. False: it failed, and the report says why.
  bool Run(int32_t first);

 private:
  friend class SimtBlock;

  int32_t size() const { return grid_->kernel.cluster_blocks; }
  SimtBlock& block(int rank) { return *blocks_[static_cast<size_t>(rank)]; }
  // The block whose turn it is, with its thread chosen; null if nobody can go on.
  SimtBlock* Next();
  std::string DescribeDeadlock() const;

  const SimtGrid* grid_ = nullptr;
  std::vector<std::unique_ptr<SimtBlock>> blocks_;  // as many as any launch had in a cluster
  std::vector<int> order_;                          // the first that has a ready thread is next
  std::minstd_rand random_;
  Fiber caller_;
  int num_left_ = 0;  // threads of all blocks
  int num_at_sync_ = 0;
  Place sync_{"", 0};
  int num_syncs_ = 0;  // that are over
  bool deadlock_ = false;
};

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_SIMT_CLUSTER_H_
