#include "tests/simt/access_set.h"

#include <algorithm>

namespace chorus::kernels {

AccessSet::Chunk& AccessSet::At(uintptr_t chunk) {
  if (last_chunk_ == nullptr || chunk != last_) {
    std::unique_ptr<Chunk>& slot = chunks_[chunk];
    if (slot == nullptr) slot = std::make_unique<Chunk>();
    last_ = chunk;
    last_chunk_ = slot.get();
  }
  return *last_chunk_;
}

void AccessSet::Add(const void* at, int64_t bytes, bool write) {
  auto address = reinterpret_cast<uintptr_t>(at);
  while (bytes > 0) {
    const auto offset = static_cast<int64_t>(address % kChunkBytes);
    const int64_t bit = offset % 64;
    const int64_t count = std::min(bytes, 64 - bit);
    const uint64_t ones = count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
    At(address / kChunkBytes).bits[write ? 1 : 0][static_cast<size_t>(offset / 64)] |= ones << bit;
    address += static_cast<uintptr_t>(count);
    bytes -= count;
  }
}

std::vector<AccessSet::Run> AccessSet::Take() {
  std::vector<uintptr_t> order;
  order.reserve(chunks_.size());
  for (const auto& [chunk, bits] : chunks_) order.push_back(chunk);
  std::sort(order.begin(), order.end());
  std::vector<Run> runs;
  for (const bool write : {false, true}) {
    const size_t first = runs.size();
    for (const uintptr_t chunk : order) {
      const Bits& bits = chunks_[chunk]->bits[write ? 1 : 0];
      for (int64_t i = 0; i < kChunkBytes; ++i) {
        const uint64_t word = bits[static_cast<size_t>(i / 64)];
        if (word == 0 && i % 64 == 0) {
          i += 63;
          continue;
        }
        if (((word >> (i % 64)) & 1) == 0) continue;
        const auto* const at =
            reinterpret_cast<const std::byte*>(chunk * kChunkBytes + static_cast<uintptr_t>(i));
        if (runs.size() > first && runs.back().begin + runs.back().bytes == at) {
          ++runs.back().bytes;
        } else {
          runs.push_back({at, 1, write});
        }
      }
    }
  }
  chunks_.clear();
  last_chunk_ = nullptr;
  return runs;
}

}  // namespace chorus::kernels
