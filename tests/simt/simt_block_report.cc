// What a SimtBlock says of the failures that it finds.
#include <cstdarg>
#include <cstdio>

#include "tests/simt/simt_block.h"

namespace chorus::kernels {
namespace {

const char* Verb(Access access) {
  switch (access) {
    case Access::kRead:
      return "reads";
    case Access::kStream:
      return "streams";
    case Access::kWrite:
      return "writes";
    case Access::kAtomic:
      return "changes";
  }
  return "";
}

const char* NameOf(const SimtRegion* region) {
  return region == nullptr ? "shared memory" : region->name();
}

}  // namespace

void SimtBlock::Fail(const char* format, ...) {
  va_list values;
  va_start(values, format);
  std::vsnprintf(failure_.data(), failure_.size(), format, values);
  va_end(values);
  fiber().LeaveFor(cluster_->caller_);
}

void SimtBlock::FailIndex(const SimtRegion* region, int64_t index, int64_t count, Place place) {
  Fail("thread %d at %s:%d: index %lld of %lld in %s", thread_, FileName(place.file), place.line,
       static_cast<long long>(index), static_cast<long long>(count), NameOf(region));
}

void SimtBlock::FailAlignment(const SimtRegion* region, int64_t index, int bytes, Place place) {
  Fail("thread %d at %s:%d: %d misaligned bytes at index %lld in %s", thread_, FileName(place.file),
       place.line, bytes, static_cast<long long>(index), NameOf(region));
}

void SimtBlock::FailShared(const Shadow::Conflict& conflict, Access access, Place place,
                           const SimtBlock* owner) {
  char other[32] = "several threads";
  if (conflict.block >= 0) {
    std::snprintf(other, sizeof(other), "block %d", conflict.block);
  } else if (conflict.thread != Shadow::kSeveral) {
    std::snprintf(other, sizeof(other), "%sthread %d", owner == this ? "" : "its ",
                  conflict.thread);
  }
  char what[128] = "";
  const char* did = "";
  switch (conflict.kind) {
    case Shadow::Conflict::kUnwritten:
      std::snprintf(what, sizeof(what), "what nobody wrote");
      break;
    case Shadow::Conflict::kCopyUnderWay:
      std::snprintf(what, sizeof(what), "while the copy of %s at line %d is under way", other,
                    conflict.line);
      break;
    case Shadow::Conflict::kLanded:
      std::snprintf(what, sizeof(what), "what the Bulk at line %d brought, with %s", conflict.line,
                    owner == this ? "neither its BarWait nor a Sync between"
                                  : "no ClusterSync behind its BarWait");
      break;
    case Shadow::Conflict::kUnfenced:
      std::snprintf(what, sizeof(what), "what %s wrote at line %d, with no BarFence by it since",
                    other, conflict.line);
      break;
    case Shadow::Conflict::kWritten:
      did = "wrote";
      break;
    case Shadow::Conflict::kRead:
      did = "read";
      break;
    case Shadow::Conflict::kAtomic:
      did = "changed";
      break;
  }
  if (*did != '\0') {
    const bool of_cluster = owner != this || conflict.block >= 0;
    std::snprintf(what, sizeof(what), "what %s %s at line %d, with no %s between", other, did,
                  conflict.line,
                  of_cluster           ? "ClusterSync"
                  : conflict.same_warp ? "SyncWarp"
                                       : "Sync");
  }
  char whose[32] = "";
  if (owner != this) std::snprintf(whose, sizeof(whose), " of block %d", owner->block_);
  Fail("thread %d at %s:%d: %s shared byte %d%s, %s", thread_, FileName(place.file), place.line,
       Verb(access), conflict.byte, whose, what);
}

void SimtBlock::FailGlobal(SimtRegion::Conflict conflict, const SimtRegion& region, int64_t byte,
                           int other_block, Access access, Place place) {
  char other[32] = "several blocks";
  if (other_block >= 0) std::snprintf(other, sizeof(other), "block %d", other_block);
  char what[96] = "";
  switch (conflict) {
    case SimtRegion::Conflict::kNone:
      break;
    case SimtRegion::Conflict::kReadOnly:
      std::snprintf(what, sizeof(what), "is read-only");
      break;
    case SimtRegion::Conflict::kWrittenTwice:
      std::snprintf(what, sizeof(what), "%s wrote before, and outputs are written once", other);
      break;
    case SimtRegion::Conflict::kWritten:
      std::snprintf(what, sizeof(what), "%s wrote", other);
      break;
    case SimtRegion::Conflict::kRead:
      std::snprintf(what, sizeof(what), "%s read", other);
      break;
    case SimtRegion::Conflict::kAtomic:
      std::snprintf(what, sizeof(what), "%s changed", other);
      break;
  }
  Fail("thread %d at %s:%d: %s byte %lld of %s, which %s", thread_, FileName(place.file),
       place.line, Verb(access), static_cast<long long>(byte), region.name(), what);
}

void SimtBlock::AddWaiting(std::vector<WaitingThreads>* groups) const {
  for (const Thread& thread : threads_) {
    if (thread.left) continue;
    auto group = groups->begin();
    while (group != groups->end() &&
           (group->meeting != thread.waits || group->place.line != thread.place.line)) {
      ++group;
    }
    if (group == groups->end()) group = groups->insert(group, {thread.waits, thread.place, 0});
    ++group->threads;
  }
}

}  // namespace chorus::kernels
