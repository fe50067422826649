#include "kernels/device/compute_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/device/work_split.h"
#include "tests/support/counter_hash.h"

namespace chorus::kernels {
namespace {

TEST(ComputePoolTest, RunsEveryWorkerOnceAndPublishesWhatTheyWrote) {
  for (const int workers : {1, 2, 3, 5}) {
    ComputePool pool(workers);
    std::vector<int> runs(static_cast<size_t>(workers), 0);  // plain: the pool orders the accesses
    int before = 0;
    for (int i = 1; i <= 2000; ++i) {
      before = i;
      pool.Run([&](int worker) { runs[static_cast<size_t>(worker)] += before == i ? 1 : 1000000; });
      for (const int count : runs) ASSERT_EQ(count, i);
    }
  }
}

TEST(ComputePoolTest, WakesSleepingWorkers) {
  ComputePool pool(3);
  std::atomic<int> runs{0};
  for (int i = 0; i < 3; ++i) {
    // Longer than workers spin.
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(3);
    while (std::chrono::steady_clock::now() < until) {
    }
    pool.Run([&](int) { runs.fetch_add(1); });
  }
  EXPECT_EQ(runs.load(), 9);
}

TEST(ComputePoolTest, WaitsForSlowWorkers) {
  ComputePool pool(2);
  std::atomic<bool> done{false};
  pool.Run([&](int worker) {
    if (worker == 0) return;
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(3);
    while (std::chrono::steady_clock::now() < until) {
    }
    done = true;
  });
  EXPECT_TRUE(done);
}

TEST(ComputePoolTest, ParallelForSharesTheRangeOutEvenlyButNeverLessThanAGrain) {
  for (const int workers : {1, 2, 3, 7}) {
    ComputePool pool(workers);
    for (const int64_t count : {0, 1, 5, 16, 33}) {
      for (const int64_t grain : {1, 4, 100}) {
        std::vector<int> seen(static_cast<size_t>(count), 0);
        std::vector<int64_t> sizes(static_cast<size_t>(workers), 0);  // a worker writes its own
        pool.ParallelFor(count, grain, [&](int64_t begin, int64_t end, int worker) {
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
          sizes[static_cast<size_t>(worker)] = end - begin;
        });
        EXPECT_EQ(seen, std::vector<int>(static_cast<size_t>(count), 1));
        std::erase(sizes, 0);
        if (count == 0) continue;
        const auto [least, most] = std::minmax_element(sizes.begin(), sizes.end());
        EXPECT_LE(*most - *least, 1) << count << " over " << workers;
        EXPECT_GE(*least, std::min(count, grain));
        // Nobody is left out who would have had enough.
        const auto parts = static_cast<int64_t>(sizes.size());
        EXPECT_TRUE(parts == workers || (parts + 1) * grain > count);
      }
    }
  }
}

TEST(WorkShareTest, EveryUnitHasOneWorkerAndSharesAreEven) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    std::vector<std::pair<int64_t, int64_t>> lists;  // (count, cost)
    int64_t total = 0;
    int64_t largest = 0;
    for (uint64_t i = 0; i < 20; ++i) {
      lists.emplace_back(test::CounterHash(seed, 2 * i) % 9, 1 + test::CounterHash(seed, i) % 50);
      total += lists.back().first * lists.back().second;
      largest = std::max(largest, lists.back().second);
    }
    for (const int workers : {1, 2, 3, 16}) {
      std::vector<std::vector<int>> seen(lists.size());
      for (size_t i = 0; i < lists.size(); ++i) seen[i].resize(static_cast<size_t>(lists[i].first));
      for (int worker = 0; worker < workers; ++worker) {
        WorkShare share(total, worker, workers);
        int64_t cost = 0;
        for (size_t i = 0; i < lists.size(); ++i) {
          const auto range = share.Take(lists[i].first, lists[i].second);
          cost += (range.end - range.begin) * lists[i].second;
          for (int64_t u = range.begin; u < range.end; ++u) ++seen[i][static_cast<size_t>(u)];
        }
        EXPECT_LE(cost, total / workers + 1 + largest) << "seed " << seed;
      }
      for (const auto& list : seen) {
        for (const int count : list) ASSERT_EQ(count, 1) << "seed " << seed;
      }
    }
  }
}

TEST(CounterHashTest, IsTheFormulaThatPythonComputes) {
  EXPECT_EQ(test::CounterHash(0, 0), 0xe220a8397b1dcdafu);
  EXPECT_EQ(test::CounterHash(7, 123456789), 0xc56da70a99d3435cu);
  EXPECT_EQ(test::CounterHash(uint64_t{1} << 63, uint64_t{1} << 40), 0xf6e86fc40ae52913u);
  EXPECT_EQ(test::CounterValue(1, 0), -0.13694405555725098f);
}

}  // namespace
}  // namespace chorus::kernels
