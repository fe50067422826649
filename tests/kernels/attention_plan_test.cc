#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <tuple>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/attention/plan.h"
#include "kernels/checked.h"
#include "kernels/device/pool_view.h"
#include "tests/support/counter_hash.h"

namespace chorus::kernels {
namespace {

using Kind = AttentionLimits::Kind;

struct Sequence {
  int32_t rows;
  int32_t tokens;
};

constexpr AttentionLimits kDecode64 = {.kind = Kind::kDecode,
                                       .heads = 32,
                                       .kv_heads = 8,
                                       .head_dim = 128,
                                       .multiprocessors = 132,
                                       .max_sequences = 64,
                                       .max_rows = 64};

AttentionLimits ChunkLimits(int32_t sequences, int32_t rows) {
  AttentionLimits limits = kDecode64;
  limits.kind = Kind::kChunks;
  limits.max_sequences = sequences;
  limits.max_rows = rows;
  limits.captured = false;
  return limits;
}

AttentionPlanner Planner(const AttentionLimits& limits) {
  return AttentionPlanner::Create(limits).value();
}

// A batch's arrays, its plan, and guard bytes behind it.
class Planned {
 public:
  Planned(const AttentionPlanner& planner, const std::vector<Sequence>& sequences,
          int32_t min_chunk_tokens = 0, int32_t first_page = 0)
      : layout_(planner.layout()),
        sequences_(sequences),
        page_begin_{first_page},
        bytes_(static_cast<size_t>(layout_.bytes) + 64, std::byte{0xa5}) {
    for (const Sequence& s : sequences) {
      row_begin_.push_back(row_begin_.back() + s.rows);
      page_begin_.push_back(page_begin_.back() + CeilDiv(s.tokens, kPageTokens));
      tokens_.push_back(s.tokens);
    }
    status_ = planner.Plan({.row_begin = row_begin_,
                            .page_begin = page_begin_,
                            .tokens = tokens_,
                            .min_chunk_tokens = min_chunk_tokens},
                           bytes_.data());
  }

  const absl::StatusOr<AttentionStep>& step() const { return status_; }
  int32_t At(int32_t array, int32_t i = 0) const {
    return reinterpret_cast<const int32_t*>(bytes_.data() + array)[i];
  }
  bool Valid(int32_t item) const {
    return bytes_[static_cast<size_t>(layout_.item_valid + item)] != std::byte{0};
  }
  const std::byte* data() const { return bytes_.data(); }

  // Everything that a kernel relies on, found by brute force.
  void ExpectSound() const {
    ASSERT_TRUE(status_.ok()) << status_.status();
    ExpectArraysWithinThePlan();
    ExpectSequences();
    ExpectItemsCoverEachPageOnce();
    ExpectMergesTakeEachPartialOnce();
    ExpectSmallestChunk();
  }

 private:
  void ExpectArraysWithinThePlan() const {
    for (size_t i = static_cast<size_t>(layout_.bytes); i < bytes_.size(); ++i) {
      ASSERT_EQ(bytes_[i], std::byte{0xa5}) << "written behind the plan";
    }
    EXPECT_EQ(At(layout_.chunk_tokens), status_->chunk_tokens);
    EXPECT_EQ(At(layout_.num_rows), layout_.limits.max_rows);
    EXPECT_LE(status_->num_items, layout_.max_items);
    for (int32_t item = 0; item < layout_.max_items; ++item) {
      ASSERT_EQ(Valid(item), item < status_->num_items);
      if (Valid(item)) continue;
      ASSERT_EQ(At(layout_.item_sequence, item), 0);
      ASSERT_EQ(At(layout_.item_row_tile, item), 0);
      ASSERT_EQ(At(layout_.item_chunk, item), 0);
    }
  }

  void ExpectSequences() const {
    for (int32_t s = 0; s < layout_.limits.max_sequences; ++s) {
      const auto i = static_cast<size_t>(s);
      const Sequence shape = i < sequences_.size() ? sequences_[i] : Sequence{0, 0};
      const int32_t pages = At(layout_.page_begin, s + 1) - At(layout_.page_begin, s);
      ASSERT_EQ(At(layout_.row_begin, s + 1) - At(layout_.row_begin, s), shape.rows);
      const int32_t last = At(layout_.last_page_tokens, s);
      ASSERT_EQ(pages == 0 ? 0 : (pages - 1) * kPageTokens + last, shape.tokens);
      ASSERT_TRUE(pages == 0 ? last == 0 : last >= 1 && last <= kPageTokens);
    }
    ASSERT_EQ(At(layout_.page_begin, 0), page_begin_.front());
    ASSERT_EQ(At(layout_.row_begin, 0), 0);
  }

