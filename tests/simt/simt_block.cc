#include "tests/simt/simt_block.h"

#include <cstring>

#include "kernels/check.h"
#include "kernels/device/device_code.h"

namespace chorus::kernels {
namespace {

constexpr size_t kSharedAlignment = 128;
// A guard that bounds a loop may keep it going for good.
constexpr int64_t kMaxTimesTakenAway = 4'000'000;

}  // namespace

void SimtBlock::BeginLaunch(const SimtGrid& grid) {
  CHORUS_CHECK(grid.kernel.simt_entry != nullptr);
  CHORUS_CHECK(grid.kernel.threads % kWarpThreads == 0);
  CHORUS_CHECK_LE(grid.kernel.threads, 1024);
  grid_ = &grid;
  seen_.fill(SeenSite{});
  times_taken_away_ = 0;
  const auto threads = static_cast<size_t>(grid.kernel.threads);
  while (fibers_.size() < threads) {
    fibers_.push_back(std::make_unique<Fiber>(static_cast<int>(fibers_.size())));
  }
  const auto shared_bytes = static_cast<size_t>(grid.shared_bytes);
  if (shared_storage_.size() < shared_bytes + kSharedAlignment) {
    shared_storage_.resize(shared_bytes + kSharedAlignment);
  }
  const auto address = reinterpret_cast<uintptr_t>(shared_storage_.data());
  shared_ = shared_storage_.data() + (kSharedAlignment - address % kSharedAlignment);
}

void SimtBlock::BeginBlock(int32_t block) {
  block_ = block;
  const int threads = num_threads();
  threads_.resize(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    Thread& thread = threads_[static_cast<size_t>(i)];
    thread.left = false;
    thread.early = grid_->options.early;
    thread.waits = Meeting::kNone;
    thread.copies.clear();
    thread.groups = 0;
    thread.bar = -1;
    fibers_[static_cast<size_t>(i)]->Restart(&SimtBlock::RunThread, this);
  }
  warps_.assign(static_cast<size_t>(threads / kWarpThreads), Warp{});
  barriers_.clear();
  num_left_ = num_at_sync_ = 0;
  remote_reader_ = {};
  failure_[0] = '\0';
  std::memset(shared_, 0xff, static_cast<size_t>(grid_->shared_bytes));  // NaN, or -1
  shadow_.BeginBlock(grid_->shared_bytes);
  turns_.Begin(grid_->options, threads, block);
}

bool SimtBlock::ChooseThread() {
  const int next = turns_.Next();
  if (next >= 0) thread_ = next;
  return next >= 0;
}

void SimtBlock::RunThread(void* block_of_thread) {
  auto& block = *static_cast<SimtBlock*>(block_of_thread);
  block.grid_->kernel.simt_entry(block, block.grid_->params);
  block.LeaveKernel();
}

void SimtBlock::LeaveKernel() {
  Thread& thread = self();
  if (thread.early && block_ == 0) Fail("thread %d left the kernel without WaitForPrior", thread_);
  if (!thread.copies.empty()) {
    Fail("thread %d left the kernel with %zu copies under way", thread_, thread.copies.size());
  }
  if (num_at_sync_ > 0) {
    Fail("thread %d left the kernel, %d threads wait in Sync at %s:%d", thread_, num_at_sync_,
         FileName(sync_.file), sync_.line);
  }
  if (warp().arrived != 0) {
    Fail("thread %d left the kernel, lanes of its warp wait in %s at %s:%d", thread_,
         Name(warp().meeting), FileName(warp().place.file), warp().place.line);
  }
  if (cluster_->num_at_sync_ > 0) {
    Fail("thread %d left the kernel, %d threads of its cluster wait in ClusterSync at %s:%d",
         thread_, cluster_->num_at_sync_, FileName(cluster_->sync_.file), cluster_->sync_.line);
  }
  thread.left = true;
  ++cluster_->num_left_;
  if (++num_left_ == num_threads()) {
    FailIfBulkUnderWay();
    FailIfStillRead();
  }
  turns_.SetWaiting(thread_);
  Fiber& own = fiber();
  SimtBlock* const next = cluster_->Next();
  if (next == nullptr) {
    cluster_->deadlock_ = cluster_->num_left_ < cluster_->size() * num_threads();
    own.LeaveFor(cluster_->caller_);
  }
  own.LeaveFor(next->fiber());
}

void SimtBlock::Wait(Meeting meeting, Place place) {
  self().waits = meeting;
  self().place = place;
  turns_.SetWaiting(thread_);
  Fiber& own = fiber();
  SimtBlock* const next = cluster_->Next();
  if (next == nullptr) {
    cluster_->deadlock_ = true;
    own.LeaveFor(cluster_->caller_);
  }
  ++grid_->report.switches;
  own.SwitchTo(next->fiber());
}

void SimtBlock::Yield() {
  Fiber& own = fiber();
  Fiber& next = cluster_->Next()->fiber();
  if (&next == &own) return;
  ++grid_->report.switches;
  own.SwitchTo(next);
}

void SimtBlock::Wake(int thread) {
  threads_[static_cast<size_t>(thread)].waits = Meeting::kNone;
  turns_.SetReady(thread);
}

void SimtBlock::WakeWarp() {
  const int first = thread_ / kWarpThreads * kWarpThreads;
  for (int i = first; i < first + kWarpThreads; ++i) Wake(i);
}

void SimtBlock::Sync(Place place) {
  if (TakenAway(SiteKind::kSync, place)) return;
  if (num_left_ > 0) {
    Fail("thread %d in Sync at %s:%d, but %d threads have left the kernel", thread_,
         FileName(place.file), place.line, num_left_);
  }
  if (num_at_sync_ > 0 && (place.line != sync_.line || std::strcmp(place.file, sync_.file) != 0)) {
    Fail("threads at different Syncs: %s:%d and %s:%d", FileName(sync_.file), sync_.line,
         FileName(place.file), place.line);
  }
  sync_ = place;
  if (++num_at_sync_ < num_threads()) return Wait(Meeting::kSync, place);
  num_at_sync_ = 0;
  shadow_.EndInterval();
  for (int i = 0; i < num_threads(); ++i) Wake(i);
  Yield();  // the last to arrive would go on first
}

void SimtBlock::WaitForPrior(Place place) {
  if (!TakenAway(SiteKind::kWaitForPrior, place)) self().early = false;
}

void SimtBlock::LetNextBegin(Place place) {
  if (!self().early) return;
  Fail("thread %d in LetNextBegin at %s:%d before WaitForPrior", thread_, FileName(place.file),
       place.line);
}

bool SimtBlock::MeetWarp(Meeting meeting, const void* brought, Place place) {
  Warp& warp = this->warp();
  if (warp.arrived != 0 && (warp.meeting != meeting || warp.place.line != place.line ||
                            std::strcmp(warp.place.file, place.file) != 0)) {
    Fail("warp %d diverged: lanes in %s at %s:%d and in %s at %s:%d", thread_ / kWarpThreads,
         Name(warp.meeting), FileName(warp.place.file), warp.place.line, Name(meeting),
         FileName(place.file), place.line);
  }
  const int first = thread_ / kWarpThreads * kWarpThreads;
  for (int i = first; num_left_ > 0 && i < first + kWarpThreads; ++i) {
    if (!threads_[static_cast<size_t>(i)].left) continue;
    Fail("thread %d in %s at %s:%d, but thread %d of its warp has left the kernel", thread_,
         Name(meeting), FileName(place.file), place.line, i);
  }
  warp.meeting = meeting;
  warp.place = place;
  warp.arrived |= 1u << (thread_ % kWarpThreads);
  self().brought = brought;
  if (warp.arrived != ~0u) {
    Wait(meeting, place);
    return false;
  }
  warp.arrived = 0;
  return true;
}

template <class T>
const T& SimtBlock::Brought(int lane) const {
  const int thread = thread_ / kWarpThreads * kWarpThreads + lane;
  return *static_cast<const T*>(threads_[static_cast<size_t>(thread)].brought);
}

void SimtBlock::SyncWarp(Place place) {
  if (TakenAway(SiteKind::kSyncWarp, place)) return;
  if (!MeetWarp(Meeting::kSyncWarp, nullptr, place)) return;
  ++warp().interval;
  shadow_.EndWarpInterval(thread_ / kWarpThreads);
  WakeWarp();
  Yield();
}

uint32_t SimtBlock::Shfl(uint32_t value, int lane, Place place) {
  if (lane < 0 || lane >= kWarpThreads) {
    Fail("Shfl from lane %d at %s:%d", lane, FileName(place.file), place.line);
  }
  uint32_t result = 0;
  const Exchange own{value, lane, &result};
  if (!MeetWarp(Meeting::kShfl, &own, place)) return result;
  for (int i = 0; i < kWarpThreads; ++i) {
    const Exchange& to = Brought<Exchange>(i);
    *to.result = Brought<Exchange>(to.lane).value;
  }
  WakeWarp();
  return result;
}

uint32_t SimtBlock::Ballot(bool value, Place place) {
  uint32_t result = 0;
  const Exchange own{value ? 1u : 0u, 0, &result};
  if (!MeetWarp(Meeting::kBallot, &own, place)) return result;
  uint32_t votes = 0;
  for (int i = 0; i < kWarpThreads; ++i) votes |= Brought<Exchange>(i).value << i;
  for (int i = 0; i < kWarpThreads; ++i) *Brought<Exchange>(i).result = votes;
  WakeWarp();
  return result;
}

void SimtBlock::Mma(DType type, int k, const MmaFragments& fragments, Place place) {
  if (!MeetWarp(Meeting::kMma, &fragments, place)) return;
  const MmaFragments* lanes[kWarpThreads];
  for (int i = 0; i < kWarpThreads; ++i) lanes[i] = &Brought<MmaFragments>(i);
  WarpMma(type, k, grid_->options.toward_zero, lanes);
  ++grid_->report.mmas;
  WakeWarp();
}

void SimtBlock::CopyAsync16(void* to, const void* from) {
  auto* const bytes = static_cast<std::byte*>(to);
  shadow_.SetCopying(static_cast<int>(bytes - shared_), 16, true);
  self().copies.push_back({bytes, static_cast<const std::byte*>(from), self().groups});
}

void SimtBlock::CopyCommit(Place place) {
  if (!TakenAway(SiteKind::kCopyCommit, place)) ++self().groups;
}

void SimtBlock::CopyWait(int groups, Place place) {
  if (groups < 0 || groups > 3) {
    Fail("CopyWait(%d) at %s:%d takes 0 to 3", groups, FileName(place.file), place.line);
  }
  if (TakenAway(SiteKind::kCopyWait, place)) return;
  Thread& thread = self();
  size_t kept = 0;
  for (const Copy& copy : thread.copies) {
    if (copy.group >= thread.groups - groups) {
      thread.copies[kept++] = copy;
      continue;
    }
    shadow_.SetCopying(static_cast<int>(copy.to - shared_), 16, false);
    std::memcpy(copy.to, copy.from, 16);
    TouchShared(Access::kWrite, copy.to, 16, place);
  }
  thread.copies.resize(kept);
}

SimtRegion* SimtBlock::Global(const void* data, int64_t bytes, Place place) {
  if (data == nullptr || bytes == 0) return &nothing_;
  SimtRegion* const region = bytes < 0 ? nullptr : grid_->memory.Find(data, bytes);
  if (region == nullptr) {
    Fail("no buffer holds the %lld bytes of the span at %s:%d", static_cast<long long>(bytes),
         FileName(place.file), place.line);
  }
  return region;
}

std::byte* SimtBlock::Shared(int64_t offset, int64_t bytes, int64_t alignment, Place place) {
  if (offset < 0 || bytes < 0 || offset + bytes > grid_->shared_bytes || offset % alignment != 0) {
    Fail("shared bytes %lld to %lld of %d, aligned to %lld, at %s:%d",
         static_cast<long long>(offset), static_cast<long long>(offset + bytes),
         grid_->shared_bytes, static_cast<long long>(alignment), FileName(place.file), place.line);
  }
  return shared_ + offset;
}

void SimtBlock::TouchShared(Access access, const void* at, int bytes, Place place) {
  if (!grid_->options.shadow) return;
  const auto begin = static_cast<int>(static_cast<const std::byte*>(at) - shared_);
  const auto conflict = shadow_.Touch(access, begin, bytes, {thread_, warp().interval, place.line});
  if (conflict.has_value()) FailShared(*conflict, access, place, this);
}

void SimtBlock::TouchGlobal(SimtRegion& region, Access access, const void* at, int bytes,
                            Place place) {
  if (AccessSet* const accesses = grid_->memory.accesses(self().early)) {
    accesses->Add(at, bytes, !Reads(access));
  }
  int other_block = 0;
  const SimtRegion::Conflict conflict =
      region.Touch(access, at, bytes, grid_->memory.launch_tag(), block_, &other_block);
  if (conflict == SimtRegion::Conflict::kNone) return;
  FailGlobal(conflict, region, static_cast<const std::byte*>(at) - region.data(), other_block,
             access, place);
}

void SimtBlock::Learn(SeenSite& seen, SiteKind kind, Place place) {
  const Site site{kind, place.file, place.line};
  grid_->report.sites.insert(site);
  seen = {place.file, place.line, kind, grid_->options.mutated == site};
}

bool SimtBlock::CountTakenAway(Place place) {
  if (++times_taken_away_ > kMaxTimesTakenAway) {
    Fail("no end without what stands at %s:%d", FileName(place.file), place.line);
  }
  return true;
}

}  // namespace chorus::kernels
