// Every op of kernels/ at SmolLM2-135M's shapes, on all cores: bytes moved, GB/s, FLOP/s, and the
// share of the floor, which is the larger of bytes ÷ read bandwidth and FLOPs ÷ vdpbf16ps rate.
// Both ceilings are measured in turns with the op. Weights, adapters and pages are cold: a
// benchmark walks 30 layers of them, as a step does.
//   share   floor ÷ best time, what the op can be held to on this machine
//   us      best time of one layer (or of one call where the op is not repeated per layer)
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "bench/ceilings.h"
#include "benchmark/benchmark.h"
#include "kernels/activation/silu_mul.h"
#include "kernels/attention/paged_attention.h"
#include "kernels/check.h"
#include "kernels/embedding/embedding.h"
#include "kernels/linear/linear.h"
#include "kernels/lora/expand.h"
#include "kernels/lora/shrink.h"
#include "kernels/norm/rms_norm.h"
#include "kernels/rope/rope_append_kv.h"
#include "kernels/sampling/sample.h"

namespace chorus::bench {
namespace {

using namespace kernels;  // NOLINT: this is their bench

constexpr int kLayers = 30;
constexpr int64_t kWidth = 576;
constexpr int64_t kHeads = 9;
constexpr int64_t kKvHeads = 3;
constexpr int64_t kHeadDim = 64;
constexpr int64_t kQkv = (kHeads + 2 * kKvHeads) * kHeadDim;
constexpr int64_t kFeedForward = 1536;
constexpr int64_t kVocabulary = 49152;

struct Machine {
  ComputePool pool{static_cast<int>(std::max(1u, std::thread::hardware_concurrency()))};
  Ceilings ceilings{&pool};
  Stream stream = Stream::Cpu(&pool);
};

Machine& TheMachine() {
  static Machine machine;
  return machine;
}

// Uniform in [-scale, scale), period 65536: making hundreds of megabytes of distinct values takes
// longer than measuring them.
class Values {
 public:
  explicit Values(float scale = 1.0f) : values_(65536) {
    std::minstd_rand random;
    std::uniform_real_distribution<float> uniform(-scale, scale);
    for (float& value : values_) value = uniform(random);
  }
  template <class T>
  void Fill(T* data, int64_t count) const {
    for (int64_t i = 0; i < count; ++i) {
      const float value = values_[static_cast<size_t>(i) % values_.size()];
      if constexpr (sizeof(T) == sizeof(float)) {
        data[i] = value;
      } else {
        data[i] = Bf16::FromFloat(value);
      }
    }
  }

