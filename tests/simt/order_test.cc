// The orders do what they say, and the stacks of fibers are watched.
#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/arch.h"
#include "tests/simt/simt_launch.h"
#include "tests/simt/turns.h"

namespace chorus::kernels {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

constexpr int kThreads = 96;
constexpr int kBlocks = 3;

struct TicketParams {
  int32_t* next;     // [1]
  int32_t* tickets;  // [kBlocks, 2, kThreads] when a thread came by: before the Sync, after it
};

template <class Arch>
CHORUS_DEVICE void TicketBody(Arch& arch, const TicketParams& params) {
  auto next = arch.Global(params.next, 1);
  auto tickets = arch.Global(params.tickets, kBlocks * 2 * kThreads);
  const int at = arch.Block() * 2 * kThreads + arch.Thread();
  tickets.Store(at, arch.AtomicAdd(next, 0, 1));
  arch.Sync();
  tickets.Store(at + kThreads, arch.AtomicAdd(next, 0, 1));
}
CHORUS_KERNEL(kTicket, TicketParams, kThreads, 1, TicketBody(arch, params))

// Who came by in turn: block · 192 + phase · 96 + thread.
std::vector<int> Sequence(const SimtOptions& options) {
  int32_t next = 0;
  std::vector<int32_t> tickets(kBlocks * 2 * kThreads);
  SimtMemory memory;
  memory.Add("next", &next, 1, SimtUse::kReadWrite);
  memory.Add("tickets", tickets.data(), kBlocks * 2 * kThreads, SimtUse::kWriteOnce);
  const TicketParams params{&next, tickets.data()};
  EXPECT_EQ(RunSimt(kTicket, kBlocks, 0, &params, memory, options).failure, "");
  std::vector<int> sequence(tickets.size());
  for (size_t i = 0; i < tickets.size(); ++i) {
    sequence[static_cast<size_t>(tickets[i])] = static_cast<int>(i);
  }
  return sequence;
}

// The sequence when blocks and warps come in the given orders.
std::vector<int> Expected(const std::vector<int>& blocks, const std::vector<int>& warps,
                          bool lanes_reversed = false) {
  std::vector<int> sequence;
  for (const int block : blocks) {
    for (int phase = 0; phase < 2; ++phase) {
      for (const int warp : warps) {
        for (int lane = 0; lane < 32; ++lane) {
          const int thread = warp * 32 + (lanes_reversed ? 31 - lane : lane);
          sequence.push_back(block * 2 * kThreads + phase * kThreads + thread);
        }
      }
    }
  }
  return sequence;
}

TEST(OrderTest, RunsThreadsAndBlocksInIt) {
  EXPECT_THAT(Sequence({}), ElementsAreArray(Expected({0, 1, 2}, {0, 1, 2})));
  EXPECT_THAT(Sequence({.order = Order::kReverse}),
              ElementsAreArray(Expected({2, 1, 0}, {2, 1, 0}, true)));
  EXPECT_THAT(Sequence({.order = Order::kAhead, .chosen_warp = 1}),
              ElementsAreArray(Expected({1, 0, 2}, {1, 0, 2})));
  EXPECT_THAT(Sequence({.order = Order::kBehind, .chosen_warp = 4}),
              ElementsAreArray(Expected({0, 2, 1}, {0, 2, 1})));
}

TEST(OrderTest, RandomFollowsTheSeed) {
  const std::vector<int> one = Sequence({.order = Order::kRandom, .seed = 1});
  const std::vector<int> two = Sequence({.order = Order::kRandom, .seed = 2});
  EXPECT_EQ(one, Sequence({.order = Order::kRandom, .seed = 1}));
  EXPECT_NE(one, two);
  EXPECT_NE(one, Sequence({}));
  // Warps take turns within a phase.
  int changes = 0;
  for (size_t i = 1; i < kThreads; ++i) changes += one[i] / 32 != one[i - 1] / 32 ? 1 : 0;
  EXPECT_GT(changes, 20);
}

TEST(OrderTest, InOrderIsAPermutation) {
  for (const SimtOptions& options : EveryOrder(6)) {
    std::vector<int> order = InOrder(options, 5);
    std::sort(order.begin(), order.end());
    EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4)) << Name(options);
    EXPECT_THAT(InOrder(options, 1), ElementsAre(0));
  }
}

struct StackParams {
  int32_t index;
};

template <class Arch>
CHORUS_DEVICE void RecurseBody(Arch& arch, const StackParams& params) {
  volatile char frame[4000];
  frame[0] = 1;
  if (params.index > 0) {
    const StackParams less{params.index - 1};
    arch.SyncWarp();
    RecurseBody(arch, less);
  }
  frame[1] = frame[0];
}
CHORUS_KERNEL(kRecurse, StackParams, 32, 1, RecurseBody(arch, params))

TEST(FiberTest, AStackThatIsTooSmallEndsTheProcess) {
  SimtMemory memory;
  const StackParams shallow{8}, deep{100};
  EXPECT_EQ(RunSimt(kRecurse, 1, 0, &shallow, memory).failure, "");
  EXPECT_DEATH(RunSimt(kRecurse, 1, 0, &deep, memory), "");
}

#if defined(__SANITIZE_ADDRESS__)
template <class Arch>
CHORUS_DEVICE void OverrunBody(Arch& arch, const StackParams& params) {
  volatile int cells[4] = {};
  arch.SyncWarp();
  cells[params.index] = arch.Lane();
  if (cells[0] < 0) arch.SyncWarp();
}
CHORUS_KERNEL(kOverrun, StackParams, 32, 1, OverrunBody(arch, params))

TEST(FiberTest, AddressSanitizerSeesAnOverrunOnAFibersStack) {
  SimtMemory memory;
  const StackParams inside{3}, outside{4};
  EXPECT_EQ(RunSimt(kOverrun, 1, 0, &inside, memory).failure, "");
  EXPECT_DEATH(RunSimt(kOverrun, 1, 0, &outside, memory),
               "stack-buffer-overflow|out of bounds");  // UBSan may be faster
}
#endif

}  // namespace
}  // namespace chorus::kernels
