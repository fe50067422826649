// PagedAttention on a GPU against the double-precision oracle.
#include <algorithm>
#include <cstring>
#include <deque>

#include "kernels/attention/paged_attention_cuda.h"
#include "tests/gpu/gpu_test.h"
#include "tests/support/attention_case.h"
#include "tests/support/counter_hash.h"

namespace chorus::test {
namespace {

using kernels::AttentionLimits;
using kernels::DeviceAttentionArgs;
using kernels::DType;
using Kind = AttentionLimits::Kind;

struct Shape {
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
};

// Groups 1, 3, 4, 7, 8, and one of more heads than a tile has rows; each head size.
const std::vector<Shape> kShapes = {{8, 8, 128},   {9, 3, 64},  {32, 8, 128}, {28, 4, 128},
                                    {16, 2, 64},   {14, 2, 64}, {40, 2, 128}, {8, 2, 256},
                                    {16, 16, 256}, {32, 8, 64}};

std::string NameOf(const Shape& shape) {
  return std::to_string(shape.heads) + "/" + std::to_string(shape.kv_heads) + " of " +
         std::to_string(shape.head_dim);
}

class AttentionGpuTest : public GpuTest {
 protected:
  AttentionLimits Limits(Kind kind, const Shape& shape, int32_t sequences, int32_t rows,
                         bool captured = true) {
    return {.kind = kind,
            .heads = shape.heads,
            .kv_heads = shape.kv_heads,
            .head_dim = shape.head_dim,
            .multiprocessors = device().info().multiprocessors,
            .max_sequences = sequences,
            .max_rows = rows,
            .captured = captured};
  }

  // The case's arguments, in the device's memory.
  DeviceAttentionArgs OnDevice(AttentionCase& batch) {
    DeviceAttentionArgs args = batch.Args();
    args.plan = Upload(args.plan, batch.layout().bytes);
    args.page_ids = Upload(args.page_ids, batch.num_page_ids());
    args.q = Upload(static_cast<const std::byte*>(args.q), batch.q_bytes());
    args.pool.base = Upload(args.pool.base, args.pool.total_bytes());
    args.workspace = Poisoned<std::byte>(batch.layout().workspace_bytes());
    args.y = Poisoned<std::byte>(batch.y_bytes());
    return args;
  }

  // Runs the batch; the first difference from the oracle, or the error.
  std::string RunAndCompare(AttentionCase& batch, int32_t max_rows = 1 << 20) {
    const DeviceAttentionArgs args = OnDevice(batch);
    const absl::Status status = kernels::PagedAttentionCuda(args, &stream());
    if (!status.ok()) return std::string(status.message());
    Download(batch.y(), args.y, batch.y_bytes());
    return batch.Difference(max_rows);
  }
};

TEST_F(AttentionGpuTest, DecodeRowsMatchTheReference) {
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    for (const Shape& shape : kShapes) {
      AttentionCase batch(dtype, Limits(Kind::kDecode, shape, 8, 8),
                          {{1, 1}, {1, 16}, {0, 0}, {1, 17}, {1, 900}, {1, 129}, {1, 3000}}, 1);
      EXPECT_EQ(RunAndCompare(batch), "") << kernels::Name(dtype) << " " << NameOf(shape);
    }
  }
}

TEST_F(AttentionGpuTest, ChunksOfPromptsMatchTheReference) {
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    for (const Shape& shape : kShapes) {
      for (const bool captured : {false, true}) {
        AttentionCase batch(dtype, Limits(Kind::kChunks, shape, 6, 400, captured),
                            {{130, 130}, {0, 0}, {17, 1200}, {1, 5}, {9, 144}, {200, 777}}, 2);
        EXPECT_EQ(RunAndCompare(batch, 8), "")
            << kernels::Name(dtype) << " " << NameOf(shape) << " captured " << captured;
      }
    }
  }
}

// Tiles of 128 rows, with and without a split.
TEST_F(AttentionGpuTest, LargeTilesMatchTheReference) {
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    for (const bool captured : {false, true}) {
      AttentionCase batch(dtype, Limits(Kind::kChunks, {32, 8, 128}, 4, 2048, captured),
                          {{1500, 1500}, {300, 2300}, {7, 70}}, 3);
      EXPECT_EQ(batch.layout().tile_rows, 128);
      EXPECT_EQ(RunAndCompare(batch, 8), "") << kernels::Name(dtype) << " captured " << captured;
    }
  }
}

TEST_F(AttentionGpuTest, LongSequenceAmongShortOnesMatchesTheReference) {
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    std::vector<AttentionSequence> sequences(64, {1, 100});
    for (size_t s = 0; s < 64; ++s) sequences[s].tokens = static_cast<int32_t>(20 + 7 * s);
    sequences[40].tokens = 32768;
    AttentionCase batch(dtype, Limits(Kind::kDecode, {32, 8, 128}, 64, 64), sequences, 4);
    EXPECT_GE(batch.step().num_items, 63 + 32);
    EXPECT_EQ(RunAndCompare(batch), "") << kernels::Name(dtype);
  }
}

