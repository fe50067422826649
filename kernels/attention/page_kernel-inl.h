// One page of K and V against a few queries: the step of the online softmax (Milakov and
// Gimelshein, 2018) that PagedAttention repeats page by page.
#if defined(CHORUS_KERNELS_ATTENTION_PAGE_KERNEL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHORUS_KERNELS_ATTENTION_PAGE_KERNEL_INL_H_
#undef CHORUS_KERNELS_ATTENTION_PAGE_KERNEL_INL_H_
#else
#define CHORUS_KERNELS_ATTENTION_PAGE_KERNEL_INL_H_
#endif

#include <limits>

#include "hwy/highway.h"
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

// Four vectors become one whose 128-bit blocks hold [Σa0, Σa1, Σa2, Σa3] of that block.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V AddWithinBlocks(D d, V a0, V a1, V a2, V a3) {
#if HWY_TARGET == HWY_SCALAR
  (void)a1, (void)a2, (void)a3;
  return a0;
#else
  const auto even = hn::Add(hn::InterleaveLower(d, a0, a2), hn::InterleaveUpper(d, a0, a2));
  const auto odd = hn::Add(hn::InterleaveLower(d, a1, a3), hn::InterleaveUpper(d, a1, a3));
  return hn::Add(hn::InterleaveLower(d, even, odd), hn::InterleaveUpper(d, even, odd));
#endif
}

// Lane sums of sixteen vectors in order. What adds to what depends on the lanes alone.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void StoreLaneSums(D d, const V (&a)[kPageTokens], float* HWY_RESTRICT sums) {
  constexpr size_t kLanes = hn::MaxLanes(D());
  if constexpr (kLanes == 1) {
    for (int t = 0; t < kPageTokens; ++t) hn::StoreU(a[t], d, sums + t);
  } else {
    V g[4];
    for (int i = 0; i < 4; ++i) {
      g[i] = AddWithinBlocks(d, a[4 * i], a[4 * i + 1], a[4 * i + 2], a[4 * i + 3]);
    }
    if constexpr (kLanes == 4) {
      for (int i = 0; i < 4; ++i) hn::StoreU(g[i], d, sums + 4 * i);
    }
#if HWY_TARGET != HWY_SCALAR
    const auto fold = [d](V low, V high) HWY_ATTR {
      return hn::Add(hn::ConcatLowerLower(d, high, low), hn::ConcatUpperUpper(d, high, low));
    };
    if constexpr (kLanes == 8) {
      hn::StoreU(fold(g[0], g[1]), d, sums);
      hn::StoreU(fold(g[2], g[3]), d, sums + 8);
    }
    if constexpr (kLanes == 16) {
      const V even = fold(g[0], g[2]);
      const V odd = fold(g[1], g[3]);
      const V swapped = hn::SwapAdjacentBlocks(hn::OddEvenBlocks(even, odd));
      hn::StoreU(hn::Add(hn::OddEvenBlocks(odd, even), swapped), d, sums);
    }
#endif
  }
}

// scores[i][t] = q_i · k_t for all tokens of the page; those from `tokens` on mean nothing.
template <int kQueries, class D, class T>
HWY_INLINE void PageScores(D d, const float* HWY_RESTRICT q, const T* HWY_RESTRICT k, int head_dim,
                           int tokens, float (*scores)[kPageTokens]) {
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  constexpr int kGroup = 4;  // tokens whose sums are held in registers at once
  hn::Vec<D> sums[kQueries][kPageTokens];
  for (int t = 0; t < kPageTokens; t += kGroup) {
    for (int i = 0; i < kQueries; ++i) {
      for (int j = 0; j < kGroup; ++j) sums[i][t + j] = hn::Zero(d);
    }
    if (t >= tokens) continue;
    for (int c = 0; c < head_dim; c += kLanes) {
      hn::Vec<D> keys[kGroup];
      for (int j = 0; j < kGroup; ++j) keys[j] = LoadF32(d, k + (t + j) * head_dim + c);
      for (int i = 0; i < kQueries; ++i) {
        const auto query = hn::LoadU(d, q + i * head_dim + c);
        for (int j = 0; j < kGroup; ++j) {
          sums[i][t + j] = hn::MulAdd(query, keys[j], sums[i][t + j]);
        }
      }
    }
  }
  for (int i = 0; i < kQueries; ++i) StoreLaneSums(d, sums[i], scores[i]);
}

