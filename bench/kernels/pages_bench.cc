// The ops that read and write KV pages: PagedAttention, RopeAppendKv, CopyPages.
#include <algorithm>
#include <numeric>
#include <random>

#include "bench/kernels/kernel_rig.h"
#include "kernels/attention/paged_attention.h"
#include "kernels/checked.h"
#include "kernels/copy/copy_pages.h"
#include "kernels/rope/rope_append_kv.h"

namespace chorus::bench {
namespace {

using kernels::Bf16;
using kernels::kPageTokens;

// Sequences with pages at random ids; each layer reads its own slab.
struct Sequences {
  Sequences(int32_t count, int32_t context, int32_t new_rows)
      : pool{nullptr,  int64_t{count} * kernels::CeilDiv(context, kPageTokens),
             kLayers,  kKvHeads,
             kHeadDim, kernels::DType::kBf16},
        memory(RandomMemory(pool.total_bytes())),
        page_ids(static_cast<size_t>(pool.num_ids)) {
    pool.base = const_cast<std::byte*>(memory.data());
    std::iota(page_ids.begin(), page_ids.end(), 0);
    std::shuffle(page_ids.begin(), page_ids.end(), std::minstd_rand());
    for (int32_t s = 0; s < count; ++s) {
      for (int32_t r = 0; r < new_rows; ++r) {
        rows.push_back(static_cast<int32_t>(rows.size()));
        positions.push_back(context - new_rows + r);
      }
      row_begin.push_back(static_cast<int32_t>(rows.size()));
      page_begin.push_back((s + 1) * kernels::CeilDiv(context, kPageTokens));
    }
  }

  kernels::PoolView pool;
  kernels::PackedMatrix memory;
  std::vector<int32_t> page_ids;
  std::vector<int32_t> positions, rows, row_begin{0}, page_begin{0};
};

void BM_PagedAttention(benchmark::State& state) {
  const auto count = static_cast<int32_t>(state.range(0));
  const auto context = static_cast<int32_t>(state.range(1));
  const auto new_rows = static_cast<int32_t>(state.range(2));
  const Sequences sequences(count, context, new_rows);
  const int64_t rows = int64_t{count} * new_rows;
  const Buffer<float> q(rows, kHeads * kHeadDim);
  const Buffer<Bf16> y(rows, kHeads * kHeadDim);
  double seen = 0.0;  // tokens, summed over rows
  for (const int32_t position : sequences.positions) seen += position + 1;
  const Work work{.bytes = static_cast<double>(sequences.pool.total_bytes() +
                                               kLayers * rows * kHeads * kHeadDim * (4 + 2)),
                  .flops = 4.0 * seen * static_cast<double>(kHeads * kHeadDim * kLayers),
                  .units = kLayers};
  Measure(state, work, [&] {
    for (int layer = 0; layer < kLayers; ++layer) {
      Must(PagedAttention({.q = q.view,
                           .positions = sequences.positions,
                           .rows = sequences.rows,
                           .row_begin = sequences.row_begin,
                           .page_ids = sequences.page_ids,
                           .page_begin = sequences.page_begin,
                           .heads = kHeads,
                           .scale = 0.125f,
                           .pool = sequences.pool,
                           .slab = layer,
                           .y = y.view},
                          TheMachine().stream));
    }
  });
}
BENCHMARK(BM_PagedAttention)
    ->ArgNames({"sequences", "context", "rows"})
    ->Args({1, 128, 1})
    ->Args({16, 128, 1})
    ->Args({16, 2048, 1})
    ->Args({1, 512, 512})
    ->Args({1, 4096, 512})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

void BM_RopeAppendKv(benchmark::State& state) {
  const auto rows = static_cast<int32_t>(state.range(0));
  const Sequences sequences(rows, 128, 1);
  const Buffer<float> qkv(rows, kQkvWidth);
  const Buffer<float> cos_sin(rows, kHeadDim);
  std::vector<int32_t> page_ids;
  for (int32_t r = 0; r < rows; ++r) {
    const int32_t last = sequences.page_begin[static_cast<size_t>(r) + 1] - 1;
    page_ids.push_back(sequences.page_ids[static_cast<size_t>(last)]);
  }
  // q is read and written in place; k and v are read, and written to their pages in bf16.
  const int64_t row_bytes =
      8 * kHeads * kHeadDim + 2 * (4 + 2) * kKvHeads * kHeadDim + 4 * kHeadDim;
  const Work work{.bytes = static_cast<double>(kLayers * rows * row_bytes), .units = kLayers};
  Measure(state, work, [&] {
    for (int layer = 0; layer < kLayers; ++layer) {
      Must(RopeAppendKv({.qkv = qkv.view,
                         .cos_sin = cos_sin.view,
                         .heads = kHeads,
                         .positions = sequences.positions,
                         .page_ids = page_ids,
                         .pool = sequences.pool,
                         .slab = layer},
                        TheMachine().stream));
    }
  });
}
BENCHMARK(BM_RopeAppendKv)
    ->ArgName("rows")
    ->Arg(1)
    ->Arg(16)
    ->Arg(512)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

// A fork's partial page, in all layers.
void BM_CopyPages(benchmark::State& state) {
  const auto count = static_cast<int32_t>(state.range(0));
  const Sequences sequences(2 * count, kPageTokens, 1);
  std::vector<kernels::PageCopy> copies;
  for (int32_t c = 0; c < count; ++c) {
    copies.push_back({sequences.page_ids[static_cast<size_t>(2 * c)],
                      sequences.page_ids[static_cast<size_t>(2 * c + 1)]});
  }
  Measure(state, {.bytes = static_cast<double>(sequences.pool.total_bytes())}, [&] {
    Must(CopyPages({.pool = sequences.pool, .copies = copies}, TheMachine().stream));
  });
}
BENCHMARK(BM_CopyPages)
    ->ArgName("pages")
    ->Arg(1)
    ->Arg(16)
    ->Arg(256)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace chorus::bench
