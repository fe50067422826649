// AccessSet: which bytes of global memory a launch read and wrote, to the byte. The SIMT executor
// fills one if its SimtMemory has it; SimDevice takes it from there. One thread at a time.
#ifndef CHORUS_TESTS_SIMT_ACCESS_SET_H_
#define CHORUS_TESTS_SIMT_ACCESS_SET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace chorus::kernels {

class AccessSet {
 public:
  struct Run {
    const std::byte* begin;
    int64_t bytes;
    bool write;
  };

  void Add(const void* at, int64_t bytes, bool write);
  // What was added since the last call, as maximal runs: all reads first, then all writes, each by
  // ascending address.
  std::vector<Run> Take();

 private:
  static constexpr int64_t kChunkBytes = 4096;
  using Bits = std::array<uint64_t, kChunkBytes / 64>;
  struct Chunk {
    Bits bits[2] = {};  // read, written
  };

  Chunk& At(uintptr_t chunk);

  std::unordered_map<uintptr_t, std::unique_ptr<Chunk>> chunks_;  // by address / kChunkBytes
  uintptr_t last_ = 0;
  Chunk* last_chunk_ = nullptr;
};

}  // namespace chorus::kernels

#endif  // CHORUS_TESTS_SIMT_ACCESS_SET_H_