// Turns one query's scores into weights exp(score − max) and updates its state. Returns the factor
// by which what was summed before shrinks. Tokens from `tokens` on get weight 0.
template <class D>
HWY_INLINE float PageWeights(D d, int tokens, float* HWY_RESTRICT scores, QueryState& state) {
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  for (int t = tokens; t < kPageTokens; ++t) scores[t] = kLowest;
  auto largest = hn::LoadU(d, scores);
  for (int t = kLanes; t < kPageTokens; t += kLanes) {
    largest = hn::Max(largest, hn::LoadU(d, scores + t));
  }
  const float page_max = hn::GetLane(hn::MaxOfLanes(d, largest));
  const float max = page_max > state.max ? page_max : state.max;
  auto sum = hn::Zero(d);
  for (int t = 0; t < kPageTokens; t += kLanes) {
    const auto weight = ExpF32(d, hn::Sub(hn::LoadU(d, scores + t), hn::Set(d, max)));
    hn::StoreU(weight, d, scores + t);
    sum = hn::Add(sum, weight);
  }
  // exp(0) is exactly 1, so leaving it out changes no bit.
  const float shrink =
      max == state.max ? 1.0f : hn::GetLane(ExpF32(d, hn::Set(d, state.max - max)));
  state.sum = state.sum * shrink + hn::GetLane(hn::SumOfLanes(d, sum));
  state.max = max;
  return shrink;
}

// acc_i = acc_i · shrink_i + Σ_t weights[i][t] · v_t over kChunks vectors of the head.
template <int kQueries, int kChunks, class D, class T>
HWY_INLINE void AddValues(D d, const float (*weights)[kPageTokens], const float* shrink,
                          const T* HWY_RESTRICT v, int head_dim, int tokens,
                          float* HWY_RESTRICT acc) {
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  hn::Vec<D> sums[kQueries][kChunks];
  for (int i = 0; i < kQueries; ++i) {
    const auto factor = hn::Set(d, shrink[i]);
    for (int c = 0; c < kChunks; ++c) {
      sums[i][c] = hn::Mul(hn::LoadU(d, acc + i * head_dim + c * kLanes), factor);
    }
  }
  for (int t = 0; t < tokens; ++t) {
    hn::Vec<D> values[kChunks];
    for (int c = 0; c < kChunks; ++c) values[c] = LoadF32(d, v + t * head_dim + c * kLanes);
    for (int i = 0; i < kQueries; ++i) {
      const auto weight = hn::Set(d, weights[i][t]);
      for (int c = 0; c < kChunks; ++c) {
        sums[i][c] = hn::MulAdd(weight, values[c], sums[i][c]);
      }
    }
  }
  for (int i = 0; i < kQueries; ++i) {
    for (int c = 0; c < kChunks; ++c) {
      hn::StoreU(sums[i][c], d, acc + i * head_dim + c * kLanes);
    }
  }
}

// kQueries queries against the first `tokens` >= 1 tokens of a page. q and acc are
// [kQueries, head_dim], q scaled; k and v [kPageTokens, head_dim], of one KV head.
// REQUIRES: head_dim is a multiple of Lanes(d).
template <int kQueries, class D, class T>
void AttendPage(D d, const float* HWY_RESTRICT q, const T* HWY_RESTRICT k, const T* HWY_RESTRICT v,
                int head_dim, int tokens, QueryState* states, float* HWY_RESTRICT acc) {
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  HWY_ALIGN float scores[kQueries][kPageTokens];
  float shrink[kQueries];
  PageScores<kQueries>(d, q, k, head_dim, tokens, scores);
  for (int i = 0; i < kQueries; ++i) shrink[i] = PageWeights(d, tokens, scores[i], states[i]);
  int c = 0;
  for (; c + 4 * kLanes <= head_dim; c += 4 * kLanes) {
    AddValues<kQueries, 4>(d, scores, shrink, v + c, head_dim, tokens, acc + c);
  }
  for (; c < head_dim; c += kLanes) {
    AddValues<kQueries, 1>(d, scores, shrink, v + c, head_dim, tokens, acc + c);
  }
}

}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // CHORUS_KERNELS_ATTENTION_PAGE_KERNEL_INL_H_