  // Counts how often each (row, head of a group, page) is read, and who writes each partial.
  void ExpectItemsCoverEachPageOnce() const {
    const int32_t pages_per_chunk = status_->chunk_tokens / kPageTokens;
    std::map<std::tuple<int32_t, int32_t, int32_t>, int32_t> reads;
    std::set<std::pair<int32_t, int32_t>> written;
    for (int32_t item = 0; item < status_->num_items; ++item) {
      const int32_t s = At(layout_.item_sequence, item);
      const Sequence& shape = sequences_.at(static_cast<size_t>(s));
      const int32_t pages = CeilDiv(shape.tokens, kPageTokens);
      const int32_t chunk = At(layout_.item_chunk, item);
      const int32_t chunks = CeilDiv(shape.tokens, status_->chunk_tokens);
      ASSERT_LT(chunk, chunks);
      const int32_t first = At(layout_.item_row_tile, item) * layout_.tile_rows;
      ASSERT_LT(first, shape.rows * layout_.group());
      for (int32_t p = first; p < first + layout_.tile_rows && p < shape.rows * layout_.group();
           ++p) {
        const int32_t row = p / layout_.group();
        const int32_t partial = At(layout_.o_begin, s) + row * chunks + chunk;
        ASSERT_LT(partial, status_->split ? layout_.max_partials : layout_.limits.max_rows);
        ASSERT_TRUE(written.emplace(partial, p % layout_.group()).second);
        ASSERT_TRUE(status_->split || partial == At(layout_.row_begin, s) + row);
        for (int32_t page = chunk * pages_per_chunk;
             page < pages && page < (chunk + 1) * pages_per_chunk; ++page) {
          ++reads[{s, p, page}];
        }
      }
    }
    size_t expected = 0;
    for (const Sequence& s : sequences_) {
      expected += static_cast<size_t>(s.rows) * static_cast<size_t>(layout_.group()) *
                  static_cast<size_t>(CeilDiv(s.tokens, kPageTokens));
    }
    EXPECT_EQ(reads.size(), expected);
    for (const auto& [key, times] : reads) ASSERT_EQ(times, 1);
  }

  void ExpectMergesTakeEachPartialOnce() const {
    int32_t partial = 0;
    int32_t row = 0;
    for (size_t s = 0; s < sequences_.size(); ++s) {
      const int32_t chunks = CeilDiv(sequences_[s].tokens, status_->chunk_tokens);
      for (int32_t r = 0; r < sequences_[s].rows; ++r, ++row, partial += chunks) {
        ASSERT_EQ(At(layout_.merge_begin, row), partial);
        ASSERT_EQ(At(layout_.o_begin, static_cast<int32_t>(s)) + r * chunks, partial);
      }
    }
    for (; row <= layout_.limits.max_rows; ++row) ASSERT_EQ(At(layout_.merge_begin, row), partial);
    EXPECT_LE(partial, layout_.max_partials);
  }

  void ExpectSmallestChunk() const {
    if (layout_.limits.kind == Kind::kDecode) return;  // what fills the machine
    const int64_t half = status_->chunk_tokens / 2;
    if (half < kMinChunkTokens) return;
    int64_t items = 0;
    int64_t partials = 0;
    for (const Sequence& s : sequences_) {
      const int64_t chunks = CeilDiv<int64_t>(s.tokens, half);
      items += CeilDiv<int64_t>(s.rows * layout_.group(), layout_.tile_rows) * chunks;
      partials += s.rows * chunks;
    }
    EXPECT_TRUE(items > layout_.max_items || partials > layout_.max_partials)
        << "chunks of " << half << " would have fitted";
  }

