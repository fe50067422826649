// What other threads see of the residents is what there is, however it came about.
#include "engine/adapters/residency_board.h"

#include <random>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/adapters/residency_harness.h"

namespace chorus::engine {
namespace {

using test::ResidencyHarness;

bool Same(const AdapterResidency& a, const AdapterResidency& b) {
  return a.tenant == b.tenant && a.name == b.name && a.version == b.version &&
         a.digest == b.digest && a.state == b.state && a.pages == b.pages &&
         a.max_rank == b.max_rank && a.running == b.running && a.waiting == b.waiting &&
         a.pinned == b.pinned;
}

TEST(ResidencyBoardTest, ShowsWhatResidencyHolds) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  ResidencyHarness harness(30, 10);
  ResidencyBoard board;
  std::vector<AdapterRef> adapters;
  for (uint8_t i = 0; i < 12; ++i) adapters.push_back(harness.Adapter("t", i, 1 + i % 4));
  for (int step = 0; step < 2000; ++step) {
    const AdapterRef& adapter = adapters[random() % adapters.size()];
    switch (random() % 4) {
      case 0:
        while (!harness.IsResident(adapter) &&
               harness.pool.num_free() < adapter->layout().num_ids &&
               harness.residency.CheapestWorth(kAnyone).has_value()) {
          harness.residency.ReclaimCheapest(kAnyone);
        }
        if (harness.IsResident(adapter) || harness.pool.num_free() >= adapter->layout().num_ids) {
          harness.Use(adapter);
        }
        break;
      case 1:
        if (harness.residency.CheapestWorth(kAnyone).has_value()) {
          harness.residency.ReclaimCheapest(kAnyone);
        }
        break;
      case 2:
        (void)harness.residency.Pin(adapter, random() % 2 == 0);
        break;
      default:
        harness.residency.Forget(Residency::KeyOf(*adapter));
    }
    if (random() % 3 != 0) continue;
    board.Update(harness.residency.TakeChanges());
    const std::vector<AdapterResidency> seen = board.All();
    ASSERT_THAT(seen, ::testing::SizeIs(harness.residency.Snapshot().size()));
    for (const AdapterResidency& one : harness.residency.Snapshot()) {
      EXPECT_EQ(
          std::count_if(seen.begin(), seen.end(), [&](const auto& a) { return Same(a, one); }), 1);
      EXPECT_EQ(board.StateOf(one.tenant, one.digest), one.state);
    }
  }
  EXPECT_EQ(board.StateOf("u", adapters[0]->digest()), ResidencyState::kDisk);
}

TEST(ResidencyBoardTest, ReadersOnOtherThreadsSeeTheNewestInTheEnd) {
  ResidencyBoard board;
  std::atomic<bool> stop = false;
  std::thread reader([&] {
    int64_t last = 0;
    while (!stop) {
      for (const AdapterResidency& one : board.All()) {
        EXPECT_GE(one.version, last);
        last = one.version;
      }
    }
  });
  AdapterResidency one{.tenant = "t", .name = "a"};
  for (one.version = 1; one.version < 20000; ++one.version) board.Update({{}, {one}});
  stop = true;
  reader.join();
  EXPECT_EQ(board.All().at(0).version, 19999);
  board.Update({{{"t", one.digest}}, {}});
  EXPECT_THAT(board.All(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace chorus::engine