 private:
  std::vector<float> values_;
};

template <class T>
struct Buffer {
  Buffer(int64_t rows, int64_t cols)
      : data(static_cast<size_t>(rows * cols)), view(TensorView::Of(data.data(), rows, cols)) {
    Values().Fill(data.data(), rows * cols);
  }
  std::vector<T> data;
  TensorView view;
};

void Must(const absl::Status& status) {
  if (!status.ok()) CheckFailed(__FILE__, __LINE__, std::string(status.message()));
}

// Times body() in turns with the ceilings and reports against their floor. `bytes` and `flops` are
// of one call of body, which stands for `units` layers or calls.
template <class Body>
void Measure(benchmark::State& state, double bytes, double flops, int units, const Body& body) {
  Ceilings& ceilings = TheMachine().ceilings;
  ceilings.Measure();
  body();
  double best = 1e30;
  double since_ceilings = 0.0;
  for (auto _ : state) {
    const double start = Now();
    body();
    const double seconds = Now() - start;
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
    since_ceilings += seconds;
    if (since_ceilings > 0.05) {
      ceilings.Measure();
      since_ceilings = 0.0;
    }
  }
  state.counters["us"] = best / units * 1e6;
  state.counters["GB/s"] = bytes / best * 1e-9;
  state.counters["GFLOP/s"] = flops / best * 1e-9;
  state.counters["share"] = ceilings.Floor(bytes, flops) / best;
  state.counters["read_GB/s"] = ceilings.read_bandwidth() * 1e-9;
  state.counters["dot_GFLOP/s"] = ceilings.compute_rate() * 1e-9;
}

PackedMatrix RandomMatrix(int64_t outputs, int64_t inputs) {
  PackedMatrix matrix = PackedMatrix::Allocate(DType::kBf16, outputs, inputs).value();
  Values(0.05f).Fill(reinterpret_cast<Bf16*>(const_cast<std::byte*>(matrix.data())),
                     matrix.bytes() / 2);
  return matrix;
}

// The four linears of every layer, and the head.
struct Model {
  Model() {
    for (size_t layer = 0; layer < kLayers; ++layer) {
      layers[layer] = {RandomMatrix(kQkv, kWidth), RandomMatrix(kWidth, kWidth),
                       RandomMatrix(2 * kFeedForward, kWidth), RandomMatrix(kWidth, kFeedForward)};
    }
    head = RandomMatrix(kVocabulary, kWidth);
  }
  std::array<std::array<PackedMatrix, 4>, kLayers> layers;
  PackedMatrix head;
};

Model& TheModel() {
  static Model model;
  return model;
}

// All linears of a step; the head on at most 16 rows.
void BM_Linears(benchmark::State& state) {
  if (!CpuHasBf16()) return state.SkipWithError("no AVX-512 BF16");
  const int64_t rows = state.range(0);
  Model& model = TheModel();
  const Buffer<Bf16> x(rows, kFeedForward);
  const Buffer<float> y(rows, 2 * kFeedForward);
  const int64_t head_rows = std::min<int64_t>(rows, 16);
  const Buffer<float> logits(head_rows, kVocabulary);
  double bytes = static_cast<double>(model.head.bytes());
  double flops = 2.0 * static_cast<double>(head_rows * kVocabulary * kWidth);
  for (const auto& layer : model.layers) {
    for (const PackedMatrix& w : layer) {
      bytes += static_cast<double>(w.bytes());
      flops += 2.0 * static_cast<double>(rows * w.outputs() * w.inputs());
    }
  }
  Measure(state, bytes, flops, 1, [&] {
    for (const auto& layer : model.layers) {
      for (const PackedMatrix& w : layer) {
        Must(Linear(
            {.x = x.view.Columns(0, w.inputs()), .weight = &w, .y = y.view.Columns(0, w.outputs())},
            TheMachine().stream));
      }
    }
    Must(Linear({.x = x.view.Rows(0, head_rows).Columns(0, kWidth),
                 .weight = &model.head,
                 .y = logits.view},
                TheMachine().stream));
  });
}
BENCHMARK(BM_Linears)
    ->ArgName("rows")
    ->Arg(1)
    ->Arg(2)
    ->Arg(4)
    ->Arg(8)
    ->Arg(16)
    ->Arg(32)
    ->Arg(64)
    ->Arg(128)
    ->Arg(512)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// Adapters of one rank on all seven linears of all layers, their tiles in cells all over the pool.
struct Adapters {
  Adapters(int count, int rank) {
    pool = {nullptr, int64_t{count} * kMaxIds, kLayers, kKvHeads, kHeadDim, DType::kBf16};
    memory = RandomMatrix(pool.total_bytes() / 2 / kWidth + 1, kWidth);
    pool.base = const_cast<std::byte*>(memory.data());
    std::vector<int32_t> cells(static_cast<size_t>(pool.num_ids * pool.num_slabs));
    std::iota(cells.begin(), cells.end(), 0);
    // Ids are leased one by one, and an id's cells are filled slab by slab: runs of an adapter are
    // as long as the free list happens to be ordered. Here they are not at all.
    std::shuffle(cells.begin(), cells.end(), std::minstd_rand());
    for (int a = 0; a < count; ++a) {
      LoraSlot slot;
      int32_t tile = 0;
      for (int layer = 0; layer < kLayers; ++layer) {
        for (int m = 0; m < kNumLoraModules; ++m) {
          LoraModuleEntry entry{.rank = rank, .scale = 0.5f, .a_tile = tile};
          tile += static_cast<int32_t>(MatrixTiles(m == kDown ? kFeedForward : kWidth, rank));
          entry.b_tile = tile;
          tile += static_cast<int32_t>(MatrixTiles(kOutputs[m], rank));
          slot.modules.push_back(entry);
        }
      }
      const int64_t needed = CeilDiv<int64_t>(tile, TilesPerCell(pool));
      slot.cells.assign(cells.end() - needed, cells.end());
      cells.resize(cells.size() - static_cast<size_t>(needed));
      bytes = static_cast<double>(tile * TileBytes(pool.dtype));
      slots.push_back(std::move(slot));
    }
  }

