// Clusters of thread blocks on the executor: kernels that use them right, in every order and
// without each of their barriers, and kernels that use them wrongly in one way each.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/arch.h"
#include "tests/simt/mutation.h"
#include "tests/simt/simt_launch.h"
#include "tests/simt/source_lines.h"

namespace chorus::kernels {
namespace {

constexpr int kCells = 128;  // of a block

struct ClusterParams {
  const float* in;  // [blocks, kCells]
  float* out;       // [blocks, kCells]
  int32_t blocks;
  int32_t rounds;
};

#define CLUSTER_KERNEL(name, blocks, ...) \
  CHORUS_CLUSTER_KERNEL(k##name, ClusterParams, 32, 1, blocks, __VA_ARGS__(arch, params))

std::string Place(const std::string& mark) { return At("cluster_test.cc", mark); }
std::string Line(const std::string& mark) { return LineOf("cluster_test.cc", mark); }

template <class Arch>
CHORUS_DEVICE auto Cells(Arch& arch, int buffer = 0) {
  return Shared<float>(arch, buffer * kCells * 4, kCells);
}
// This lane's four cells of block `block` of the cluster.
template <class Arch>
CHORUS_DEVICE F4 Read(Arch& arch, int block, int buffer = 0) {
  F4 values;
  arch.Remote(Cells(arch, buffer), block).LoadTo(values, 4 * arch.Lane());  // <read>
  return values;
}
template <class Arch>
CHORUS_DEVICE void Write(Arch& arch, float value, int buffer = 0) {
  Cells(arch, buffer).StoreFrom(F4{value, value, value, value}, 4 * arch.Lane());  // <write>
}

// In each round a block leaves what it has for the others, and has the sum of all blocks next, each
// weighed by its number. Two buffers, so that one ClusterSync a round is enough.
template <class Arch>
CHORUS_DEVICE void SumBody(Arch& arch, const ClusterParams& params) {
  const int64_t at = arch.Block() * kCells + 4 * arch.Lane();
  F4 mine;
  arch.Global(params.in, int64_t{params.blocks} * kCells).LoadTo(mine, at);
  for (int round = 0; round < params.rounds; ++round) {
    const auto cells = Cells(arch, round % 2);
    cells.StoreFrom(mine, (4 * arch.Lane() + 4 * arch.ClusterBlock()) % kCells);
    arch.ClusterSync();  // <round>
    mine = F4{};
    for (int block = 0; block < arch.ClusterBlocks(); ++block) {
      F4 other;
      arch.Remote(cells, block).LoadTo(other, (4 * arch.Lane() + 4 * block) % kCells);
      mine.x += static_cast<float>(block + 1) * other.x;
      mine.y += static_cast<float>(block + 1) * other.y;
      mine.z += static_cast<float>(block + 1) * other.z;
      mine.w += static_cast<float>(block + 1) * other.w;
    }
  }
  arch.ClusterSync();  // <end>
  arch.Global(params.out, int64_t{params.blocks} * kCells).StoreFrom(mine, at);
}
CLUSTER_KERNEL(SumOf1, 1, SumBody)
CLUSTER_KERNEL(SumOf2, 2, SumBody)
CLUSTER_KERNEL(SumOf8, 8, SumBody)

std::string RunSums(const Kernel& kernel, int clusters, int rounds, const SimtOptions& options) {
  const int size = kernel.cluster_blocks;
  const auto count = static_cast<size_t>(clusters * size * kCells);
  std::vector<float> in(count), out(count);
  for (size_t i = 0; i < count; ++i) in[i] = static_cast<float>(i % 37);
  SimtMemory memory;
  memory.Add("in", in.data(), static_cast<int64_t>(count), SimtUse::kReadOnly);
  memory.Add("out", out.data(), static_cast<int64_t>(count), SimtUse::kWriteOnce);
  memory.PoisonOutputs();
  const ClusterParams params{in.data(), out.data(), clusters * size, rounds};
  const std::string failure =
      RunSimt(kernel, clusters * size, 2 * kCells * 4, &params, memory, options).failure;
  if (!failure.empty()) return failure;
  for (size_t i = 0; i < count; ++i) {
    const size_t first = i / kCells / static_cast<size_t>(size) * static_cast<size_t>(size);
    float want = 0.0f;
    for (int block = 0; block < size; ++block) {
      want += static_cast<float>(block + 1) *
              in[(first + static_cast<size_t>(block)) * kCells + i % kCells];
    }
    // From the second round on, all have the same.
    for (int round = 1; round < rounds; ++round) want *= static_cast<float>(size * (size + 1) / 2);
    if (out[i] != want) return "out[" + std::to_string(i) + "] is wrong";
  }
  return "";
}

// Three rounds, so that a buffer comes again.
std::string RunAllSums(const SimtOptions& options) {
  for (const Kernel* kernel : {&kSumOf1, &kSumOf2, &kSumOf8}) {
    const std::string failure = RunSums(*kernel, 3, 3, options);
    if (!failure.empty()) return failure;
  }
  return "";
}

TEST(ClusterTest, BlocksReadEachOtherInEveryOrder) {
  for (const uint32_t seed : {1u, 2u, 3u, 4u}) {
    for (SimtOptions options : EveryOrder(seed)) {
      EXPECT_EQ(RunAllSums(options), "") << Name(options);
      options.shadow = false;
      EXPECT_EQ(RunAllSums(options), "") << Name(options);
    }
  }
}

TEST(ClusterTest, EveryClusterSyncIsNeeded) {
  const MutationResult result =
      MutateEverySite([](const SimtOptions& options) { return RunSums(kSumOf8, 2, 3, options); });
  EXPECT_EQ(result.clean_failure, "");
  EXPECT_THAT(result.survivors, ::testing::IsEmpty());
  EXPECT_EQ(result.caught.size(), 2u);
  for (const std::string& caught : result.caught) std::printf("  %s\n", caught.c_str());
}

std::string Failure(const Kernel& kernel, const SimtOptions& options = {}) {
  std::vector<float> in(2 * kCells), out(2 * kCells);
  SimtMemory memory;
  memory.Add("in", in.data(), 2 * kCells, SimtUse::kReadOnly);
  memory.Add("out", out.data(), 2 * kCells, SimtUse::kReadWrite);
  const ClusterParams params{in.data(), out.data(), 2, 1};
  return RunSimt(kernel, 2, 2 * kCells * 4 + 16, &params, memory, options).failure;
}

template <class Arch>
CHORUS_DEVICE void NoSyncBody(Arch& arch, const ClusterParams&) {
  Write(arch, 1.0f);
  Read(arch, 1 - arch.ClusterBlock());
  arch.ClusterSync();
}
CLUSTER_KERNEL(NoSync, 2, NoSyncBody)

// Behind the first ClusterSync: one writes, the other reads.
template <class Arch>
CHORUS_DEVICE void UnorderedBody(Arch& arch, const ClusterParams&) {
  Write(arch, 1.0f);
  arch.ClusterSync();
  if (arch.ClusterBlock() == 0) Write(arch, 2.0f);
  if (arch.ClusterBlock() == 1) Read(arch, 0);
  arch.ClusterSync();
}
CLUSTER_KERNEL(Unordered, 2, UnorderedBody)

// A Sync of the writer's block orders nothing for another.
template <class Arch>
CHORUS_DEVICE void SyncOfTheBlockBody(Arch& arch, const ClusterParams&) {
  Write(arch, 1.0f);
  arch.ClusterSync();
  if (arch.ClusterBlock() == 0) {
    Write(arch, 2.0f);
    arch.Sync();
  }
  if (arch.ClusterBlock() == 1) Read(arch, 0);
  arch.ClusterSync();
}
CLUSTER_KERNEL(SyncOfTheBlock, 2, SyncOfTheBlockBody)

template <class Arch>
CHORUS_DEVICE void CountedBody(Arch& arch, const ClusterParams&) {
  Write(arch, 0.0f);
  arch.ClusterSync();
  if (arch.Thread() == 7 && arch.ClusterBlock() == 0) {
    arch.AtomicAdd(Shared<int32_t>(arch, 0, kCells), 0, 1);  // <count>
  }
  if (arch.ClusterBlock() == 1) Read(arch, 0);
  arch.ClusterSync();
}
CLUSTER_KERNEL(Counted, 2, CountedBody)

TEST(ClusterTest, ReadsAreOrderedAgainstTheOwnersWrites) {
  const std::string of_zero = ": reads shared byte 0 of block 0, what its thread ";
  EXPECT_EQ(Failure(kCounted), "kCounted, block 1: thread 0 at " + Place("read") + of_zero +
                                   "7 changed at line " + Line("count") +
                                   ", with no ClusterSync between");
  EXPECT_EQ(Failure(kCounted, {.order = Order::kReverse}),
            "kCounted, block 0: thread 7 at " + Place("count") +
                ": changes shared byte 0, what block 1 read at line " + Line("read") +
                ", with no ClusterSync between");
  EXPECT_EQ(Failure(kNoSync), "kNoSync, block 0: thread 0 at " + Place("read") +
                                  ": reads shared memory of block 1 with no ClusterSync before, so "
                                  "that it may not have begun");
  for (const Kernel* kernel : {&kUnordered, &kSyncOfTheBlock}) {
    EXPECT_EQ(Failure(*kernel), std::string(kernel->name) + ", block 1: thread 0 at " +
                                    Place("read") + of_zero + "0 wrote at line " + Line("write") +
                                    ", with no ClusterSync between");
    EXPECT_EQ(Failure(*kernel, {.order = Order::kReverse}),
              std::string(kernel->name) + ", block 0: thread 31 at " + Place("write") +
                  ": writes shared byte 496, what block 1 read at line " + Line("read") +
                  ", with no ClusterSync between");
    EXPECT_EQ(Failure(*kernel, {.shadow = false}), "");
  }
}

template <class Arch>
CHORUS_DEVICE void EndsBody(Arch& arch, const ClusterParams&) {
  Write(arch, 1.0f);
  arch.ClusterSync();
  if (arch.ClusterBlock() == 1) Read(arch, 0);
}
CLUSTER_KERNEL(Ends, 2, EndsBody)

TEST(ClusterTest, ABlockEndsBehindTheLastReadOfItsMemory) {
  EXPECT_EQ(Failure(kEnds), "kEnds, block 1: thread 0 at " + Place("read") +
                                ": reads shared memory of block 0, which has ended since the last "
                                "ClusterSync");
  EXPECT_EQ(Failure(kEnds, {.order = Order::kReverse}),
            "kEnds, block 0: all threads left the kernel, and block 1 may still read their shared "
            "memory at " +
                Place("read") + ": no ClusterSync between");
}

template <class Arch>
CHORUS_DEVICE void UnwrittenBody(Arch& arch, const ClusterParams&) {
  if (arch.ClusterBlock() == 0) Write(arch, 1.0f);
  arch.ClusterSync();
  Read(arch, 1 - arch.ClusterBlock());
  arch.ClusterSync();
}
CLUSTER_KERNEL(Unwritten, 2, UnwrittenBody)

// Bytes of a bulk copy: under way, or landed since the last ClusterSync, or before it.
template <int kWaits, class Arch>
CHORUS_DEVICE void BulkBody(Arch& arch, const ClusterParams& params) {
  auto bars = Shared<uint64_t>(arch, 2 * kCells * 4, 1);
  if (arch.Thread() == 0) {
    arch.BarInit(bars, 0, 1);
    arch.BarFence();
  }
  arch.ClusterSync();
  if (arch.Thread() == 0) {
    arch.BarArriveExpect(bars, 0, kCells * 4);
    const auto in = arch.Global(params.in, 2 * kCells);
    arch.Bulk(Cells(arch), 0, in, 0, kCells * 4, bars, 0);  // <bulk>
  }
  if (kWaits == 1) arch.BarWait(bars, 0, 0);
  arch.ClusterSync();
  if (kWaits == 2 && arch.ClusterBlock() == 0) arch.BarWait(bars, 0, 0);
  if (arch.ClusterBlock() == 1) Read(arch, 0);
  arch.ClusterSync();
  arch.BarWait(bars, 0, 0);
}
CLUSTER_KERNEL(BulkUnderWay, 2, BulkBody<0>)
CLUSTER_KERNEL(BulkWaitedFor, 2, BulkBody<1>)
CLUSTER_KERNEL(BulkLanded, 2, BulkBody<2>)

TEST(ClusterTest, WhatIsReadIsThere) {
  EXPECT_EQ(Failure(kUnwritten), "kUnwritten, block 0: thread 0 at " + Place("read") +
                                     ": reads shared byte 0 of block 1, what nobody wrote");
  EXPECT_EQ(Failure(kBulkWaitedFor), "");
  EXPECT_EQ(Failure(kBulkUnderWay), "kBulkUnderWay, block 1: thread 0 at " + Place("read") +
                                        ": reads shared byte 0 of block 0, while the copy of its "
                                        "thread 0 at line " +
                                        Line("bulk") + " is under way");
  EXPECT_EQ(Failure(kBulkLanded), "kBulkLanded, block 1: thread 0 at " + Place("read") +
                                      ": reads shared byte 0 of block 0, what the Bulk at line " +
                                      Line("bulk") +
                                      " brought, with no ClusterSync behind its BarWait");
}

template <class Arch>
CHORUS_DEVICE void NoSuchBlockBody(Arch& arch, const ClusterParams&) {
  Write(arch, 1.0f);
  arch.ClusterSync();
  Read(arch, 2);
}
CLUSTER_KERNEL(NoSuchBlock, 2, NoSuchBlockBody)

template <int kIndex, class Arch>
CHORUS_DEVICE void IndexBody(Arch& arch, const ClusterParams&) {
  arch.ClusterSync();
  F4 to;
  arch.Remote(Cells(arch), 0).LoadTo(to, kIndex);  // <index>
}
CLUSTER_KERNEL(PastTheSpan, 2, IndexBody<125>)
CLUSTER_KERNEL(Misaligned, 2, IndexBody<6>)

template <class Arch>
CHORUS_DEVICE void RemoteOfGlobalBody(Arch& arch, const ClusterParams& params) {
  arch.Remote(arch.Global(params.in, 2 * kCells), 0);  // <global>
}
CLUSTER_KERNEL(RemoteOfGlobal, 2, RemoteOfGlobalBody)

TEST(ClusterTest, ReadsAreWithinTheClusterAndItsSharedMemory) {
  EXPECT_EQ(Failure(kNoSuchBlock),
            "kNoSuchBlock, block 0: thread 0 at " + Place("read") + ": block 2 of a cluster of 2");
  EXPECT_EQ(Failure(kPastTheSpan), "kPastTheSpan, block 0: thread 0 at " + Place("index") +
                                       ": index 125 of 128 in shared memory");
  EXPECT_EQ(Failure(kMisaligned), "kMisaligned, block 0: thread 0 at " + Place("index") +
                                      ": 16 misaligned bytes at index 6 in shared memory");
  EXPECT_EQ(Failure(kRemoteOfGlobal),
            "kRemoteOfGlobal, block 0: Remote at " + Place("global") + " is not of shared memory");
}

template <class Arch>
CHORUS_DEVICE void BlockLeavesBody(Arch& arch, const ClusterParams&) {
  if (arch.ClusterBlock() == 1) return;
  arch.ClusterSync();  // <sync of one block>
}
CLUSTER_KERNEL(BlockLeaves, 2, BlockLeavesBody)

template <class Arch>
CHORUS_DEVICE void TwoSyncsBody(Arch& arch, const ClusterParams&) {
  if (arch.ClusterBlock() == 0) {
    arch.ClusterSync();  // <first>
  } else {
    arch.ClusterSync();  // <second>
  }
}
CLUSTER_KERNEL(TwoSyncs, 2, TwoSyncsBody)

template <class Arch>
CHORUS_DEVICE void SyncOfTheOtherKindBody(Arch& arch, const ClusterParams&) {
  if (arch.Lane() < 8 && arch.ClusterBlock() == 0) {
    arch.Sync();  // <other kind>
  } else {
    arch.ClusterSync();  // <of the cluster>
  }
}
CLUSTER_KERNEL(SyncOfTheOtherKind, 2, SyncOfTheOtherKindBody)

TEST(ClusterTest, AllThreadsOfAClusterMeet) {
  EXPECT_EQ(Failure(kBlockLeaves),
            "kBlockLeaves, block 1: thread 0 left the kernel, 32 threads of its cluster wait in "
            "ClusterSync at " +
                Place("sync of one block"));
  EXPECT_EQ(Failure(kBlockLeaves, {.order = Order::kReverse}),
            "kBlockLeaves, block 0: thread 31 in ClusterSync at " + Place("sync of one block") +
                ", but 32 threads of its cluster have left the kernel");
  EXPECT_EQ(Failure(kTwoSyncs), "kTwoSyncs, block 1: threads at different ClusterSyncs: " +
                                    Place("first") + " and " + Place("second"));
  EXPECT_EQ(Failure(kSyncOfTheOtherKind),
            "kSyncOfTheOtherKind, block 0: deadlock: 8 threads in Sync at " + Place("other kind") +
                ", 56 threads in ClusterSync at " + Place("of the cluster") + ", 0 have left");
}

}  // namespace
}  // namespace chorus::kernels
