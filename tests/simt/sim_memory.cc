#include "tests/simt/sim_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"

namespace chorus::kernels {
namespace {

constexpr int64_t kPageBytes = 4096;
constexpr int64_t kPoisonedWhole = int64_t{256} << 20;
constexpr int64_t kPoisonedEnd = int64_t{64} << 20;

void Poison(std::byte* data, int64_t bytes) {
  if (bytes <= kPoisonedWhole) {
    std::memset(data, 0xff, static_cast<size_t>(bytes));
    return;
  }
  std::memset(data, 0xff, static_cast<size_t>(kPoisonedEnd));
  std::memset(data + bytes - kPoisonedEnd, 0xff, static_cast<size_t>(kPoisonedEnd));
}

uint64_t Sum(const std::byte* data, int64_t bytes) {
  uint64_t sum = static_cast<uint64_t>(bytes);
  const auto mix = [&](uint64_t word) {
    sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
    sum ^= sum >> 29;
  };
  int64_t i = 0;
  for (; i + 8 <= bytes; i += 8) {
    uint64_t word;
    std::memcpy(&word, data + i, 8);
    mix(word);
  }
  for (; i < bytes; ++i) mix(std::to_integer<uint64_t>(data[i]));
  return sum;
}

const char* Name(SimMemory::Kind kind) {
  return kind == SimMemory::Kind::kDevice ? "device memory" : "pinned memory";
}

std::string Name(const WorkId& id) {
  return absl::StrCat(id.name, " (work ", id.index, " of queue ", id.queue, ")");
}

}  // namespace

SimMemory::~SimMemory() {
  for (const auto& [data, buffer] : buffers_) {
    munmap(const_cast<std::byte*>(data), static_cast<size_t>(buffer.mapped_bytes));
  }
}

std::byte* SimMemory::Allocate(Kind kind, int64_t bytes) {
  // A page more, so that buffers never touch and the byte past one is in none.
  const int64_t mapped = (bytes / kPageBytes + 2) * kPageBytes;
  void* const memory = mmap(nullptr, static_cast<size_t>(mapped), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* const data = static_cast<std::byte*>(memory);
  Poison(data, bytes);
  buffers_.emplace(data, Buffer{.kind = kind, .bytes = bytes, .mapped_bytes = mapped});
  if (kind == Kind::kDevice) {
    kernels_.AddBytes(absl::StrCat("buffer of ", bytes, " bytes"), data, bytes, SimtUse::kReadWrite,
                      2);
    device_bytes_ += bytes;
  }
  ++live_buffers_;
  return data;
}

absl::Status SimMemory::Free(std::byte* data, const Clock& host) {
  Buffer& buffer = buffers_.at(data);
  CHORUS_CHECK(buffer.live);
  buffer.live = false;
  if (buffer.kind == Kind::kDevice) {
    kernels_.Remove(data);
    device_bytes_ -= buffer.bytes;
  }
  --live_buffers_;
  Poison(data, buffer.bytes);
  for (const Queued& copy : queued_) {
    if (copy.at >= data && copy.at < data + buffer.bytes) {
      return absl::InternalError(
          absl::StrCat(Name(buffer.kind), " was freed while a copy that uses it is queued"));
    }
  }
  if (const auto use = buffer.history.FirstUnknown(host)) {
    return absl::InternalError(absl::StrCat(
        Name(buffer.kind), " was freed before the host knew that ", Name(*use), " was done"));
  }
  return absl::OkStatus();
}

SimMemory::Buffers::const_iterator SimMemory::Find(const void* at) const {
  const auto* const address = static_cast<const std::byte*>(at);
  auto buffer = buffers_.upper_bound(address);
  if (buffer == buffers_.begin()) return buffers_.end();
  --buffer;
  return address < buffer->first + buffer->second.bytes ? buffer : buffers_.end();
}

absl::Status SimMemory::Check(Kind kind, const void* at, int64_t bytes, const char* what) const {
  const auto found = Find(at);
  if (found == buffers_.end()) {
    return absl::InternalError(absl::StrCat(what, " lies in no buffer of the device"));
  }
  const auto& [data, buffer] = *found;
  if (!buffer.live) {
    return absl::InternalError(
        absl::StrCat(what, " lies in ", Name(buffer.kind), " that was freed"));
  }
  if (buffer.kind != kind) {
    return absl::InternalError(
        absl::StrCat(what, " lies in ", Name(buffer.kind), ", want ", Name(kind)));
  }
  const int64_t offset = static_cast<const std::byte*>(at) - data;
  if (offset + bytes > buffer.bytes) {
    return absl::InternalError(absl::StrCat(what, " is bytes ", offset, " to ", offset + bytes,
                                            " of a buffer of ", buffer.bytes));
  }
  return absl::OkStatus();
}

absl::Status SimMemory::Use(const void* at, int64_t bytes, bool write, const WorkId& id,
                            const Clock& clock) {
  if (bytes == 0) return absl::OkStatus();
  const auto found = Find(at);
  if (found == buffers_.end() || !found->second.live) {
    return absl::InternalError(absl::StrCat(Name(id), " uses memory that was freed"));
  }
  const int64_t begin = static_cast<const std::byte*>(at) - found->first;
  AccessHistory& history = buffers_.at(found->first).history;
  const auto other = history.Add(begin, begin + bytes, write, id, clock);
  if (!other.has_value()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(
      Name(id), write ? " writes" : " reads", " byte ", other->at, " of ", Name(found->second.kind),
      " of ", found->second.bytes, " bytes, and no event orders it with ", Name(other->with)));
}

SimMemory::Ticket SimMemory::QueueCopy(std::byte* at, int64_t bytes, bool write) {
  bool used = false;
  bool written = false;
  for (const Queued& other : queued_) {
    const bool overlaps = other.at < at + bytes && at < other.at + other.bytes;
    used |= overlaps;
    written |= overlaps && other.write;
  }
  Queued copy{.at = at, .bytes = bytes, .write = write};
  if (write) {
    if (!used) Poison(at, bytes);
  } else if (!written) {
    copy.sum = Sum(at, bytes);
    copy.watched = true;
  }
  return queued_.insert(queued_.end(), copy);
}

absl::Status SimMemory::RunCopy(Ticket ticket, const char* name) {
  const Queued copy = *ticket;
  queued_.erase(ticket);
  if (copy.watched && Sum(copy.at, copy.bytes) != copy.sum) {
    return absl::InternalError(
        absl::StrCat(name, ": the host changed the pinned source while the copy was queued"));
  }
  return absl::OkStatus();
}

absl::Status SimMemory::UseOfLaunch(const WorkId& id, const Clock& clock, const Clock* early) {
  absl::Status status;
  for (const AccessSet::Run& run : early_accesses_.Take()) {
    status.Update(Use(run.begin, run.bytes, run.write, id, *early));
  }
  for (const AccessSet::Run& run : accesses_.Take()) {
    status.Update(Use(run.begin, run.bytes, run.write, id, clock));
  }
  return status;
}

}  // namespace chorus::kernels
