#include "tests/simt/paged_attention_sim.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/attention_case.h"
#include "tests/support/counter_hash.h"

namespace chorus::test {
namespace {

using kernels::AttentionLimits;
using kernels::DType;
using Kind = AttentionLimits::Kind;

struct Shape {
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
};

AttentionLimits Limits(Kind kind, const Shape& shape, int32_t sequences, int32_t rows,
                       bool captured = true) {
  return {.kind = kind,
          .heads = shape.heads,
          .kv_heads = shape.kv_heads,
          .head_dim = shape.head_dim,
          .multiprocessors = 4,
          .max_sequences = sequences,
          .max_rows = rows,
          .captured = captured};
}

std::string RunAndCompare(AttentionCase& batch) {
  const absl::Status status = PagedAttentionSim(batch.Args());
  return status.ok() ? batch.Difference() : std::string(status.message());
}

class PagedAttentionSimTest : public testing::TestWithParam<DType> {};

// Groups 1, 3, 4, 7, 8 and one of more heads than a tile has rows.
const std::vector<Shape> kShapes = {{2, 2, 64},  {9, 3, 64}, {4, 1, 128},
                                    {14, 2, 64}, {8, 1, 64}, {20, 1, 64}};

TEST_P(PagedAttentionSimTest, DecodeRowsMatchTheReference) {
  for (const Shape& shape : kShapes) {
    AttentionCase batch(GetParam(), Limits(Kind::kDecode, shape, 8, 8),
                        {{1, 1}, {1, 16}, {0, 0}, {1, 17}, {0, 40}, {1, 700}, {1, 129}}, 1);
    EXPECT_EQ(RunAndCompare(batch), "") << shape.heads << "/" << shape.kv_heads;
  }
}

TEST_P(PagedAttentionSimTest, ChunksOfPromptsMatchTheReference) {
  for (const Shape& shape : kShapes) {
    for (const bool captured : {false, true}) {
      AttentionCase batch(GetParam(), Limits(Kind::kChunks, shape, 6, 90, captured),
                          {{40, 40}, {0, 0}, {17, 300}, {1, 5}, {9, 144}}, 2);
      EXPECT_EQ(RunAndCompare(batch), "")
          << shape.heads << "/" << shape.kv_heads << " captured " << captured;
    }
  }
}

TEST_P(PagedAttentionSimTest, UnsplitChunksWriteTheirOutputThemselves) {
  AttentionCase batch(GetParam(), Limits(Kind::kChunks, {4, 1, 64}, 3, 50, false),
                      {{40, 40}, {7, 100}}, 3);
  EXPECT_FALSE(batch.step().split);
  EXPECT_EQ(RunAndCompare(batch), "");
}

// One batch in chunks of several sizes.
TEST_P(PagedAttentionSimTest, AnyChunkSizeMatchesTheReference) {
  for (const int32_t chunk : {128, 256, 1024}) {
    AttentionCase batch(GetParam(), Limits(Kind::kDecode, {9, 3, 64}, 3, 3), {{1, 900}, {1, 30}}, 4,
                        chunk);
    EXPECT_EQ(batch.step().chunk_tokens, chunk);
    EXPECT_EQ(RunAndCompare(batch), "") << chunk;
  }
}

TEST_P(PagedAttentionSimTest, RandomBatchesMatchTheReference) {
  for (uint64_t seed = 100; seed < 112; ++seed) {
    SCOPED_TRACE(seed);
    const Shape& shape = kShapes[seed % kShapes.size()];
    std::vector<AttentionSequence> sequences;
    int32_t rows = 0;
    for (uint64_t s = 0; s < 1 + CounterHash(seed, 0) % 6; ++s) {
      const auto count = static_cast<int32_t>(CounterHash(seed, 10 + s) % 40);
      const auto before = static_cast<int32_t>(CounterHash(seed, 20 + s) % 400);
      sequences.push_back({count, count + before});
      rows += count;
    }
    AttentionCase batch(GetParam(), Limits(Kind::kChunks, shape, 6, std::max(rows, 1)), sequences,
                        seed);
    EXPECT_EQ(RunAndCompare(batch), "");
  }
}

// What the tests on a GPU rest on: the oracle sees each item that is missing, and each page.
TEST_P(PagedAttentionSimTest, OracleNoticesAMissingItem) {
  const auto make = [&] {
    return AttentionCase(GetParam(), Limits(Kind::kDecode, {9, 3, 64}, 3, 3),
                         {{1, 900}, {1, 300}, {1, 20}}, 5, 128);
  };
  const int32_t items = make().step().num_items;
  EXPECT_GE(items, 6);
  for (int32_t item = 0; item < items; ++item) {
    AttentionCase batch = make();
    batch.plan()[batch.layout().item_valid + item] = std::byte{0};
    // As if the chunk had no keys, not as if its result were poison.
    std::byte* const workspace = batch.Args().workspace;
    std::memset(workspace, 0, static_cast<size_t>(batch.layout().scores_offset()));
    std::fill(reinterpret_cast<float*>(workspace + batch.layout().scores_offset()),
              reinterpret_cast<float*>(workspace + batch.layout().workspace_bytes()),
              -std::numeric_limits<float>::infinity());
    EXPECT_NE(RunAndCompare(batch), "") << item;
  }
}

TEST_P(PagedAttentionSimTest, OracleNoticesASwappedPage) {
  AttentionCase batch(GetParam(), Limits(Kind::kDecode, {9, 3, 64}, 2, 2), {{1, 2000}, {1, 2000}},
                      6);
  const kernels::DeviceAttentionArgs args = batch.Args();
  for (const int64_t page : {0, 40, 123, 124}) {
    std::vector<int32_t> ids(args.page_ids, args.page_ids + batch.num_page_ids());
    std::swap(ids[static_cast<size_t>(page)], ids[static_cast<size_t>(page) + 125]);
    kernels::DeviceAttentionArgs wrong = args;
    wrong.page_ids = ids.data();
    ASSERT_TRUE(PagedAttentionSim(wrong).ok());
    EXPECT_NE(batch.Difference(), "") << page;
  }
}

// On the simulated device a captured launch reads the plan, and the pages that it names, when it is
// replayed: a copy into such a page on another stream is found, into any other page it is not.
TEST_P(PagedAttentionSimTest, DeviceSeesWhichPagesAReplayReads) {
  for (const bool listed : {false, true}) {
    AttentionCase batch(GetParam(), Limits(Kind::kDecode, {4, 2, 64}, 2, 2), {{1, 40}}, 8);
    kernels::SimDevice device({});
    const auto stream = device.NewStream(kernels::Device::Priority::kNormal).value();
    std::deque<kernels::DeviceBuffer> buffers;
    const auto upload = [&](const void* from, int64_t bytes) {
      kernels::DeviceBuffer& staged = buffers.emplace_back(device.AllocatePinned(bytes).value());
      std::memcpy(staged.data(), from, static_cast<size_t>(bytes));
      kernels::DeviceBuffer& on_device = buffers.emplace_back(device.Allocate(bytes).value());
      EXPECT_TRUE(stream->CopyToDevice(on_device.data(), staged.data(), bytes).ok());
      return on_device.data();
    };
    kernels::DeviceAttentionArgs args = batch.Args();
    const kernels::PoolView host_pool = args.pool;
    args.plan = upload(args.plan, batch.layout().bytes);
    const std::vector<int32_t> ids(args.page_ids, args.page_ids + batch.num_page_ids());
    args.page_ids = reinterpret_cast<const int32_t*>(upload(ids.data(), 4 * batch.num_page_ids()));
    args.q = upload(args.q, batch.q_bytes());
    args.pool.base = upload(args.pool.base, args.pool.total_bytes());
    args.workspace = upload(args.workspace, batch.layout().workspace_bytes());
    args.y = upload(args.y, batch.y_bytes());
    ASSERT_TRUE(stream->Synchronize().ok());
    ASSERT_TRUE(stream->BeginCapture().ok());
    ASSERT_TRUE(EnqueuePagedAttention(args, &device, stream.get()).ok());
    const auto graph = stream->EndCapture().value();

    int32_t page = ids[1];
    while (!listed && std::count(ids.begin(), ids.end(), page) > 0) {
      page = (page + 1) % static_cast<int32_t>(args.pool.num_ids);
    }
    const auto copies = device.NewStream(kernels::Device::Priority::kNormal).value();
    kernels::DeviceBuffer& image =
        buffers.emplace_back(device.AllocatePinned(args.pool.cell_bytes()).value());
    const int64_t cell = args.pool.CellOf(args.slab, page);
    std::memcpy(image.data(), host_pool.CellAddress(cell),
                static_cast<size_t>(args.pool.cell_bytes()));
    ASSERT_TRUE(
        copies->CopyToDevice(args.pool.CellAddress(cell), image.data(), args.pool.cell_bytes())
            .ok());
    ASSERT_TRUE(stream->Replay(graph.get()).ok());
    const absl::Status status = device.Finish();
    EXPECT_EQ(status.ok(), !listed) << status;
    if (listed) continue;
    std::memcpy(batch.y(), args.y, static_cast<size_t>(batch.y_bytes()));
    EXPECT_EQ(batch.Difference(), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Simt, PagedAttentionSimTest, testing::Values(DType::kBf16, DType::kF16),
                         [](const auto& info) { return std::string(kernels::Name(info.param)); });

TEST(DeviceAttentionTest, RefusesWhatDoesNotFit) {
  AttentionCase batch(DType::kBf16, Limits(Kind::kDecode, {4, 2, 64}, 2, 2), {{1, 20}}, 7);
  const auto message = [&](const auto& change) {
    kernels::DeviceAttentionArgs args = batch.Args();
    change(args);
    return std::string(PagedAttentionSim(args).message());
  };
  EXPECT_EQ(message([](auto&) {}), "");
  EXPECT_EQ(message([](auto& a) { a.pool.head_dim = 128; }),
            "PagedAttention: pool has 2 KV heads of 128 bf16, want 2 of 64 bf16 or f16");
  EXPECT_EQ(message([](auto& a) { a.slab = 2; }), "PagedAttention: slab is 2, want one in [0, 2)");
  EXPECT_EQ(message([](auto& a) { a.q_stride = 260; }),
            "PagedAttention: q_stride is 260, want a multiple of 8 from 256, its product with the "
            "rows within 31 bits");
  EXPECT_EQ(message([](auto& a) { a.split = false; }),
            "PagedAttention: not split, want the split of a graph");
  EXPECT_EQ(message([](auto& a) { a.q = static_cast<const std::byte*>(a.q) + 2; }),
            "PagedAttention: q is not 16-byte aligned");
  EXPECT_THAT(message([](auto& a) { a.y = nullptr; }), testing::HasSubstr("y is null"));
}

}  // namespace
}  // namespace chorus::test
