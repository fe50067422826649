// SimtBlock: one thread block on fibers, a fiber for each CUDA thread. It runs them in the order
// that the options ask for, and stops at the first thing that a GPU would be wrong about in
// silence: threads that do not meet, shared or global memory touched unordered or out of bounds,
// copies used before they are waited for.
//
// A SimtCluster runs it. Whatever fails abandons the cluster, frames and all, so kernel bodies own
// nothing.
#ifndef CHORUS_TESTS_SIMT_SIMT_BLOCK_H_
#define CHORUS_TESTS_SIMT_SIMT_BLOCK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "kernels/device/dtype.h"
#include "kernels/device/kernel.h"
#include "tests/simt/fiber.h"
#include "tests/simt/shadow.h"
#include "tests/simt/simt_barrier.h"
#include "tests/simt/simt_cluster.h"
#include "tests/simt/simt_memory.h"
#include "tests/simt/simt_options.h"
#include "tests/simt/turns.h"
#include "tests/simt/warp_mma.h"

namespace chorus::kernels {

class SimtBlock {
 public:
  // Number `rank` of its clusters.
  SimtBlock(SimtCluster* cluster, int rank) : cluster_(cluster), rank_(rank) {}

  // The cluster's side.
  void BeginLaunch(const SimtGrid& grid);
  void BeginBlock(int32_t block);
  bool ChooseThread();                                               // false: none is ready
  Fiber& fiber() { return *fibers_[static_cast<size_t>(thread_)]; }  // the chosen thread's
  const char* failure() const { return failure_.data(); }            // "" without one
  void AddWaiting(std::vector<WaitingThreads>* groups) const;
  void Forget() { shadow_.Forget(); }  // of a block that was abandoned

  // The Arch's side, called by the fiber that runs.
  int cluster_block() const { return rank_; }
  int cluster_blocks() const { return grid_->kernel.cluster_blocks; }
  int thread() const { return thread_; }
  int num_threads() const { return grid_->kernel.threads; }
  int block() const { return block_; }
  int num_blocks() const { return grid_->blocks; }

  // Notes the site; whether the mutation takes it away.
  bool TakenAway(SiteKind kind, Place place) {
    const uint64_t key = reinterpret_cast<uintptr_t>(place.file) +
                         static_cast<uint64_t>(place.line) * 8 + static_cast<uint64_t>(kind);
    SeenSite& seen = seen_[key * 0x9E3779B97F4A7C15u >> (64 - kSeenBits)];
    if (seen.file != place.file || seen.line != place.line || seen.kind != kind) {
      Learn(seen, kind, place);
    }
    return seen.taken_away && CountTakenAway(place);
  }

  void Sync(Place place);
  void SyncWarp(Place place);
  void ClusterSync(Place place);
  void WaitForPrior(Place place);
  void LetNextBegin(Place place);
  // Where block `rank` of the cluster has what lies at `own` here; touched as a read.
  const std::byte* Remote(int rank, const void* own, int bytes, Place place);
  uint32_t Shfl(uint32_t value, int lane, Place place);
  uint32_t Ballot(bool value, Place place);
  void Mma(DType type, int k, const MmaFragments& fragments, Place place);

  // The buffer that holds `bytes` bytes at `data`; an empty one for null and for no bytes.
  SimtRegion* Global(const void* data, int64_t bytes, Place place);
  std::byte* Shared(int64_t offset, int64_t bytes, int64_t alignment, Place place);
  // `region` is null for shared memory.
  void Touch(SimtRegion* region, Access access, const void* at, int bytes, Place place) {
    if (region == nullptr) {
      TouchShared(access, at, bytes, place);
    } else {
      TouchGlobal(*region, access, at, bytes, place);
    }
  }

  // Bytes land when the thread waits for them, never before. `to` has been touched.
  void CopyAsync16(void* to, const void* from);
  void CopyCommit(Place place);
  void CopyWait(int groups, Place place);