TEST_F(AttentionGpuTest, RandomBatchesMatchTheReference) {
  for (uint64_t seed = 1; seed <= 24; ++seed) {
    const Shape& shape = kShapes[seed % kShapes.size()];
    const DType dtype = seed % 2 == 0 ? DType::kBf16 : DType::kF16;
    SCOPED_TRACE(testing::Message() << "seed " << seed << ", " << NameOf(shape));
    const auto pick = [seed](uint64_t index, uint64_t count) {
      return static_cast<int32_t>(CounterHash(seed, index) % count);
    };
    const bool decode = pick(0, 3) == 0;
    std::vector<AttentionSequence> sequences;
    int32_t rows = 0;
    for (uint64_t s = 0; s < 1 + CounterHash(seed, 1) % 12; ++s) {
      const int32_t count = decode ? pick(100 + s, 4) > 0 : pick(100 + s, 90);
      const int32_t before = pick(200 + s, pick(300 + s, 5) == 0 ? 6000 : 500);
      sequences.push_back({count, count + before});
      rows += count;
    }
    AttentionCase batch(dtype,
                        Limits(decode ? Kind::kDecode : Kind::kChunks, shape, 12,
                               std::max(decode ? 12 : rows + pick(2, 9), 1), pick(3, 2) == 0),
                        sequences, seed);
    EXPECT_EQ(RunAndCompare(batch, 5), "");
  }
}

// The law: in one graph, with the chunks of the other's plan, a row's bits are its own.
TEST_F(AttentionGpuTest, RowAloneHasTheBitsThatItHasInABatch) {
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    const AttentionLimits limits = Limits(Kind::kDecode, {28, 4, 128}, 16, 16);
    std::vector<AttentionSequence> sequences(16, {1, 333});
    sequences[0].tokens = 2500;
    sequences[7].tokens = 9000;
    AttentionCase mixed(dtype, limits, sequences, 5);
    AttentionCase alone(dtype, limits, {sequences[0]}, 5, mixed.step().chunk_tokens);
    ASSERT_EQ(mixed.step().chunk_tokens, alone.step().chunk_tokens);
    ASSERT_EQ(RunAndCompare(mixed), "");
    ASSERT_EQ(RunAndCompare(alone), "");
    EXPECT_EQ(std::memcmp(mixed.y(), alone.y(), size_t{28} * 128 * 2), 0);
  }
}

// One capture, replayed over plans of other mixes: what changes lies in memory, not in the launch.
TEST_F(AttentionGpuTest, CapturedLaunchServesEveryMix) {
  const AttentionLimits limits = Limits(Kind::kDecode, {9, 3, 64}, 6, 6);
  const std::vector<std::vector<AttentionSequence>> mixes = {
      {{1, 10}, {1, 4000}}, {{1, 700}, {0, 0}, {1, 33}, {1, 1}}, {}, {{1, 5000}, {1, 1}, {1, 1}}};
  std::deque<AttentionCase> cases;
  int64_t pool_bytes = 0;
  int64_t page_ids = 1;
  for (size_t i = 0; i < mixes.size(); ++i) {
    cases.emplace_back(DType::kBf16, limits, mixes[i], 10 + i);
    pool_bytes = std::max(pool_bytes, cases.back().Args().pool.total_bytes());
    page_ids = std::max(page_ids, cases.back().num_page_ids());
  }
  // A slab's place follows from the pool's pages, so all cases lie in a pool of one shape.
  DeviceAttentionArgs args = cases[0].Args();
  const int64_t cell_bytes = args.pool.cell_bytes();
  const int64_t num_ids = pool_bytes / (2 * cell_bytes);
  args.pool.num_ids = num_ids;
  args.pool.base = Poisoned<std::byte>(args.pool.total_bytes());
  auto* const plan = Poisoned<std::byte>(cases[0].layout().bytes);
  auto* const ids = Poisoned<int32_t>(page_ids);
  auto* const q = Poisoned<std::byte>(cases[0].q_bytes());
  args.plan = plan;
  args.page_ids = ids;
  args.q = q;
  args.workspace = Poisoned<std::byte>(cases[0].layout().workspace_bytes());
  args.y = Poisoned<std::byte>(cases[0].y_bytes());
  const auto load = [&](AttentionCase& batch) {
    const DeviceAttentionArgs host = batch.Args();
    const auto copy = [&](void* to, const void* from, int64_t bytes) {
      if (bytes == 0) return;
      const std::byte* const staged = Upload(static_cast<const std::byte*>(from), bytes);
      ASSERT_TRUE(stream().CopyOnDevice(to, staged, bytes).ok());
    };
    copy(plan, host.plan, batch.layout().bytes);
    copy(ids, host.page_ids, 4 * batch.num_page_ids());
    copy(q, host.q, batch.q_bytes());
    copy(args.pool.CellAddress(args.pool.CellOf(host.slab, 0)),
         host.pool.CellAddress(host.pool.CellOf(host.slab, 0)), host.pool.num_ids * cell_bytes);
  };
  load(cases[0]);
  ASSERT_TRUE(kernels::PagedAttentionCuda(args, &stream()).ok());  // loads the kernels
  ASSERT_TRUE(stream().Synchronize().ok());
  ASSERT_TRUE(stream().BeginCapture().ok());
  ASSERT_TRUE(kernels::PagedAttentionCuda(args, &stream()).ok());
  const auto graph = stream().EndCapture();
  ASSERT_TRUE(graph.ok()) << graph.status();
  for (AttentionCase& batch : cases) {
    load(batch);
    ASSERT_TRUE(stream().Fill(args.y, 0xff, batch.y_bytes()).ok());
    ASSERT_TRUE(stream().Replay(graph->get()).ok());
    Download(batch.y(), args.y, batch.y_bytes());
    EXPECT_EQ(batch.Difference(), "");
  }
}

}  // namespace
}  // namespace chorus::test
