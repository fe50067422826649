// LoraShrink and LoraExpand at rank 16 on all seven linears.
#include <algorithm>
#include <numeric>
#include <random>

#include "bench/kernels/kernel_rig.h"
#include "kernels/checked.h"
#include "kernels/lora/expand.h"
#include "kernels/lora/shrink.h"
#include "kernels/lora/tiles.h"

namespace chorus::bench {
namespace {

using kernels::Bf16;
using kernels::kDown;
using kernels::kGate;
using kernels::kK;
using kernels::kNumLoraModules;
using kernels::kO;
using kernels::kQ;
using kernels::kUp;
using kernels::kV;
using kernels::LoraSegment;
using kernels::LoraSite;

constexpr int kRank = 16;
constexpr int64_t kOutputs[] = {576, 192, 192, 576, 1536, 1536, 576};
constexpr int64_t kMaxIds = 48;  // of one adapter: 9.8 MB

int64_t Inputs(int module) { return module == kDown ? kFeedForward : kWidth; }

const LoraSite kSites[] = {{3, {kQ, kK, kV}, {0, 576, 768}, {576, 192, 192}},
                           {1, {kO}, {0}, {576}},
                           {2, {kGate, kUp}, {0, 1536}, {1536, 1536}},
                           {1, {kDown}, {0}, {576}}};

// Adapters on all layers. Ids are leased one by one, so runs of an adapter are as long as the free
// list happens to be ordered; here the tiles lie in cells all over the pool.
struct Adapters {
  explicit Adapters(int count)
      : pool{nullptr, int64_t{count} * kMaxIds, kLayers, kKvHeads, kHeadDim, kernels::DType::kBf16},
        memory(RandomMemory(pool.total_bytes())) {
    pool.base = const_cast<std::byte*>(memory.data());
    std::vector<int32_t> cells(static_cast<size_t>(pool.num_ids * pool.num_slabs));
    std::iota(cells.begin(), cells.end(), 0);
    std::shuffle(cells.begin(), cells.end(), std::minstd_rand());
    for (int a = 0; a < count; ++a) slots.push_back(MakeSlot(&cells));
  }

  // Takes the cells it needs from the end of `cells`.
  kernels::LoraSlot MakeSlot(std::vector<int32_t>* cells) const {
    kernels::LoraSlot slot;
    int32_t tile = 0;
    for (int i = 0; i < kLayers * kNumLoraModules; ++i) {
      const int m = i % kNumLoraModules;
      kernels::LoraModuleEntry entry{.rank = kRank, .scale = 0.5f, .a_tile = tile};
      tile += static_cast<int32_t>(kernels::MatrixTiles(Inputs(m), kRank));
      entry.b_tile = tile;
      tile += static_cast<int32_t>(kernels::MatrixTiles(kOutputs[m], kRank));
      slot.modules.push_back(entry);
    }
    const int64_t needed = kernels::CeilDiv<int64_t>(tile, kernels::TilesPerCell(pool));
    slot.cells.assign(cells->end() - needed, cells->end());
    cells->resize(cells->size() - static_cast<size_t>(needed));
    return slot;
  }

  kernels::PoolView pool;
  kernels::PackedMatrix memory;
  kernels::LoraSlotTable slots;
};

// Weights of both matrices, and xA and y read and written, in all layers.
Work LoraWork(int64_t rows, int64_t adapters, bool shrink, bool expand) {
  Work work{.units = kLayers};
  for (int m = 0; m < kNumLoraModules; ++m) {
    for (const auto& [runs, width, activation_bytes] :
         {std::tuple(shrink, Inputs(m), 2 * Inputs(m) + 4 * kRank),
          std::tuple(expand, kOutputs[m], 8 * kOutputs[m] + 4 * kRank)}) {
      if (!runs) continue;
      work.bytes +=
          static_cast<double>(kLayers * (2 * kRank * width * adapters + activation_bytes * rows));
      work.flops += 2.0 * static_cast<double>(kLayers * kRank * width * rows);
    }
  }
  return work;
}

// Shrink and expand at all four sites of all layers: `rows` rows over `adapters` adapters.
void BM_Lora(benchmark::State& state) {
  const auto rows = static_cast<int32_t>(state.range(0));
  const auto count = static_cast<int32_t>(state.range(1));
  const bool shrink = state.range(2) != 1;
  const bool expand = state.range(2) != 0;
  const Adapters adapters(count);
  std::vector<LoraSegment> segments;
  for (int32_t a = 0; a < count; ++a) {
    const int32_t first = rows * a / count;
    segments.push_back({a, first, rows * (a + 1) / count - first});
  }
  const Buffer<Bf16> x(rows, kFeedForward);
  const Buffer<float> xa(rows, 3 * kRank);
  const Buffer<float> y(rows, 2 * kFeedForward);
  Measure(state, LoraWork(rows, count, shrink, expand), [&] {
    for (int layer = 0; layer < kLayers; ++layer) {
      for (const LoraSite& site : kSites) {
        if (shrink) {
          Must(LoraShrink({.x = x.view.Columns(0, Inputs(site.modules[0])),
                           .segments = segments,
                           .slots = &adapters.slots,
                           .pool = adapters.pool,
                           .layer = layer,
                           .site = site,
                           .xa = xa.view},
                          TheMachine().stream));
        }
        if (expand) {
          Must(LoraExpand({.xa = xa.view,
                           .segments = segments,
                           .slots = &adapters.slots,
                           .pool = adapters.pool,
                           .layer = layer,
                           .site = site,
                           .y = y.view},
                          TheMachine().stream));
        }
      }
    }
  });
}
BENCHMARK(BM_Lora)
    ->ArgNames({"rows", "adapters", "shrink0_expand1_both2"})
    ->Args({1, 1, 2})
    ->Args({16, 1, 2})
    ->Args({16, 16, 0})
    ->Args({16, 16, 1})
    ->Args({16, 16, 2})
    ->Args({512, 1, 0})
    ->Args({512, 1, 1})
    ->Args({512, 1, 2})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace chorus::bench
