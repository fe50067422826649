// Mbarriers and bulk copies of a SimtBlock.
#include <cstring>

#include "tests/simt/simt_block.h"

namespace chorus::kernels {
namespace {

// What an mbarrier's word holds, to show whether something else was written over it.
constexpr uint64_t kWord = 0x72656972'7261626d;
// PTX ISA, "Contents of the mbarrier object": of arrivals, and of bytes.
constexpr int kMost = (1 << 20) - 1;

}  // namespace

void SimtBlock::BarInit(std::byte* bar, int count, Place place) {
  if (count < 1 || count > kMost) {
    Fail("BarInit at %s:%d for %d arrivals", FileName(place.file), place.line, count);
  }
  const auto byte = static_cast<int>(bar - shared_);
  const SimtBarrier barrier{
      .byte = byte, .count = count, .initializer = thread_, .to_come = count, .copies = {}};
  if (!barriers_.try_emplace(byte, barrier).second) {
    Fail("thread %d at %s:%d: a second BarInit of the mbarrier at shared byte %d", thread_,
         FileName(place.file), place.line, byte);
  }
  std::memcpy(bar, &kWord, sizeof(kWord));
}

// A fence counts as a write, so that the shadow knows who is behind it.
void SimtBlock::BarFence(Place place) {
  if (TakenAway(SiteKind::kBarFence, place)) return;
  shadow_.NoteFence(thread_);
  for (auto& [byte, barrier] : barriers_) {
    if (barrier.fenced || barrier.initializer != thread_) continue;
    barrier.fenced = true;
    TouchShared(Access::kWrite, shared_ + byte, sizeof(kWord), place);
  }
}

SimtBarrier& SimtBlock::Find(const std::byte* bar, Place place) {
  const auto byte = static_cast<int>(bar - shared_);
  const auto found = barriers_.find(byte);
  if (found == barriers_.end()) {
    Fail("thread %d at %s:%d: no BarInit of the mbarrier at shared byte %d", thread_,
         FileName(place.file), place.line, byte);
  }
  TouchShared(Access::kRead, bar, sizeof(kWord), place);
  if (std::memcmp(bar, &kWord, sizeof(kWord)) != 0) {
    Fail("thread %d at %s:%d: the mbarrier at shared byte %d was overwritten", thread_,
         FileName(place.file), place.line, byte);
  }
  return found->second;
}

void SimtBlock::BarArrive(const std::byte* bar, int expected_bytes, Place place) {
  SimtBarrier& barrier = Find(bar, place);
  if (barrier.to_come == 0) {
    Fail(
        "thread %d at %s:%d: one arrival more than the %d of a phase of the mbarrier at shared "
        "byte %d",
        thread_, FileName(place.file), place.line, barrier.count, barrier.byte);
  }
  --barrier.to_come;
  barrier.expected_bytes += expected_bytes;
  if (expected_bytes < 0 || barrier.expected_bytes > kMost) {
    Fail("thread %d at %s:%d: the mbarrier at shared byte %d cannot expect %d bytes more", thread_,
         FileName(place.file), place.line, barrier.byte, expected_bytes);
  }
  EndPhaseIfOver(barrier, false, place);
}

void SimtBlock::Bulk(void* to, const void* from, int bytes, const std::byte* bar, Place place) {
  SimtBarrier& barrier = Find(bar, place);
  if (!barrier.fenced) {
    Fail("thread %d at %s:%d: no BarFence since the BarInit of the mbarrier at shared byte %d",
         thread_, FileName(place.file), place.line, barrier.byte);
  }
  auto* const target = static_cast<std::byte*>(to);
  const auto begin = static_cast<int>(target - shared_);
  const auto unfenced = shadow_.FindUnfenced(begin, bytes);
  TouchShared(Access::kWrite, to, bytes, place);
  if (grid_->options.shadow && unfenced.has_value()) {
    FailShared(*unfenced, Access::kWrite, place, this);
  }
  shadow_.SetCopying(begin, bytes, true);
  barrier.copies.push_back({target, static_cast<const std::byte*>(from), bytes});
  barrier.copied_bytes += bytes;
  EndPhaseIfOver(barrier, false, place);
}

// Bytes land as late as can be: when who waits has nothing else to wait for.
void SimtBlock::EndPhaseIfOver(SimtBarrier& barrier, bool somebody_waits, Place place) {
  if (barrier.to_come == 0 && barrier.copied_bytes > barrier.expected_bytes) {
    Fail(
        "thread %d at %s:%d: %lld bytes come to the mbarrier at shared byte %d, which expects "
        "%lld",
        thread_, FileName(place.file), place.line, static_cast<long long>(barrier.copied_bytes),
        barrier.byte, static_cast<long long>(barrier.expected_bytes));
  }
  if (!barrier.LacksOnlyLanding()) return;
  for (const Thread& thread : threads_) somebody_waits |= thread.bar == barrier.byte;
  if (!somebody_waits && !barrier.copies.empty()) return;
  barrier.landing = shadow_.BeginLanding();
  for (const SimtBarrier::Copy& copy : barrier.copies) {
    std::memcpy(copy.to, copy.from, static_cast<size_t>(copy.bytes));
    shadow_.Land(static_cast<int>(copy.to - shared_), copy.bytes);
  }
  barrier.copies.clear();
  barrier.copied_bytes = barrier.expected_bytes = 0;
  barrier.to_come = barrier.count;
  ++barrier.phase;
  for (int i = 0; i < num_threads(); ++i) {
    Thread& thread = threads_[static_cast<size_t>(i)];
    if (thread.bar != barrier.byte) continue;
    thread.bar = -1;
    Wake(i);
  }
}

void SimtBlock::BarWait(const std::byte* bar, uint32_t parity, Place place) {
  if (TakenAway(SiteKind::kBarWait, place)) return;
  SimtBarrier& barrier = Find(bar, place);
  if (parity > 1) {
    Fail("BarWait at %s:%d for parity %u", FileName(place.file), place.line, parity);
  }
  while (barrier.phase % 2 == parity) {
    EndPhaseIfOver(barrier, true, place);
    if (barrier.phase % 2 != parity) break;
    self().bar = barrier.byte;
    Wait(Meeting::kBarWait, place);
  }
  if (barrier.LacksOnlyLanding()) {
    Fail("thread %d at %s:%d: the phase after the one it waits for may be over too", thread_,
         FileName(place.file), place.line);
  }
  shadow_.NoteWait(barrier.landing, thread_);
}

void SimtBlock::FailIfBulkUnderWay() {
  for (const auto& [byte, barrier] : barriers_) {
    if (barrier.copies.empty()) continue;
    Fail(
        "all threads left the kernel with %zu bulk copies under way to the mbarrier at shared "
        "byte %d",
        barrier.copies.size(), byte);
  }
}

}  // namespace chorus::kernels
