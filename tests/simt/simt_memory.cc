#include "tests/simt/simt_memory.h"

#include <sys/mman.h>

#include <cstring>
#include <utility>

#include "kernels/check.h"

namespace chorus::kernels {

SimtRegion::SimtRegion(std::string name, std::byte* data, int64_t bytes, SimtUse use, int granule)
    : name_(std::move(name)), data_(data), bytes_(bytes), use_(use), granule_(granule) {
  CHORUS_CHECK(granule == 2 || granule == 4);
  if (use == SimtUse::kReadOnly || use == SimtUse::kUncheckedReadWrite || bytes == 0) return;
  void* const records = mmap(nullptr, records_bytes(), PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHORUS_CHECK(records != MAP_FAILED);
  records_ = static_cast<Record*>(records);
}

SimtRegion::~SimtRegion() {
  if (records_ != nullptr) munmap(records_, records_bytes());
}

size_t SimtRegion::records_bytes() const {
  return static_cast<size_t>((bytes_ + granule_ - 1) / granule_) * sizeof(Record);
}

SimtRegion::Conflict SimtRegion::TouchRecords(Access access, int64_t begin, int bytes,
                                              uint32_t launch_tag, int block, int* other_block) {
  const uint32_t mine = launch_tag + 1 + static_cast<uint32_t>(block);
  const auto others = [&](uint32_t tag) {
    *other_block = static_cast<int>(tag - launch_tag) - 1;
    return tag >= launch_tag && tag != mine;
  };
  const auto join = [&](uint32_t& tag) {
    tag = tag < launch_tag || tag == mine ? mine : launch_tag;
  };
  for (int64_t i = begin / granule_; i * granule_ < begin + bytes; ++i) {
    Record& record = records_[i];
    if (record.writer >= launch_tag) {
      *other_block = static_cast<int>(record.writer - launch_tag) - 1;
      if (access == Access::kStream) return Conflict::kWritten;
      if (use_ == SimtUse::kWriteOnce && !Reads(access)) return Conflict::kWrittenTwice;
    }
    if (others(record.writer)) return Conflict::kWritten;
    if (!Reads(access) && others(record.readers)) return Conflict::kRead;
    if (access != Access::kAtomic && others(record.atomics)) return Conflict::kAtomic;
    switch (access) {
      case Access::kRead:
      case Access::kStream:
        join(record.readers);
        break;
      case Access::kWrite:
        record.writer = mine;
        break;
      case Access::kAtomic:
        join(record.atomics);
        break;
    }
  }
  return Conflict::kNone;
}

void SimtMemory::AddBytes(std::string name, const void* data, int64_t bytes, SimtUse use,
                          int granule) {
  auto* const begin = static_cast<std::byte*>(const_cast<void*>(data));
  const auto after = regions_.lower_bound(begin);
  CHORUS_CHECK(after == regions_.end() || begin + bytes <= after->first);
  CHORUS_CHECK(after == regions_.begin() ||
               std::prev(after)->first + std::prev(after)->second->bytes() <= begin);
  regions_[begin] = std::make_unique<SimtRegion>(std::move(name), begin, bytes, use, granule);
}

void SimtMemory::Remove(const void* data) {
  CHORUS_CHECK_EQ(regions_.erase(static_cast<const std::byte*>(data)), 1u);
}

void SimtMemory::PoisonOutputs() {
  for (const auto& [data, region] : regions_) {
    if (region->use() != SimtUse::kWriteOnce) continue;
    std::memset(region->data(), 0xff, static_cast<size_t>(region->bytes()));
  }
}

SimtRegion* SimtMemory::Find(const void* data, int64_t bytes) const {
  const auto* const begin = static_cast<const std::byte*>(data);
  auto region = regions_.upper_bound(begin);
  if (region == regions_.begin()) return nullptr;
  --region;
  return begin + bytes <= region->first + region->second->bytes() ? region->second.get() : nullptr;
}

void SimtMemory::BeginLaunch(int blocks) {
  launch_tag_ = next_tag_;
  next_tag_ += static_cast<uint32_t>(blocks) + 1;
  CHORUS_CHECK_GT(next_tag_, launch_tag_);
}

}  // namespace chorus::kernels
