// PeakPages against the same, step by step.
#include "engine/schedule/peak_pages.h"

#include <algorithm>
#include <random>

#include "engine/schedule/request.h"
#include "gtest/gtest.h"

namespace chorus::engine {
namespace {

// Everybody adds a token in each step until he has all; those that decode leave one step later.
int64_t PeakStepByStep(const std::vector<PeakItem>& items) {
  int64_t last = 0, peak = 0;
  for (const PeakItem& item : items) last = std::max(last, item.remaining);
  for (int64_t step = 0; step <= last; ++step) {
    int64_t pages = 0;
    for (const PeakItem& item : items) {
      if (item.decoding && item.remaining < step) continue;
      pages += PagesFor(item.tokens + std::min(item.remaining, step));
    }
    peak = std::max(peak, pages);
  }
  return peak;
}

TEST(PeakPagesTest, NobodyHoldsNothing) { EXPECT_EQ(PeakPages({}), 0); }

TEST(PeakPagesTest, WhoLeavesMakesRoomForWhoGrows) {
  EXPECT_EQ(PeakPages({{32, 16, true}, {16, 32, true}}), 5);
  EXPECT_EQ(PeakPages({{32, 16, false}, {16, 32, true}}), 6);
}

TEST(PeakPagesTest, IsThePeakOfAllSteps) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::vector<PeakItem> items(random() % 20);
    const unsigned longest = 1 + random() % 100;  // short ones meet more often
    for (PeakItem& item : items) {
      item = {static_cast<int64_t>(random() % 90), static_cast<int64_t>(random() % longest),
              random() % 2 == 0};
    }
    ASSERT_EQ(PeakPages(items), PeakStepByStep(items)) << "round " << round;
  }
}

}  // namespace
}  // namespace chorus::engine
