// SimtMemory: the global memory that kernels on the SIMT executor may touch, buffer by buffer. It
// owns none of it. One thread at a time.
//
// Blocks of a launch are unordered: what one of them writes, no other may touch in the same launch,
// unless all change it by atomics. A buffer that is checked has a record per granule for that; the
// records are address space, and cost memory only where a launch touches.
#ifndef CHORUS_TESTS_SIMT_SIMT_MEMORY_H_
#define CHORUS_TESTS_SIMT_SIMT_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <type_traits>

#include "tests/simt/access_set.h"
#include "tests/simt/shadow.h"

namespace chorus::kernels {

enum class SimtUse : uint8_t {
  kReadOnly,
  kReadWrite,
  kUncheckedReadWrite,  // blocks may touch what others write
  kWriteOnce,           // an output: no granule is written twice in a launch
};

class SimtRegion {
 public:
  enum class Conflict : uint8_t { kNone, kReadOnly, kWrittenTwice, kWritten, kRead, kAtomic };

  // `granule` bytes are conflicted over as one: 2, or 4.
  SimtRegion(std::string name, std::byte* data, int64_t bytes, SimtUse use, int granule);
  ~SimtRegion();
  SimtRegion(const SimtRegion&) = delete;
  SimtRegion& operator=(const SimtRegion&) = delete;

  const char* name() const { return name_.c_str(); }
  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  SimtUse use() const { return use_; }

  // Notes what `block` of the launch `launch_tag` does, or says what speaks against it; then
  // `other_block` is who was there before, -1 for several.
  Conflict Touch(Access access, const void* at, int bytes, uint32_t launch_tag, int block,
                 int* other_block) {
    if (use_ == SimtUse::kReadOnly) {
      return Reads(access) ? Conflict::kNone : Conflict::kReadOnly;
    }
    if (records_ == nullptr) return Conflict::kNone;
    return TouchRecords(access, static_cast<const std::byte*>(at) - data_, bytes, launch_tag, block,
                        other_block);
  }

 private:
  // Tags of blocks: the launch's tag + 1 + block, or the launch's own for several. What is smaller
  // is of an earlier launch.
  struct Record {
    uint32_t writer, readers, atomics;
  };

  Conflict TouchRecords(Access access, int64_t begin, int bytes, uint32_t launch_tag, int block,
                        int* other_block);
  size_t records_bytes() const;

  const std::string name_;
  std::byte* const data_;
  const int64_t bytes_;
  const SimtUse use_;
  const int granule_;
  Record* records_ = nullptr;  // [bytes / granule], zero at first; null: not checked
};

class SimtMemory {
 public:
  // `count` elements at `data`. Two-byte elements are checked one by one, others in words of four
  // bytes. REQUIRES: no overlap with another buffer.
  template <class T>
  void Add(std::string name, T* data, int64_t count, SimtUse use) {
    static_assert(std::is_trivially_copyable_v<T>);
    AddBytes(std::move(name), data, count * static_cast<int64_t>(sizeof(T)), use,
             sizeof(T) == 2 ? 2 : 4);
  }
  void AddBytes(std::string name, const void* data, int64_t bytes, SimtUse use, int granule);
  // REQUIRES: a buffer begins at `data`.
  void Remove(const void* data);

  // Fills every kWriteOnce buffer with 0xff: NaN in every float, -1 as an index.
  void PoisonOutputs();

  // If set, every access of a launch is added to one of them: to `early` what a launch that begins
  // early does before its WaitForPrior.
  void set_accesses(AccessSet* accesses, AccessSet* early) {
    accesses_ = accesses;
    early_accesses_ = early;
  }
  AccessSet* accesses(bool early) const { return early ? early_accesses_ : accesses_; }

  // visit(const SimtRegion&) of each buffer, by address.
  template <class Visit>
  void ForEach(Visit visit) const {
    for (const auto& [data, region] : regions_) visit(*region);
  }

  // For the executor. Null if no buffer holds the `bytes` bytes at `data`.
  SimtRegion* Find(const void* data, int64_t bytes) const;
  void BeginLaunch(int blocks);
  uint32_t launch_tag() const { return launch_tag_; }

 private:
  std::map<const std::byte*, std::unique_ptr<SimtRegion>> regions_;  // by first byte
  AccessSet* accesses_ = nullptr;
  AccessSet* early_accesses_ = nullptr;
  uint32_t launch_tag_ = 1;
  uint32_t next_tag_ = 1;
};

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_SIMT_MEMORY_H_
