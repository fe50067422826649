// FlashInfer's own planner, where it plans the way we do, and our division in its headers. Host
// code alone: the two calls of the CUDA runtime that it makes are answered here (-Wl,--wrap).
// clang-format off: this one before FlashInfer's.
#include "kernels/attention/fast_division.cuh"
// clang-format on
#include <flashinfer/attention/scheduler.cuh>

#include "gtest/gtest.h"
#include "kernels/attention/plan.h"
#include "kernels/device/pool_view.h"
#include "tests/support/counter_hash.h"

extern "C" cudaError_t __wrap_cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
extern "C" cudaError_t __wrap_cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrComputeCapabilityMajor         ? 9
           : attribute == cudaDevAttrMaxSharedMemoryPerBlockOptin ? 227 << 10
                                                                  : 0;
  return cudaSuccess;
}

namespace chorus::kernels {
namespace {

TEST(FastDivisionTest, DividesExactly) {
  constexpr uint32_t kLargest = ~0u;
  const auto expect = [](uint32_t n, uint32_t d) {
    const flashinfer::uint_fastdiv divisor(d);
    uint32_t quotient = 0;
    uint32_t remainder = 0;
    divisor.divmod(n, quotient, remainder);
    ASSERT_EQ(quotient, n / d) << n << " / " << d;
    ASSERT_EQ(remainder, n % d) << n << " / " << d;
    ASSERT_EQ(n / divisor, n / d);
    ASSERT_EQ(n % divisor, n % d);
  };
  for (uint64_t i = 0; i < 2000; ++i) {
    const auto d = static_cast<uint32_t>(i < 1000 ? i + 1 : test::CounterHash(1, i) >> (i % 32));
    if (d == 0) continue;
    ASSERT_EQ(static_cast<uint32_t>(flashinfer::uint_fastdiv(d)), d);
    for (const uint32_t n : {0u, 1u, d - 1, d, d + 1, kLargest / d * d - 1, kLargest / d * d,
                             kLargest - 1, kLargest}) {
      expect(n, d);
    }
    for (uint64_t j = 0; j < 200; ++j) {
      expect(static_cast<uint32_t>(test::CounterHash(i + 2, j)), d);
    }
  }
}

// Upstream picks the tile by the mean of a batch, and throws or changes shape with a fixed chunk
// under a graph; without one, and where its tile is ours, its arrays must be ours.
TEST(FlashInferPlanTest, PlansTheSameItemsForTheSameChunks) {
  int compared[3] = {0, 0, 0};
  for (uint64_t seed = 1; seed <= 600; ++seed) {
    SCOPED_TRACE(seed);
    const auto pick = [seed](uint64_t index, uint64_t count) {
      return static_cast<int32_t>(test::CounterHash(seed, index) % count);
    };
    AttentionLimits limits;
    limits.kind = seed % 2 == 0 ? AttentionLimits::Kind::kDecode : AttentionLimits::Kind::kChunks;
    limits.kv_heads = 1 + pick(1, 8);
    limits.heads = limits.kv_heads * (1 + pick(2, 8));
    limits.head_dim = 64 << pick(3, 3);
    limits.multiprocessors = 1 + pick(4, 132);
    std::vector<int32_t> rows = {0};
    std::vector<int32_t> pages = {0};
    std::vector<int32_t> tokens;
    const bool decode = limits.kind == AttentionLimits::Kind::kDecode;
    for (int32_t s = 0; s < 1 + pick(5, 20); ++s) {
      const auto i = static_cast<uint64_t>(s);
      const int32_t count = decode ? 1 : pick(100 + i, seed % 3 == 0 ? 400 : 30);
      tokens.push_back(std::max(1, count) + pick(200 + i, pick(300 + i, 4) == 0 ? 30000 : 400));
      rows.push_back(rows.back() + count);
      pages.push_back(pages.back() + (tokens.back() + kPageTokens - 1) / kPageTokens);
    }
    limits.max_sequences = static_cast<int32_t>(tokens.size());
    limits.max_rows = std::max(1, rows.back());
    const AttentionPlanner planner = AttentionPlanner::Create(limits).value();
    const AttentionLayout& layout = planner.layout();
    std::vector<std::byte> bytes(static_cast<size_t>(layout.bytes));
    const auto step =
        planner.Plan({.row_begin = rows, .page_begin = pages, .tokens = tokens}, bytes.data());
    ASSERT_TRUE(step.ok()) << step.status();

    const auto [split, items, padded, tile, chunk, requests, row_tiles, kv_tiles, merges, outputs] =
        flashinfer::PrefillSplitQOKVIndptr<int32_t>(
            rows.data(), pages.data(), rows.back(), tokens.size(), limits.heads, limits.kv_heads,
            limits.head_dim, kPageTokens, /*max_batch_size_if_split=*/0,
            /*enable_cuda_graph=*/false, /*window_left=*/-1, step->chunk_tokens / kPageTokens,
            /*disable_split_kv=*/false, /*uniform_q_len=*/0);
    if (static_cast<int32_t>(tile) != layout.tile_rows) continue;
    ++compared[tile == 16 ? 0 : tile == 64 ? 1 : 2];
    ASSERT_EQ(static_cast<int32_t>(items), step->num_items);
    ASSERT_EQ(chunk, step->chunk_tokens);
    const auto expect = [&](const std::vector<int32_t>& want, int32_t array, const char* name) {
      const auto* const got = reinterpret_cast<const int32_t*>(bytes.data() + array);
      for (size_t i = 0; i < want.size(); ++i) ASSERT_EQ(got[i], want[i]) << name << " " << i;
    };
    expect(requests, layout.item_sequence, "sequence");
    expect(row_tiles, layout.item_row_tile, "row tile");
    expect(kv_tiles, layout.item_chunk, "chunk");
    expect(merges, layout.merge_begin, "merge");
    expect(outputs, layout.o_begin, "output");
  }
  // Each tile was really compared.
  EXPECT_GT(compared[0], 20);
  EXPECT_GT(compared[1], 20);
  EXPECT_GT(compared[2], 20);
}

}  // namespace
}  // namespace chorus::kernels
