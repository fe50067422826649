// Linear and Embedding, over the packed weights of a whole model.
#include <algorithm>
#include <array>

#include "bench/kernels/kernel_rig.h"
#include "kernels/embedding/embedding.h"
#include "kernels/linear/linear.h"

namespace chorus::bench {
namespace {

using kernels::Bf16;
using kernels::Embedding;
using kernels::Linear;
using kernels::PackedMatrix;

// The four linears of every layer, and the head.
struct Model {
  Model() {
    for (auto& layer : layers) {
      layer = {RandomMatrix(kQkvWidth, kWidth), RandomMatrix(kWidth, kWidth),
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
  const int64_t rows = state.range(0);
  const Model& model = TheModel();
  const Buffer<Bf16> x(rows, kFeedForward);
  const Buffer<float> y(rows, 2 * kFeedForward);
  const int64_t head_rows = std::min<int64_t>(rows, 16);
  const Buffer<float> logits(head_rows, kVocabulary);
  Work work;
  const auto add = [&](const PackedMatrix& w, int64_t w_rows) {
    work.bytes += static_cast<double>(w.bytes() + w_rows * (2 * w.inputs() + 4 * w.outputs()));
    work.flops += 2.0 * static_cast<double>(w_rows * w.outputs() * w.inputs());
  };
  for (const auto& layer : model.layers) {
    for (const PackedMatrix& w : layer) add(w, rows);
  }
  add(model.head, head_rows);
  Measure(state, work, [&] {
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

void BM_Embedding(benchmark::State& state) {
  const int64_t rows = state.range(0);
  std::vector<int32_t> tokens;
  for (int64_t r = 0; r < rows; ++r) tokens.push_back(static_cast<int32_t>(r * 7919 % kVocabulary));
  const Buffer<float> y(rows, kWidth);
  Measure(state, {.bytes = static_cast<double>(rows * kWidth * (2 + 4))}, [&] {
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

}  // namespace
}  // namespace chorus::bench
