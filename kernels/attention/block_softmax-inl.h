// A block of pages against queries: the step of the online softmax (Milakov and Gimelshein, 2018)
// that PagedAttention repeats block by block. Blocks begin at multiples of kBlockTokens, so what is
// added to what depends on a query's position alone.
#if defined(CHORUS_KERNELS_ATTENTION_BLOCK_SOFTMAX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHORUS_KERNELS_ATTENTION_BLOCK_SOFTMAX_INL_H_
#undef CHORUS_KERNELS_ATTENTION_BLOCK_SOFTMAX_INL_H_
#else
#define CHORUS_KERNELS_ATTENTION_BLOCK_SOFTMAX_INL_H_
#endif

#include <limits>

#include "hwy/highway.h"
#include "kernels/attention/page_scores-inl.h"
#include "kernels/checked.h"
#include "kernels/device/pool_view.h"
#include "kernels/simd/exp-inl.h"
#include "kernels/simd/float_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {

// Running state of one query (one head of one row).
struct QueryState {
  float max = -std::numeric_limits<float>::infinity();
  float sum = 0.0f;
};

// Turns the scores of `count` <= kPageTokens queries into weights exp(score − max) and updates the
// queries' states. Query i sees the first tokens[i] tokens of the block; later ones of the same
// page get weight 0. shrink[i] becomes the factor by which what it summed before shrinks. Steps are
// taken for all queries together, so that their latencies overlap.
template <class D>
HWY_INLINE void BlockWeights(D d, int count, const int* tokens,
                             float (*HWY_RESTRICT scores)[kBlockTokens],
                             QueryState* HWY_RESTRICT states, float* HWY_RESTRICT shrink) {
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  HWY_ALIGN float change[kPageTokens] = {};
  for (int i = 0; i < count; ++i) {
    const int end = RoundUp(tokens[i], kPageTokens);
    for (int t = tokens[i]; t < end; ++t) scores[i][t] = kLowest;
    auto largest = hn::Set(d, states[i].max);
    for (int t = 0; t < end; t += kLanes) {
      largest = hn::Max(largest, hn::LoadU(d, scores[i] + t));
    }
    const float max = hn::GetLane(hn::MaxOfLanes(d, largest));
    change[i] = states[i].max - max;  // 0 where the maximum stays, and exp(0) is exactly 1
    states[i].max = max;
  }
  for (int i = 0; i < count; i += kLanes) {
    hn::StoreU(ExpF32(d, hn::LoadU(d, change + i)), d, shrink + i);
  }
  for (int i = 0; i < count; ++i) {
    const int end = RoundUp(tokens[i], kPageTokens);
    const auto max = hn::Set(d, states[i].max);
    auto sum = hn::Zero(d);
    for (int t = 0; t < end; t += kLanes) {
      const auto weight = ExpF32(d, hn::Sub(hn::LoadU(d, scores[i] + t), max));
      hn::StoreU(weight, d, scores[i] + t);
      sum = hn::Add(sum, weight);
    }
    states[i].sum = states[i].sum * shrink[i] + hn::GetLane(hn::SumOfLanes(d, sum));
  }
}

// acc_i = acc_i · shrink_i + Σ_t weights[i][t] · v_t over kChunks vectors of the head and the first
// `tokens` tokens of a block. Page p's values are at v[p] + offset, [kPageTokens, head_dim].
template <int kQueries, int kChunks, class D, class T>
HWY_INLINE void AddChunks(D d, const float (*weights)[kBlockTokens], const float* shrink,
                          const T* const* v, int offset, int head_dim, int tokens,
                          float* HWY_RESTRICT acc) {
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  hn::Vec<D> sums[kQueries][kChunks];
  Unroll<kQueries>([&](auto i) CHORUS_INLINE_LAMBDA {
    const auto factor = hn::Set(d, shrink[i]);
    Unroll<kChunks>([&](auto c) CHORUS_INLINE_LAMBDA {
      sums[i][c] = hn::Mul(hn::LoadU(d, acc + i * head_dim + offset + c * kLanes), factor);
    });
  });
  for (int first = 0; first < tokens; first += kPageTokens) {
    const T* HWY_RESTRICT row = v[first / kPageTokens] + offset;
    const int end = tokens - first < kPageTokens ? tokens - first : kPageTokens;
    for (int t = 0; t < end; ++t, row += head_dim) {
      hn::Vec<D> values[kChunks];
      Unroll<kChunks>([&](auto c)
                          CHORUS_INLINE_LAMBDA { values[c] = LoadF32(d, row + c * kLanes); });
      Unroll<kQueries>([&](auto i) CHORUS_INLINE_LAMBDA {
        const auto weight = hn::Set(d, weights[i][first + t]);
        Unroll<kChunks>([&](auto c) CHORUS_INLINE_LAMBDA {
          sums[i][c] = hn::MulAdd(weight, values[c], sums[i][c]);
        });
      });
    }
  }
  Unroll<kQueries>([&](auto i) CHORUS_INLINE_LAMBDA {
    Unroll<kChunks>([&](auto c) CHORUS_INLINE_LAMBDA {
      hn::StoreU(sums[i][c], d, acc + i * head_dim + offset + c * kLanes);
    });
  });
}

// The same over the whole head. acc is [kQueries, head_dim].
template <int kQueries, class D, class T>
void AddValues(D d, const float (*weights)[kBlockTokens], const float* shrink, const T* const* v,
               int head_dim, int tokens, float* HWY_RESTRICT acc) {
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  int c = 0;
  for (; c + 4 * kLanes <= head_dim; c += 4 * kLanes) {
    AddChunks<kQueries, 4>(d, weights, shrink, v, c, head_dim, tokens, acc);
  }
  for (; c < head_dim; c += kLanes) {
    AddChunks<kQueries, 1>(d, weights, shrink, v, c, head_dim, tokens, acc);
  }
}

}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // CHORUS_KERNELS_ATTENTION_BLOCK_SOFTMAX_INL_H_
