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
  (void)d, (void)a1, (void)a2, (void)a3;
  return a0;
#else
  const auto even = hn::Add(hn::InterleaveLower(d, a0, a2), hn::InterleaveUpper(d, a0, a2));
  const auto odd = hn::Add(hn::InterleaveLower(d, a1, a3), hn::InterleaveUpper(d, a1, a3));
  return hn::Add(hn::InterleaveLower(d, even, odd), hn::InterleaveUpper(d, even, odd));
#endif
}

// Four such vectors, of four tokens each, become the sixteen sums in order of tokens. What adds to
// what depends on the lanes alone.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void StoreTokenSums(D d, V g0, V g1, V g2, V g3, float* HWY_RESTRICT sums) {
#if HWY_TARGET == HWY_SCALAR
  (void)d, (void)g0, (void)g1, (void)g2, (void)g3, (void)sums;
#else
  const auto fold = [d](V low, V high) HWY_ATTR {
    return hn::Add(hn::ConcatLowerLower(d, high, low), hn::ConcatUpperUpper(d, high, low));
  };
  if constexpr (hn::MaxLanes(D()) == 4) {
    hn::StoreU(g0, d, sums);
    hn::StoreU(g1, d, sums + 4);
    hn::StoreU(g2, d, sums + 8);
    hn::StoreU(g3, d, sums + 12);
  } else if constexpr (hn::MaxLanes(D()) == 8) {
    hn::StoreU(fold(g0, g1), d, sums);
    hn::StoreU(fold(g2, g3), d, sums + 8);
  } else {
    const V even = fold(g0, g2);
    const V odd = fold(g1, g3);
    const V swapped = hn::SwapAdjacentBlocks(hn::OddEvenBlocks(even, odd));
    hn::StoreU(hn::Add(hn::OddEvenBlocks(odd, even), swapped), d, sums);
  }
#endif
}

