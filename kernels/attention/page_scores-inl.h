// Scores of a few queries with the keys of one page.
#if defined(CHORUS_KERNELS_ATTENTION_PAGE_SCORES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHORUS_KERNELS_ATTENTION_PAGE_SCORES_INL_H_
#undef CHORUS_KERNELS_ATTENTION_PAGE_SCORES_INL_H_
#else
#define CHORUS_KERNELS_ATTENTION_PAGE_SCORES_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/device/pool_view.h"
#include "kernels/simd/float_io-inl.h"

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {

// Several pages, so that what is done once a block (maximum, sum, scaling of what was added before)
// costs little.
constexpr int kBlockPages = 4;
constexpr int kBlockTokens = kBlockPages * kPageTokens;

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

// scores[i][t] = q_i · k_t for the tokens of a page; those from `tokens` on mean nothing. q is
// [kQueries, head_dim], k [kPageTokens, head_dim]. REQUIRES: head_dim is a multiple of Lanes(d).
template <int kQueries, class D, class T>
HWY_INLINE void PageScores(D d, const float* HWY_RESTRICT q, const T* HWY_RESTRICT k, int head_dim,
                           int tokens, float (*scores)[kBlockTokens], int first_token) {
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
        for (int j = 0; j < kGroup; ++j) {
          hn::StoreU(sums[i][j], d, scores[i] + first_token + g * kGroup + j);
        }
      }
      groups[i][g] = AddWithinBlocks(d, sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
    });
  });
  Unroll<kQueries>([&](auto i) CHORUS_INLINE_LAMBDA {
    StoreTokenSums(d, groups[i][0], groups[i][1], groups[i][2], groups[i][3],
                   scores[i] + first_token);
  });
}

}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // CHORUS_KERNELS_ATTENTION_PAGE_SCORES_INL_H_
