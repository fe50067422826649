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

const char* SimtBlock::Name(Meeting meeting) {
  constexpr const char* kNames[] = {"none", "Sync", "SyncWarp", "Shfl", "Ballot", "Mma", "BarWait"};
  return kNames[static_cast<size_t>(meeting)];
}

void SimtBlock::Fail(const char* format, ...) {
  va_list values;
  va_start(values, format);
  std::vsnprintf(failure_.data(), failure_.size(), format, values);
  va_end(values);
  fibers_[static_cast<size_t>(thread_)]->LeaveFor(caller_);
}

void SimtBlock::FailIndex(const SimtRegion* region, int64_t index, int64_t count, Place place) {
  Fail("thread %d at %s:%d: index %lld of %lld in %s", thread_, FileName(place.file), place.line,
       static_cast<long long>(index), static_cast<long long>(count), NameOf(region));
}

void SimtBlock::FailAlignment(const SimtRegion* region, int64_t index, int bytes, Place place) {
  Fail("thread %d at %s:%d: %d misaligned bytes at index %lld in %s", thread_, FileName(place.file),
       place.line, bytes, static_cast<long long>(index), NameOf(region));
}

void SimtBlock::FailShared(const Shadow::Conflict& conflict, Access access, Place place) {
  char other[32] = "several threads";
  if (conflict.thread != Shadow::kSeveral) {
    std::snprintf(other, sizeof(other), "thread %d", conflict.thread);
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
      std::snprintf(what, sizeof(what),
                    "what the Bulk at line %d brought, with neither its BarWait nor a Sync between",
                    conflict.line);
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
    std::snprintf(what, sizeof(what), "what %s %s at line %d, with no %s between", other, did,
                  conflict.line, conflict.same_warp ? "SyncWarp" : "Sync");
  }
  Fail("thread %d at %s:%d: %s shared byte %d, %s", thread_, FileName(place.file), place.line,
       Verb(access), conflict.byte, what);
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

std::string SimtBlock::DescribeDeadlock() const {
  struct Group {
    Meeting meeting;
    Place place;
    int threads;
  };
  std::vector<Group> groups;
  for (const Thread& thread : threads_) {
    if (thread.left) continue;
    auto group = groups.begin();
    while (group != groups.end() &&
           (group->meeting != thread.waits || group->place.line != thread.place.line)) {
      ++group;
    }
    if (group == groups.end()) group = groups.insert(group, {thread.waits, thread.place, 0});
    ++group->threads;
  }
  std::string text = "deadlock:";
  for (const Group& group : groups) {
    text += " " + std::to_string(group.threads) + " threads in " + Name(group.meeting) + " at " +
            FileName(group.place.file) + ":" + std::to_string(group.place.line) + ",";
  }
  return text + " " + std::to_string(num_left_) + " have left";
}

}  // namespace chorus::kernels
