// AccessSet and AccessHistory against plain arrays of bytes, on random input.
#include <algorithm>
#include <random>

#include "gtest/gtest.h"
#include "tests/simt/access_history.h"
#include "tests/simt/access_set.h"

namespace chorus::kernels {
namespace {

TEST(AccessSetTest, TakesExactlyTheBytesThatWereAdded) {
  for (uint32_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::vector<std::byte> memory(20'000);
    AccessSet set;
    for (int round = 0; round < 2; ++round) {  // Take leaves nothing behind
      std::vector<bool> want[2] = {std::vector<bool>(memory.size()),
                                   std::vector<bool>(memory.size())};
      for (int i = 0; i < 200; ++i) {
        const size_t bytes = 1 + random() % (i % 20 == 0 ? 5000 : 16);
        const size_t begin = random() % (memory.size() - bytes);
        const bool write = random() % 2 != 0;
        set.Add(&memory[begin], static_cast<int64_t>(bytes), write);
        for (size_t b = begin; b < begin + bytes; ++b) want[write][b] = true;
      }
      std::vector<bool> got[2] = {std::vector<bool>(memory.size()),
                                  std::vector<bool>(memory.size())};
      bool writes = false;
      const std::byte* end = nullptr;
      for (const AccessSet::Run& run : set.Take()) {
        if (run.write && !writes) end = nullptr;
        EXPECT_GE(run.write, writes);                    // reads come first
        EXPECT_TRUE(end == nullptr || run.begin > end);  // ascending, and maximal
        writes = run.write;
        end = run.begin + run.bytes;
        for (int64_t b = 0; b < run.bytes; ++b)
          got[run.write][run.begin + b - memory.data()] = true;
      }
      EXPECT_EQ(got[0], want[0]);
      EXPECT_EQ(got[1], want[1]);
    }
    EXPECT_TRUE(set.Take().empty());
  }
}

// All uses of every byte, kept for ever.
struct PlainHistory {
  struct Use {
    WorkId id;
    bool write;
  };
  std::vector<std::vector<Use>> bytes;

  // The first byte of a conflict; -1: none.
  int64_t Add(int64_t begin, int64_t end, bool write, const WorkId& id, const Clock& clock) {
    int64_t conflict = -1;
    for (int64_t b = begin; b < end; ++b) {
      for (const Use& use : bytes[static_cast<size_t>(b)]) {
        if ((write || use.write) && !use.id.KnownTo(clock) && conflict < 0) conflict = b;
      }
      bytes[static_cast<size_t>(b)].push_back({id, write});
    }
    return conflict;
  }
};

TEST(AccessHistoryTest, FindsTheConflictsThatPlainBytesFind) {
  int conflicts = 0;
  int uses = 0;
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    constexpr int kQueues = 3;
    AccessHistory history;
    PlainHistory plain{std::vector<std::vector<PlainHistory::Use>>(64)};
    std::vector<Clock> clocks(kQueues, Clock(kQueues, 0));
    for (int i = 0; i < 40; ++i) {
      const int queue = static_cast<int>(random() % kQueues);
      Clock& clock = clocks[static_cast<size_t>(queue)];
      if (random() % 2 == 0) JoinClock(&clock, clocks[random() % kQueues]);
      const WorkId id{queue, ++clock[static_cast<size_t>(queue)], "work"};
      const int64_t begin = random() % 60;
      const int64_t end = begin + 1 + random() % (64 - begin);
      const bool write = random() % 3 == 0;
      const int64_t want = plain.Add(begin, end, write, id, clock);
      ++uses;
      const auto got = history.Add(begin, end, write, id, clock);
      ASSERT_EQ(got.has_value() ? got->at : -1, want);
      if (want >= 0) ++conflicts;
      if (want >= 0) break;  // a conflict ends a simulation
      const Clock& host = clocks[random() % kQueues];
      bool unknown = false;
      for (const auto& byte : plain.bytes) {
        for (const auto& use : byte) unknown |= !use.id.KnownTo(host);
      }
      ASSERT_EQ(history.FirstUnknown(host).has_value(), unknown);
    }
  }
  EXPECT_GT(conflicts, 100);
  EXPECT_GT(uses - conflicts, 300);
}

TEST(AccessHistoryTest, RangesOfOneUseBecomeOne) {
  AccessHistory history;
  const Clock clock = {2};
  for (int64_t i = 99; i >= 0; --i) history.Add(i, i + 1, true, {0, 1, "w"}, clock);
  EXPECT_EQ(history.num_ranges(), 1u);
  history.Add(30, 40, false, {0, 2, "r"}, clock);
  EXPECT_EQ(history.num_ranges(), 3u);
  history.Add(0, 100, true, {0, 2, "w"}, clock);
  EXPECT_EQ(history.num_ranges(), 1u);
}

}  // namespace
}  // namespace chorus::kernels