  AttentionLayout layout_;
  std::vector<Sequence> sequences_;
  std::vector<int32_t> row_begin_{0};
  std::vector<int32_t> page_begin_;
  std::vector<int32_t> tokens_;
  std::vector<std::byte> bytes_;
  absl::StatusOr<AttentionStep> status_;
};

TEST(AttentionPlanTest, LongSequenceAmongShortOnesIsSpreadOverTheMachine) {
  const AttentionPlanner planner = Planner(kDecode64);
  EXPECT_EQ(planner.layout().max_items, 64 + 8 * 17);
  EXPECT_EQ(planner.layout().tile_rows, 16);
  for (const size_t place : {0u, 31u, 63u}) {
    std::vector<Sequence> sequences(64, {1, 100});
    sequences[place].tokens = 32768;
    const Planned plan(planner, sequences);
    plan.ExpectSound();
    EXPECT_EQ(plan.step()->chunk_tokens, 1024);
    EXPECT_EQ(plan.step()->num_items, 63 + 32);
  }
}

// 132 multiprocessors hold 264 blocks, 33 items with 8 KV heads each.
TEST(AttentionPlanTest, SequencesOfOneLengthFillTheMachine) {
  struct Batch {
    size_t sequences;
    int32_t tokens, chunk;
  };
  for (const Batch& batch : {Batch{1, 512, 128}, Batch{16, 512, 256}, Batch{32, 512, 512},
                             Batch{64, 512, 512}, Batch{64, 2048, 2048}, Batch{1, 32768, 1024}}) {
    const Planned plan(Planner(kDecode64),
                       std::vector<Sequence>(batch.sequences, {1, batch.tokens}));
    plan.ExpectSound();
    EXPECT_EQ(plan.step()->chunk_tokens, batch.chunk) << batch.sequences << " of " << batch.tokens;
  }
}

TEST(AttentionPlanTest, EmptyPlacesTakeNoItems) {
  const AttentionPlanner planner = Planner(kDecode64);
  for (const std::vector<Sequence>& sequences : std::vector<std::vector<Sequence>>{
           {}, {{0, 0}}, {{0, 0}, {1, 33}, {0, 0}, {1, 5000}, {0, 0}}, {{0, 77}, {1, 1}}}) {
    Planned(planner, sequences).ExpectSound();
  }
}

TEST(AttentionPlanTest, PageCrossingsMoveTheLastPage) {
  const AttentionPlanner planner = Planner(kDecode64);
  for (int32_t tokens = 1; tokens <= 300; ++tokens) {
    const Planned plan(planner, {{1, tokens}, {1, 128}}, 0, 1000);
    plan.ExpectSound();
    EXPECT_EQ(plan.At(planner.layout().page_begin, 1), 1000 + (tokens + 15) / 16);
  }
}

TEST(AttentionPlanTest, HeadsOfALargeGroupTakeSeveralTiles) {
  AttentionLimits limits = kDecode64;
  limits.heads = 40;
  limits.kv_heads = 1;
  limits.max_sequences = limits.max_rows = 5;
  const AttentionPlanner planner = Planner(limits);
  EXPECT_EQ(planner.layout().max_items, 5 * 3 + 8 * 132);
  Planned(planner, {{1, 5}, {1, 9000}, {1, 40}, {1, 40}, {1, 31000}}).ExpectSound();
}

TEST(AttentionPlanTest, TileIsLargeWhereSuchTilesFillTheMachine) {
  const auto tile = [](int32_t rows, int32_t head_dim) {
    AttentionLimits limits = ChunkLimits(8, rows);
    limits.head_dim = head_dim;
    return Planner(limits).layout().tile_rows;
  };
  EXPECT_EQ(tile(512, 128), 64);  // 16 tiles of 128 · 8 KV heads on 132 multiprocessors
  EXPECT_EQ(tile(544, 128), 128);
  EXPECT_EQ(tile(2048, 64), 128);
  EXPECT_EQ(tile(2048, 256), 64);
}

TEST(AttentionPlanTest, ChunksSplitOnlyWhereThatFillsTheMachine) {
  const AttentionPlanner planner = Planner(ChunkLimits(8, 2048));
  const Planned whole(planner, {{2048, 2048}});
  whole.ExpectSound();
  EXPECT_FALSE(whole.step()->split);
  const Planned late(planner, {{100, 16384}});
  late.ExpectSound();
  EXPECT_TRUE(late.step()->split);
  AttentionLimits captured = ChunkLimits(8, 2048);
  captured.captured = true;
  EXPECT_TRUE(Planned(Planner(captured), {{2048, 2048}}).step()->split);
}

// What a graph has recorded: offsets, counts and whether the launch splits. All of it is in the
// layout but for `split`, and no batch changes either.
TEST(AttentionPlanTest, EveryMixHasTheShapeOfTheCapturedOne) {
  const AttentionPlanner planner = Planner(kDecode64);
  const AttentionLayout captured = planner.layout();
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    std::vector<Sequence> sequences;
    const uint64_t count = test::CounterHash(seed, 0) % 65;
    for (uint64_t s = 0; s < count; ++s) {
      const uint64_t kind = test::CounterHash(seed, 100 + s) % 8;
      const auto tokens =
          static_cast<int32_t>(1 + test::CounterHash(seed, 200 + s) % (kind == 0  ? 131072
                                                                       : kind < 3 ? 4096
                                                                                  : 300));
      sequences.push_back(kind == 7 ? Sequence{0, 0} : Sequence{1, tokens});
    }
    const Planned plan(planner, sequences);
    plan.ExpectSound();
    EXPECT_TRUE(plan.step()->split);
    EXPECT_EQ(std::memcmp(&captured, &planner.layout(), sizeof captured), 0);
  }
}

TEST(AttentionPlanTest, RandomPlansAreSound) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    const auto pick = [seed](uint64_t index, uint64_t count) {
      return static_cast<int32_t>(test::CounterHash(seed, index) % count);
    };
    AttentionLimits limits = ChunkLimits(1 + pick(1, 12), 1 + pick(2, 400));
    limits.kv_heads = 1 + pick(3, 4);
    limits.heads = limits.kv_heads * (1 + pick(4, 9));
    limits.head_dim = 64 << pick(5, 3);
    limits.multiprocessors = 1 + pick(6, 132);
    limits.captured = pick(7, 2) == 0;
    std::vector<Sequence> sequences;
    int32_t left = limits.max_rows;
    for (int32_t s = 0; s < limits.max_sequences; ++s) {
      const auto i = static_cast<uint64_t>(s);
      const int32_t rows = pick(100 + i, static_cast<uint64_t>(left) + 1);
      left -= rows;
      sequences.push_back({rows, rows + pick(200 + i, pick(300 + i, 4) == 0 ? 20000 : 200)});
    }
    Planned(Planner(limits), sequences).ExpectSound();
  }
}

