#include "kernels/attention/paged_attention_cpu.h"

#include <algorithm>
#include <cmath>

#include "kernels/checked.h"
#include "kernels/device/arg_check.h"
#include "kernels/device/work_split.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/paged_attention_cpu.cc"
#include "hwy/foreach_target.h"
// foreach_target.h first
#include "hwy/highway.h"
#include "kernels/attention/page_kernel-inl.h"
#include "kernels/simd/float_io-inl.h"

#ifndef CHORUS_KERNELS_ATTENTION_PIECE_
#define CHORUS_KERNELS_ATTENTION_PIECE_
namespace chorus::kernels {
namespace {

// Queries that pass over the pages together.
constexpr int kMaxQueries = 48;

// Some rows of one sequence, and a range of KV heads.
struct AttentionPiece {
  std::span<const int32_t> rows;
  std::span<const int32_t> pages;
  int32_t head_begin = 0;
  int32_t head_end = 0;
};

}  // namespace
}  // namespace chorus::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace chorus::kernels::HWY_NAMESPACE {
namespace {

constexpr int kMaxGroup = 4;  // queries in one call of AttendPage

// The queries of some rows that share a KV head, row by row, and their running sums.
struct Queries {
  int count = 0;
  int32_t row[kMaxQueries];
  int32_t head[kMaxQueries];
  int32_t position[kMaxQueries];
  QueryState states[kMaxQueries];
  HWY_ALIGN float q[kMaxQueries * kMaxHeadDim];
  HWY_ALIGN float acc[kMaxQueries * kMaxHeadDim];
};

// Tokens of page `page` that a row at `position` sees.
HWY_INLINE int VisibleTokens(int32_t position, int64_t page) {
  return static_cast<int>(
      std::clamp<int64_t>(int64_t{position} + 1 - page * kPageTokens, 0, kPageTokens));
}

template <class D, class T>
void AttendGroup(D d, Queries& queries, int first, int count, const T* k, const T* v, int head_dim,
                 int tokens) {
  const float* const q = queries.q + first * head_dim;
  float* const acc = queries.acc + first * head_dim;
  QueryState* const states = queries.states + first;
  if (count == 1) AttendPage<1>(d, q, k, v, head_dim, tokens, states, acc);
  if (count == 2) AttendPage<2>(d, q, k, v, head_dim, tokens, states, acc);
  if (count == 3) AttendPage<3>(d, q, k, v, head_dim, tokens, states, acc);
  if (count == 4) AttendPage<4>(d, q, k, v, head_dim, tokens, states, acc);
}

// Every query against one page. Queries that see equally much of it go four at a time; each goes
// alone where the page holds the position of one of them. Either way a query's sums are the same.
template <class D, class T>
void AttendAll(D d, Queries& queries, int group, const T* k, const T* v, int head_dim,
               int64_t page) {
  for (int first = 0; first < queries.count; first += group) {
    const int count = std::min(group, queries.count - first);
    const int fewest = VisibleTokens(queries.position[first], page);
    const int most = VisibleTokens(queries.position[first + count - 1], page);
    if (fewest == most) {
      if (most > 0) AttendGroup(d, queries, first, count, k, v, head_dim, most);
      continue;
    }
    for (int i = first; i < first + count; ++i) {
      const int tokens = VisibleTokens(queries.position[i], page);
      if (tokens > 0) AttendGroup(d, queries, i, 1, k, v, head_dim, tokens);
    }
  }
}

// Asks for the K and V of a page ahead of time: pages lie anywhere, so the processor cannot guess.
template <class T>
HWY_INLINE void FetchPage(const T* k, const T* v, int head_dim) {
  const auto bytes = static_cast<size_t>(kPageTokens * head_dim) * sizeof(T);
  for (size_t i = 0; i < bytes; i += 64) {
    __builtin_prefetch(reinterpret_cast<const std::byte*>(k) + i);
    __builtin_prefetch(reinterpret_cast<const std::byte*>(v) + i);
  }
}

template <class D>
void WidenPage(D d, const Bf16* HWY_RESTRICT from, int64_t elements, float* HWY_RESTRICT to) {
  for (int64_t i = 0; i < elements; i += static_cast<int64_t>(hn::Lanes(d))) {
    hn::StoreU(LoadF32(d, from + i), d, to + i);
  }
}

// Walks the pages in order of position.
template <class D, class T>
void AttendPages(D d, const PagedAttentionArgs& args, const AttentionPiece& piece, int32_t kv_head,
                 Queries& queries) {
  const PoolView& pool = args.pool;
  const int head_dim = pool.head_dim;
  const int group_heads = args.heads / pool.kv_heads;
  // Whole rows where a row has few heads, so that most groups see equally much of the last page.
  const int group = group_heads > kMaxGroup ? kMaxGroup : kMaxGroup / group_heads * group_heads;
  const int64_t pages = queries.position[queries.count - 1] / kPageTokens + 1;
  HWY_ALIGN float wide[2][kPageTokens * kMaxHeadDim];
  const auto keys_of = [&](int64_t page) {
    const int64_t cell = pool.CellOf(args.slab, piece.pages[static_cast<size_t>(page)]);
    return reinterpret_cast<const T*>(pool.CellAddress(cell)) + pool.k_offset(kv_head);
  };
  for (int64_t page = 0; page < pages; ++page) {
    const T* const k = keys_of(page);
    const T* const v = k + pool.v_offset();
    if (page + 1 < pages) {
      const T* const next = keys_of(page + 1);
      FetchPage(next, next + pool.v_offset(), head_dim);
    }
    if constexpr (sizeof(T) == sizeof(Bf16)) {
      if (queries.count > 2 * group && VisibleTokens(queries.position[0], page) == kPageTokens) {
        // Many queries, and all tokens are there: widen once instead of once per group.
        WidenPage(d, k, int64_t{kPageTokens} * head_dim, wide[0]);
        WidenPage(d, v, int64_t{kPageTokens} * head_dim, wide[1]);
        AttendAll<D, float>(d, queries, group, wide[0], wide[1], head_dim, page);
        continue;
      }
    }
    AttendAll(d, queries, group, k, v, head_dim, page);
  }
}

template <class D>
void LoadQueries(D d, const PagedAttentionArgs& args, Queries& queries) {
  const int head_dim = args.pool.head_dim;
  const auto scale = hn::Set(d, args.scale);
  for (int i = 0; i < queries.count; ++i) {
    const float* const from = args.q.Row<float>(queries.row[i]) + queries.head[i] * head_dim;
    for (int c = 0; c < head_dim; c += static_cast<int>(hn::Lanes(d))) {
      hn::StoreU(hn::Mul(hn::LoadU(d, from + c), scale), d, queries.q + i * head_dim + c);
      hn::StoreU(hn::Zero(d), d, queries.acc + i * head_dim + c);
    }
    queries.states[i] = QueryState();
  }
}

template <class T, class D>
void StoreResults(D d, const PagedAttentionArgs& args, const Queries& queries) {
  const int head_dim = args.pool.head_dim;
  for (int i = 0; i < queries.count; ++i) {
    T* const to = args.y.Row<T>(queries.row[i]) + queries.head[i] * head_dim;
    const auto inverse = hn::Set(d, 1.0f / queries.states[i].sum);
    for (int c = 0; c < head_dim; c += static_cast<int>(hn::Lanes(d))) {
      StoreF32(hn::Mul(hn::LoadU(d, queries.acc + i * head_dim + c), inverse), d, to + c);
    }
  }
}

template <class D>
void AttendPieceWith(D d, const PagedAttentionArgs& args, const AttentionPiece& piece) {
  const int group_heads = args.heads / args.pool.kv_heads;
  const int64_t total = static_cast<int64_t>(piece.rows.size()) * group_heads;
  Queries queries;
  for (int32_t kv_head = piece.head_begin; kv_head < piece.head_end; ++kv_head) {
    for (int64_t first = 0; first < total; first += kMaxQueries) {
      queries.count = static_cast<int>(std::min<int64_t>(kMaxQueries, total - first));
      for (int i = 0; i < queries.count; ++i) {
        const int32_t row = piece.rows[static_cast<size_t>((first + i) / group_heads)];
        queries.row[i] = row;
        queries.head[i] = kv_head * group_heads + static_cast<int32_t>((first + i) % group_heads);
        queries.position[i] = args.positions[static_cast<size_t>(row)];
      }
      LoadQueries(d, args, queries);
      if (args.pool.dtype == DType::kBf16) {
        AttendPages<D, Bf16>(d, args, piece, kv_head, queries);
      } else {
        AttendPages<D, float>(d, args, piece, kv_head, queries);
      }
      if (args.y.dtype == DType::kBf16) {
        StoreResults<Bf16>(d, args, queries);
      } else {
        StoreResults<float>(d, args, queries);
      }
    }
  }
}

void AttendPiece(const PagedAttentionArgs& args, const AttentionPiece& piece) {
  const F32Tag wide;
  if (static_cast<size_t>(args.pool.head_dim) % hn::Lanes(wide) == 0) {
    AttendPieceWith(wide, args, piece);
  } else {
    AttendPieceWith(hn::CappedTag<float, 8>(), args, piece);
  }
}

}  // namespace
}  // namespace chorus::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chorus::kernels {
namespace {

// A page costs its bytes and some work for each query.
int64_t HeadCost(const PagedAttentionArgs& args, const AttentionPiece& piece) {
  const int32_t last = args.positions[static_cast<size_t>(piece.rows.back())];
  const int64_t queries =
      static_cast<int64_t>(piece.rows.size()) * (args.heads / args.pool.kv_heads);
  return (last / kPageTokens + 1) * (2 + queries);
}

// Calls visit(piece) for each chunk of rows of each sequence, with all its KV heads.
template <class Visit>
void ForEachPiece(const PagedAttentionArgs& args, const Visit& visit) {
  const int32_t group_heads = args.heads / args.pool.kv_heads;
  const int32_t chunk = std::max(1, kMaxQueries / group_heads);
  for (size_t s = 0; s + 1 < args.row_begin.size(); ++s) {
    AttentionPiece piece;
    piece.pages =
        args.page_ids.subspan(static_cast<size_t>(args.page_begin[s]),
                              static_cast<size_t>(args.page_begin[s + 1] - args.page_begin[s]));
    piece.head_end = args.pool.kv_heads;
    for (int32_t row = args.row_begin[s]; row < args.row_begin[s + 1]; row += chunk) {
      piece.rows =
          args.rows.subspan(static_cast<size_t>(row),
                            static_cast<size_t>(std::min(chunk, args.row_begin[s + 1] - row)));
      visit(piece);
    }
  }
}

HWY_EXPORT(AttendPiece);

}  // namespace

void PagedAttentionCpu(const PagedAttentionArgs& args, ComputePool& pool) {
  const auto attend = HWY_DYNAMIC_DISPATCH(AttendPiece);
  int64_t total = 0;
  ForEachPiece(args, [&](const AttentionPiece& piece) {
    total += args.pool.kv_heads * HeadCost(args, piece);
  });
  pool.Run([&](int worker) {
    WorkShare share(total, worker, pool.num_workers());
    ForEachPiece(args, [&](AttentionPiece piece) {
      const auto range = share.Take(args.pool.kv_heads, HeadCost(args, piece));
      piece.head_begin = static_cast<int32_t>(range.begin);
      piece.head_end = static_cast<int32_t>(range.end);
      if (range.begin < range.end) attend(args, piece);
    });
  });
}

}  // namespace chorus::kernels
#endif