  // `bar` is the mbarrier's word in shared memory.
  void BarInit(std::byte* bar, int count, Place place);
  void BarFence(Place place);
  void BarArrive(const std::byte* bar, int expected_bytes, Place place);
  void BarWait(const std::byte* bar, uint32_t parity, Place place);
  // `from` has been touched.
  void Bulk(void* to, const void* from, int bytes, const std::byte* bar, Place place);

  [[noreturn]] void FailIndex(const SimtRegion* region, int64_t index, int64_t count, Place place);
  [[noreturn]] void FailAlignment(const SimtRegion* region, int64_t index, int bytes, Place place);
  [[noreturn]] void Fail(const char* format, ...) __attribute__((format(printf, 2, 3)));

 private:
  static constexpr int kSeenBits = 8;

  struct Copy {
    std::byte* to;
    const std::byte* from;
    int64_t group;
  };
  struct Thread {
    bool left = false;
    bool early = false;  // has not come by the WaitForPrior of a launch that begins early
    Meeting waits = Meeting::kNone;
    Place place{"", 0};             // of the meeting
    const void* brought = nullptr;  // to a meeting of the warp; lies on the thread's stack
    std::vector<Copy> copies;       // under way
    int64_t groups = 0;             // committed
    int bar = -1;                   // the mbarrier that it waits for, by its shared byte
  };
  struct Warp {
    uint32_t arrived = 0;
    Meeting meeting = Meeting::kNone;
    Place place{"", 0};
    uint32_t interval = 1;
  };
  struct SeenSite {
    const char* file = nullptr;
    int line = 0;
    SiteKind kind = SiteKind::kSync;
    bool taken_away = false;
  };
  struct Exchange {
    uint32_t value;
    int lane;
    uint32_t* result;
  };
  struct RemoteReader {
    int block = 0;
    Place place{"", 0};
  };

  static void RunThread(void* block);
  [[noreturn]] void LeaveKernel();
  void Wait(Meeting meeting, Place place);
  void Yield();  // to the thread whose turn it is, of any block
  void Wake(int thread);
  void WakeWarp();
  // True for the last of the warp to arrive, who acts for all and wakes them; others wait inside.
  bool MeetWarp(Meeting meeting, const void* brought, Place place);
  template <class T>
  const T& Brought(int lane) const;
  Warp& warp() { return warps_[static_cast<size_t>(thread_ / 32)]; }
  Thread& self() { return threads_[static_cast<size_t>(thread_)]; }

  SimtBarrier& Find(const std::byte* bar, Place place);
  void EndPhaseIfOver(SimtBarrier& barrier, bool somebody_waits, Place place);
  void FailIfBulkUnderWay();
  void FailIfStillRead();

  void TouchShared(Access access, const void* at, int bytes, Place place);
  void TouchGlobal(SimtRegion& region, Access access, const void* at, int bytes, Place place);
  // `owner`: whose shared memory it is.
  [[noreturn]] void FailShared(const Shadow::Conflict& conflict, Access access, Place place,
                               const SimtBlock* owner);
  [[noreturn]] void FailGlobal(SimtRegion::Conflict conflict, const SimtRegion& region,
                               int64_t byte, int other_block, Access access, Place place);
  void Learn(SeenSite& seen, SiteKind kind, Place place);
  bool CountTakenAway(Place place);

  SimtCluster* const cluster_;
  const int rank_;
  const SimtGrid* grid_ = nullptr;
  int block_ = 0;
  int thread_ = 0;  // that runs
  Turns turns_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  int num_left_ = 0;
  int num_at_sync_ = 0;
  Place sync_{"", 0};
  std::vector<std::byte> shared_storage_;
  std::byte* shared_ = nullptr;
  Shadow shadow_;
  RemoteReader remote_reader_;  // one that reads this block's memory since the last ClusterSync
  std::map<int, SimtBarrier> barriers_;  // by shared byte
  SimtRegion nothing_{"a null pointer", nullptr, 0, SimtUse::kReadOnly, 4};
  std::array<SeenSite, 1 << kSeenBits> seen_{};  // a cache
  int64_t times_taken_away_ = 0;
  std::array<char, 512> failure_{};  // no string: its owner's frame may be abandoned
};

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_SIMT_BLOCK_H_