  static constexpr int64_t kMaxIds = 48;  // of one adapter of rank 16: 9.8 MB
  static constexpr int64_t kOutputs[] = {576, 192, 192, 576, 1536, 1536, 576};
  PackedMatrix memory;
  PoolView pool;
  LoraSlotTable slots;
  double bytes = 0.0;  // of one adapter
};

// Shrink and expand at all four sites of all layers, rank 16: `rows` rows over `adapters` adapters.
void BM_Lora(benchmark::State& state) {
  if (!CpuHasBf16()) return state.SkipWithError("no AVX-512 BF16");
  const auto rows = static_cast<int32_t>(state.range(0));
  const auto count = static_cast<int32_t>(state.range(1));
  const bool shrink = state.range(2) != 1;
  const bool expand = state.range(2) != 0;
  const Adapters adapters(count, 16);
  const LoraSite sites[] = {{3, {kQ, kK, kV}, {0, 576, 768}, {576, 192, 192}},
                            {1, {kO}, {0}, {576}},
                            {2, {kGate, kUp}, {0, 1536}, {1536, 1536}},
                            {1, {kDown}, {0}, {576}}};
  std::vector<LoraSegment> segments;
  for (int32_t a = 0; a < count; ++a) {
    const int32_t first = rows * a / count;
    segments.push_back({a, first, rows * (a + 1) / count - first});
  }
  const Buffer<Bf16> x(rows, kFeedForward);
  const Buffer<float> xa(rows, 48);
  const Buffer<float> y(rows, 2 * kFeedForward);
  int64_t a_weights = 0;
  int64_t b_weights = 0;
  for (int m = 0; m < kNumLoraModules; ++m) {
    a_weights += 16 * (m == kDown ? kFeedForward : kWidth);
    b_weights += 16 * Adapters::kOutputs[m];
  }
  const double weights =
      static_cast<double>(kLayers * ((shrink ? a_weights : 0) + (expand ? b_weights : 0)));
  Measure(state, 2.0 * weights * count, 2.0 * weights * rows, kLayers, [&] {
    for (int layer = 0; layer < kLayers; ++layer) {
      for (const LoraSite& site : sites) {
        const int64_t inputs = site.modules[0] == kDown ? kFeedForward : kWidth;
        if (shrink) {
          Must(LoraShrink({.x = x.view.Columns(0, inputs),
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

// Sequences with pages at random ids; each layer reads its own slab.
struct Sequences {
  Sequences(int32_t count, int32_t context, int32_t new_rows)
      : q(count * new_rows, kHeads * kHeadDim), y(count * new_rows, kHeads * kHeadDim) {
    const int32_t pages = (context + kPageTokens - 1) / kPageTokens;
    pool = {nullptr, int64_t{count} * pages, kLayers, kKvHeads, kHeadDim, DType::kBf16};
    memory = RandomMatrix(pool.total_bytes() / 2 / kWidth + 1, kWidth);
    pool.base = const_cast<std::byte*>(memory.data());
    page_ids.resize(static_cast<size_t>(pool.num_ids));
    std::iota(page_ids.begin(), page_ids.end(), 0);
    std::shuffle(page_ids.begin(), page_ids.end(), std::minstd_rand());
    for (int32_t s = 0; s < count; ++s) {
      for (int32_t r = 0; r < new_rows; ++r) {
        rows.push_back(static_cast<int32_t>(rows.size()));
        positions.push_back(context - new_rows + r);
      }
      row_begin.push_back(static_cast<int32_t>(rows.size()));
      page_begin.push_back((s + 1) * pages);
    }
  }

  PackedMatrix memory;
  PoolView pool;
  Buffer<float> q;
  Buffer<Bf16> y;
  std::vector<int32_t> positions, rows, row_begin{0}, page_ids, page_begin{0};
};

void BM_PagedAttention(benchmark::State& state) {
  const auto count = static_cast<int32_t>(state.range(0));
  const auto context = static_cast<int32_t>(state.range(1));
  const auto new_rows = static_cast<int32_t>(state.range(2));
  const Sequences sequences(count, context, new_rows);
  double seen = 0.0;  // tokens, summed over rows
  for (const int32_t position : sequences.positions) seen += position + 1;
  const double bytes = static_cast<double>(sequences.pool.total_bytes());
  const double flops = 4.0 * seen * static_cast<double>(kHeads * kHeadDim * kLayers);
  Measure(state, bytes, flops, kLayers, [&] {
    for (int layer = 0; layer < kLayers; ++layer) {
      Must(PagedAttention({.q = sequences.q.view,
                           .positions = sequences.positions,
                           .rows = sequences.rows,
                           .row_begin = sequences.row_begin,
                           .page_ids = sequences.page_ids,
                           .page_begin = sequences.page_begin,
                           .heads = kHeads,
                           .scale = 0.125f,
                           .pool = sequences.pool,
                           .slab = layer,
                           .y = sequences.y.view},
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
  const Buffer<float> qkv(rows, kQkv);
  const Buffer<float> cos_sin(rows, kHeadDim);
  std::vector<int32_t> page_ids;
  for (int32_t r = 0; r < rows; ++r) {
    page_ids.push_back(sequences.page_ids[static_cast<size_t>(sequences.page_begin[r + 1] - 1)]);
  }
  const double bytes = static_cast<double>(rows * (2 * kQkv + kHeadDim) * 4);
  Measure(state, bytes * kLayers, 0.0, kLayers, [&] {
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

void BM_RopeTable(benchmark::State& state) {
  const int64_t rows = state.range(0);
  const std::vector<int32_t> positions(static_cast<size_t>(rows), 1234);
  const std::vector<float> inv_freq(kHeadDim / 2, 0.01f);
  const Buffer<float> cos_sin(rows, kHeadDim);
  Measure(state, static_cast<double>(rows * kHeadDim * 4), 0.0, 1, [&] {
    Must(RopeTable({.positions = positions, .inv_freq = inv_freq, .cos_sin = cos_sin.view},
                   TheMachine().stream));
  });
}
BENCHMARK(BM_RopeTable)
    ->ArgName("rows")
    ->Arg(1)
    ->Arg(16)
    ->Arg(512)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

void BM_RmsNorm(benchmark::State& state) {
  const int64_t rows = state.range(0);
  const Buffer<float> x(rows, kWidth);
  const Buffer<float> weight(1, kWidth);
  const Buffer<Bf16> y(rows, kWidth);
  Measure(state, static_cast<double>(rows * kWidth * 6), 0.0, 1, [&] {
    Must(RmsNorm({.x = x.view, .weight = weight.data.data(), .eps = 1e-5f, .y = y.view},
                 TheMachine().stream));
  });
}
BENCHMARK(BM_RmsNorm)
    ->ArgName("rows")
    ->Arg(1)
    ->Arg(16)
    ->Arg(512)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

void BM_SiluMul(benchmark::State& state) {
  const int64_t rows = state.range(0);
  const Buffer<float> gate_up(rows, 2 * kFeedForward);
  const Buffer<Bf16> y(rows, kFeedForward);
  Measure(state, static_cast<double>(rows * kFeedForward * 10), 0.0, 1,
          [&] { Must(SiluMul({.gate_up = gate_up.view, .y = y.view}, TheMachine().stream)); });
}
BENCHMARK(BM_SiluMul)
    ->ArgName("rows")
    ->Arg(1)
    ->Arg(16)
    ->Arg(512)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

void BM_Embedding(benchmark::State& state) {
  const int64_t rows = state.range(0);
  std::vector<int32_t> tokens;
  for (int64_t r = 0; r < rows; ++r) tokens.push_back(static_cast<int32_t>(r * 7919 % kVocabulary));
  const Buffer<float> y(rows, kWidth);
  Measure(state, static_cast<double>(rows * kWidth * 6), 0.0, 1, [&] {
    Must(
        Embedding({.tokens = tokens, .table = &TheModel().head, .y = y.view}, TheMachine().stream));
  });
}
BENCHMARK(BM_Embedding)
    ->ArgName("rows")
    ->Arg(1)
    ->Arg(16)
    ->Arg(512)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

// 16 rows of a vocabulary: greedy, plain temperature, top-k, top-p, with log-probabilities.
void BM_Sample(benchmark::State& state) {
  const SamplingParams variants[] = {{.temperature = 0.0f},
                                     {.temperature = 0.8f},
                                     {.temperature = 0.8f, .top_k = 50},
                                     {.temperature = 0.8f, .top_p = 0.95f},
                                     {.temperature = 0.0f, .num_logprobs = 5}};
  Buffer<float> logits(16, kVocabulary);
  for (float& logit : logits.data) logit = 15.0f * logit * logit * logit;
  std::vector<SampleRow> rows;
  for (int32_t r = 0; r < 16; ++r) {
    rows.push_back({.logits_row = r, .params = &variants[state.range(0)], .position = r});
  }
  std::vector<SampledToken> tokens(16);
  Measure(state, 16.0 * kVocabulary * 4, 0.0, 1, [&] {
    Must(Sample(
        {.logits = logits.view, .valid_vocabulary = kVocabulary, .rows = rows, .tokens = tokens},
        TheMachine().stream));
  });
}
BENCHMARK(BM_Sample)
    ->ArgName("greedy0_plain1_topk2_topp3_logprobs4")
    ->DenseRange(0, 4)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

void BM_EmptyRun(benchmark::State& state) {
  ComputePool& pool = TheMachine().pool;
  for (auto _ : state) pool.Run([](int) {});
}
BENCHMARK(BM_EmptyRun);

}  // namespace
}  // namespace chorus::bench

BENCHMARK_MAIN();