// scores[i][t] = q_i · k_t for the tokens of the page; those from `tokens` on mean nothing.
template <int kQueries, class D, class T>
HWY_INLINE void PageScores(D d, const float* HWY_RESTRICT q, const T* HWY_RESTRICT k, int head_dim,
                           int tokens, float (*scores)[kPageTokens]) {
  using V = hn::Vec<D>;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  constexpr int kGroup = 4;  // tokens whose sums are in registers at once
  V groups[kQueries][kPageTokens / kGroup];
  Unroll<kPageTokens / kGroup>([&](auto g) CHORUS_INLINE_LAMBDA {
    V sums[kQueries][kGroup];
    Unroll<kQueries>([&](auto i) CHORUS_INLINE_LAMBDA {
      Unroll<kGroup>([&](auto j) CHORUS_INLINE_LAMBDA { sums[i][j] = hn::Zero(d); });
    });
    const T* const key = k + g * kGroup * head_dim;
    const int end = g * kGroup < tokens ? head_dim : 0;
    for (int c = 0; c < end; c += kLanes) {
      V keys[kGroup];
      Unroll<kGroup>([&](auto j)
                         CHORUS_INLINE_LAMBDA { keys[j] = LoadF32(d, key + j * head_dim + c); });
      Unroll<kQueries>([&](auto i) CHORUS_INLINE_LAMBDA {
        const V query = hn::LoadU(d, q + i * head_dim + c);
        Unroll<kGroup>([&](auto j) CHORUS_INLINE_LAMBDA {
          sums[i][j] = hn::MulAdd(query, keys[j], sums[i][j]);
        });
      });
    }
    Unroll<kQueries>([&](auto i) CHORUS_INLINE_LAMBDA {
      if constexpr (kLanes == 1) {
        for (int j = 0; j < kGroup; ++j) hn::StoreU(sums[i][j], d, scores[i] + g * kGroup + j);
      }
      groups[i][g] = AddWithinBlocks(d, sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
    });
  });
  Unroll<kQueries>([&](auto i) CHORUS_INLINE_LAMBDA {
    StoreTokenSums(d, groups[i][0], groups[i][1], groups[i][2], groups[i][3], scores[i]);
  });
}

// Turns scores into weights exp(score − max) and updates the queries' states. shrink[i] becomes the
// factor by which what query i summed before shrinks. Tokens from `tokens` on get weight 0. Steps
// are taken for all queries together, so that their latencies overlap.
template <int kQueries, class D>
HWY_INLINE void PageWeights(D d, int tokens, float (*HWY_RESTRICT scores)[kPageTokens],
                            QueryState* HWY_RESTRICT states, float* HWY_RESTRICT shrink) {
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  HWY_ALIGN float change[kPageTokens] = {};
  Unroll<kQueries>([&](auto i) CHORUS_INLINE_LAMBDA {
    for (int t = tokens; t < kPageTokens; ++t) scores[i][t] = kLowest;
    auto largest = hn::LoadU(d, scores[i]);
    for (int t = kLanes; t < kPageTokens; t += kLanes) {
      largest = hn::Max(largest, hn::LoadU(d, scores[i] + t));
    }
    const float page_max = hn::GetLane(hn::MaxOfLanes(d, largest));
    const float max = page_max > states[i].max ? page_max : states[i].max;
    change[i] = states[i].max - max;  // 0 where the maximum stays, and exp(0) is exactly 1
    states[i].max = max;
  });
  for (int i = 0; i < kQueries; i += kLanes) {
    hn::StoreU(ExpF32(d, hn::LoadU(d, change + i)), d, shrink + i);
  }
  Unroll<kQueries>([&](auto i) CHORUS_INLINE_LAMBDA {
    const auto max = hn::Set(d, states[i].max);
    auto sum = hn::Zero(d);
    for (int t = 0; t < kPageTokens; t += kLanes) {
      const auto weight = ExpF32(d, hn::Sub(hn::LoadU(d, scores[i] + t), max));
      hn::StoreU(weight, d, scores[i] + t);
      sum = hn::Add(sum, weight);
    }
    states[i].sum = states[i].sum * shrink[i] + hn::GetLane(hn::SumOfLanes(d, sum));
  });
}

// acc_i = acc_i · shrink_i + Σ_t weights[i][t] · v_t over kChunks vectors of the head.
template <int kQueries, int kChunks, class D, class T>
HWY_INLINE void AddValues(D d, const float (*weights)[kPageTokens], const float* shrink,
                          const T* HWY_RESTRICT v, int head_dim, int tokens,
                          float* HWY_RESTRICT acc) {
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  hn::Vec<D> sums[kQueries][kChunks];
  Unroll<kQueries>([&](auto i) CHORUS_INLINE_LAMBDA {
    const auto factor = hn::Set(d, shrink[i]);
    Unroll<kChunks>([&](auto c) CHORUS_INLINE_LAMBDA {
      sums[i][c] = hn::Mul(hn::LoadU(d, acc + i * head_dim + c * kLanes), factor);
    });
  });
  for (int t = 0; t < tokens; ++t) {
    hn::Vec<D> values[kChunks];
    Unroll<kChunks>([&](auto c) CHORUS_INLINE_LAMBDA {
      values[c] = LoadF32(d, v + t * head_dim + c * kLanes);
    });
    Unroll<kQueries>([&](auto i) CHORUS_INLINE_LAMBDA {
      const auto weight = hn::Set(d, weights[i][t]);
      Unroll<kChunks>([&](auto c) CHORUS_INLINE_LAMBDA {
        sums[i][c] = hn::MulAdd(weight, values[c], sums[i][c]);
      });
    });
  }
  Unroll<kQueries>([&](auto i) CHORUS_INLINE_LAMBDA {
    Unroll<kChunks>([&](auto c) CHORUS_INLINE_LAMBDA {
      hn::StoreU(sums[i][c], d, acc + i * head_dim + c * kLanes);
    });
  });
}

// kQueries queries against the first `tokens` >= 1 tokens of a page. q and acc are
// [kQueries, head_dim], q scaled; k and v [kPageTokens, head_dim], of one KV head.
// REQUIRES: head_dim is a multiple of Lanes(d).
template <int kQueries, class D, class T>
void AttendPage(D d, const float* HWY_RESTRICT q, const T* HWY_RESTRICT k, const T* HWY_RESTRICT v,
                int head_dim, int tokens, QueryState* states, float* HWY_RESTRICT acc) {
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  HWY_ALIGN float scores[kQueries][kPageTokens];
  HWY_ALIGN float shrink[kPageTokens];
  PageScores<kQueries>(d, q, k, head_dim, tokens, scores);
  PageWeights<kQueries>(d, tokens, scores, states, shrink);
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