TEST(AttentionPlanTest, ABatchCanBePlannedWithTheChunksOfAnother) {
  const AttentionPlanner planner = Planner(kDecode64);
  const Planned alone(planner, {{1, 700}}, 512);
  ASSERT_TRUE(alone.step().ok());
  EXPECT_EQ(alone.step()->chunk_tokens, 512);
  EXPECT_EQ(alone.step()->num_items, 2);
}

TEST(AttentionPlanTest, RefusesWhatDoesNotFit) {
  const auto create = [](const auto& change) {
    AttentionLimits limits = kDecode64;
    change(limits);
    return std::string(AttentionPlanner::Create(limits).status().message());
  };
  EXPECT_EQ(create([](auto& l) { l.head_dim = 84; }),
            "AttentionPlan: head_dim is 84, want a multiple of 8, up to 256");
  EXPECT_EQ(create([](auto& l) { l.heads = 12; }),
            "AttentionPlan: heads is 12, want a multiple of the 8 KV heads");
  EXPECT_EQ(create([](auto& l) { l.max_rows = 0; }),
            "AttentionPlan: max_rows is 0, want 1 to 1048576");
  const AttentionPlanner planner = Planner(kDecode64);
  const auto plan = [&](const std::vector<Sequence>& sequences, int32_t chunk = 0) {
    return std::string(Planned(planner, sequences, chunk).step().status().message());
  };
  EXPECT_EQ(plan({{1, 5}, {2, 5}}),
            "AttentionPlan: sequence 1 has 2 rows, 5 tokens and 1 pages of 16 from 1");
  EXPECT_EQ(plan({{1, 0}}),
            "AttentionPlan: sequence 0 has 1 rows, 0 tokens and 0 pages of 16 from 0");
  EXPECT_EQ(plan({{1, 5}}, 100),
            "AttentionPlan: min_chunk_tokens is 100, want a power of two of at least 128");
  EXPECT_THAT(plan(std::vector<Sequence>(65, {1, 5})), testing::HasSubstr("at most 64 sequences"));
  const std::vector<int32_t> rows = {0, 1};
  const std::vector<int32_t> pages = {0, 3};
  const std::vector<int32_t> tokens = {32};
  std::vector<std::byte> bytes(static_cast<size_t>(planner.layout().bytes));
  EXPECT_EQ(planner.Plan({.row_begin = rows, .page_begin = pages, .tokens = tokens}, bytes.data())
                .status()
                .message(),
            "AttentionPlan: sequence 0 has 1 rows, 32 tokens and 3 pages of 16 from 0");
}

}  // namespace
}  // namespace chorus::kernels
