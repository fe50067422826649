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
#include "kernels/attention/block_softmax-inl.h"
#include "kernels/attention/page_scores-inl.h"
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

// The queries of some rows at some KV heads, head by head, row by row, and their running sums.
struct Queries {
  int count = 0;
  int32_t kv_begin = 0;  // heads [kv_begin, kv_end), `per_head` queries each
  int32_t kv_end = 0;
  int per_head = 0;
  int group = 0;          // queries of a head that go together
  int64_t num_pages = 0;  // up to the last query's position
  int32_t row[kMaxQueries];
  int32_t head[kMaxQueries];
  int32_t position[kMaxQueries];
  QueryState states[kMaxQueries];
  HWY_ALIGN float q[kMaxQueries * kMaxHeadDim];
  HWY_ALIGN float acc[kMaxQueries * kMaxHeadDim];
  // Of the block at hand.
  int tokens[kMaxQueries];  // that the query sees
  HWY_ALIGN float scores[kMaxQueries][kBlockTokens];
  HWY_ALIGN float shrink[kMaxQueries];
};

// Calls run(std::integral_constant<int, count>()) for 1 <= count <= kMaxGroup.
template <class Run>
HWY_INLINE void WithCount(int count, const Run& run) {
  if (count == 1) run(std::integral_constant<int, 1>());
  if (count == 2) run(std::integral_constant<int, 2>());
  if (count == 3) run(std::integral_constant<int, 3>());
  if (count == 4) run(std::integral_constant<int, 4>());
}

// Scores of one head's queries from `begin` to `end` with one page of the block, group by group. A
// group goes as far as its last query sees, which is more than the others may use.
template <class D, class T>
void ScorePage(D d, Queries& queries, int begin, int end, const T* k, int page, int head_dim) {
  for (int first = begin; first < end; first += queries.group) {
    const int count = std::min(queries.group, end - first);
    const int tokens = queries.tokens[first + count - 1] - page * kPageTokens;
    if (tokens <= 0) continue;
    WithCount(count, [&](auto n) {
      PageScores<decltype(n)::value>(d, queries.q + first * head_dim, k, head_dim, tokens,
                                     queries.scores + first, page * kPageTokens);
    });
  }
}

// Adds one head's values of a block to its queries from `begin` to `end`. Queries that see equally
// much of it go together, others alone: a value that a query does not see must not reach its sums,
// not even with weight 0. Either way a query's sums are the same.
template <class D, class T>
void AddHead(D d, Queries& queries, int begin, int end, const T* const* v, int head_dim) {
  const auto add = [&](int first, int count) {
    WithCount(count, [&](auto n) {
      AddValues<decltype(n)::value>(d, queries.scores + first, queries.shrink + first, v, head_dim,
                                    queries.tokens[first], queries.acc + first * head_dim);
    });
  };
  for (int first = begin; first < end; first += queries.group) {
    const int count = std::min(queries.group, end - first);
    if (queries.tokens[first] == queries.tokens[first + count - 1]) {
      if (queries.tokens[first] > 0) add(first, count);
      continue;
    }
    for (int i = first; i < first + count; ++i) {
      if (queries.tokens[i] > 0) add(i, 1);
    }
  }
}

// Asks for one head's K or V of a page ahead of time: pages lie anywhere, so the processor cannot
// guess.
template <class T>
HWY_INLINE void FetchHead(const T* head, int head_dim) {
  const auto bytes = static_cast<size_t>(kPageTokens * head_dim) * sizeof(T);
  for (size_t i = 0; i < bytes; i += 64) {
    __builtin_prefetch(reinterpret_cast<const std::byte*>(head) + i);
  }
}

template <class D>
void WidenPage(D d, const Bf16* HWY_RESTRICT from, int64_t elements, float* HWY_RESTRICT to) {
  for (int64_t i = 0; i < elements; i += static_cast<int64_t>(hn::Lanes(d))) {
    hn::StoreU(LoadF32(d, from + i), d, to + i);
  }
}

// Whether K and V of bf16 are widened once instead of once per group.
template <class T>
bool Widens(const Queries& queries) {
  return sizeof(T) == sizeof(Bf16) && queries.per_head > 2 * queries.group;
}

// All queries' scores with a block: page by page and in each head by head, so that a row of a
// sequence reads a page in the order in which it lies. pages[count] is what comes next.
template <class D, class T>
void ScoreBlock(D d, const PoolView& pool, const T* const* pages, int count, Queries& queries) {
  const int64_t elements = int64_t{kPageTokens} * pool.head_dim;
  HWY_ALIGN float wide[kPageTokens * kMaxHeadDim];
  for (int p = 0; p < count; ++p) {
    for (int32_t head = queries.kv_begin; head < queries.kv_end; ++head) {
      const int begin = (head - queries.kv_begin) * queries.per_head;
      const int end = begin + queries.per_head;
      const T* const k = pages[p] + pool.k_offset(head);
      FetchHead(k + pool.v_offset(), pool.head_dim);
      FetchHead(pages[p + 1] + pool.k_offset(head), pool.head_dim);
      if constexpr (sizeof(T) == sizeof(Bf16)) {
        if (Widens<T>(queries)) {
          WidenPage(d, k, elements, wide);
          ScorePage<D, float>(d, queries, begin, end, wide, p, pool.head_dim);
          continue;
        }
      }
      ScorePage(d, queries, begin, end, k, p, pool.head_dim);
    }
  }
}

// Adds a block's values to all queries, head by head.
template <class D, class T>
void AddBlock(D d, const PoolView& pool, const T* const* pages, int count, Queries& queries) {
  const int64_t elements = int64_t{kPageTokens} * pool.head_dim;
  HWY_ALIGN float wide[kBlockTokens * kMaxHeadDim];
  for (int32_t head = queries.kv_begin; head < queries.kv_end; ++head) {
    const int begin = (head - queries.kv_begin) * queries.per_head;
    const int end = begin + queries.per_head;
    const T* v[kBlockPages];
    const float* wide_v[kBlockPages];
    for (int p = 0; p < count; ++p) {
      v[p] = pages[p] + pool.k_offset(head) + pool.v_offset();
      wide_v[p] = wide + p * elements;
    }
    if constexpr (sizeof(T) == sizeof(Bf16)) {
      if (Widens<T>(queries)) {
        for (int p = 0; p < count; ++p) WidenPage(d, v[p], elements, wide + p * elements);
        AddHead<D, float>(d, queries, begin, end, wide_v, pool.head_dim);
        continue;
      }
    }
    AddHead<D, T>(d, queries, begin, end, v, pool.head_dim);
  }
}

// Pages [first_page, first_page + count) against all queries.
template <class D, class T>
void AttendBlock(D d, const PagedAttentionArgs& args, const AttentionPiece& piece,
                 int64_t first_page, int count, Queries& queries) {
  const T* pages[kBlockPages + 1];
  for (int p = 0; p <= count; ++p) {
    const int64_t page = std::min<int64_t>(first_page + p, queries.num_pages - 1);
    const int64_t cell = args.pool.CellOf(args.slab, piece.pages[static_cast<size_t>(page)]);
    pages[p] = reinterpret_cast<const T*>(args.pool.CellAddress(cell));
  }
  for (int i = 0; i < queries.count; ++i) {
    queries.tokens[i] = static_cast<int>(std::clamp<int64_t>(
        queries.position[i] + 1 - first_page * kPageTokens, 0, count * kPageTokens));
  }
  ScoreBlock<D, T>(d, args.pool, pages, count, queries);
  for (int i = 0; i < queries.count; i += kPageTokens) {
    BlockWeights(d, std::min(kPageTokens, queries.count - i), queries.tokens + i,
                 queries.scores + i, queries.states + i, queries.shrink + i);
  }
  AddBlock<D, T>(d, args.pool, pages, count, queries);
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

// Queries `first` to `first` + per_head of each head from kv_begin to kv_end.
void ChooseQueries(const PagedAttentionArgs& args, const AttentionPiece& piece, int first,
                   Queries& queries) {
  const int group_heads = args.heads / args.pool.kv_heads;
  // Whole rows where a row has few heads, so that most groups see equally much of the last block.
  queries.group = group_heads > kMaxGroup ? kMaxGroup : kMaxGroup / group_heads * group_heads;
  queries.count = 0;
  for (int32_t kv_head = queries.kv_begin; kv_head < queries.kv_end; ++kv_head) {
    for (int i = first; i < first + queries.per_head; ++i) {
      const int32_t row = piece.rows[static_cast<size_t>(i / group_heads)];
      queries.row[queries.count] = row;
      queries.head[queries.count] = kv_head * group_heads + i % group_heads;
      queries.position[queries.count++] = args.positions[static_cast<size_t>(row)];
    }
  }
  queries.num_pages = queries.position[queries.count - 1] / kPageTokens + 1;
}

// Walks the blocks in order of position.
template <class D>
void AttendQueries(D d, const PagedAttentionArgs& args, const AttentionPiece& piece,
                   Queries& queries) {
  LoadQueries(d, args, queries);
  for (int64_t page = 0; page < queries.num_pages; page += kBlockPages) {
    const int count = static_cast<int>(std::min<int64_t>(kBlockPages, queries.num_pages - page));
    if (args.pool.dtype == DType::kBf16) {
      AttendBlock<D, Bf16>(d, args, piece, page, count, queries);
    } else {
      AttendBlock<D, float>(d, args, piece, page, count, queries);
    }
  }
  if (args.y.dtype == DType::kBf16) {
    StoreResults<Bf16>(d, args, queries);
  } else {
    StoreResults<float>(d, args, queries);
  }
}

// As many heads at once as there is room for their queries; a head with too many goes in parts.
template <class D>
void AttendPieceWith(D d, const PagedAttentionArgs& args, const AttentionPiece& piece) {
  const int total = static_cast<int>(piece.rows.size()) * (args.heads / args.pool.kv_heads);
  const int heads = std::max(1, kMaxQueries / total);
  Queries queries;
  for (int32_t kv_head = piece.head_begin; kv_head < piece.head_end; kv_head += heads) {
    queries.kv_begin = kv_head;
    queries.kv_end = std::min(kv_head + heads, piece.head_end);
    for (int first = 0; first < total; first += kMaxQueries) {
      queries.per_head = std::min(kMaxQueries, total - first);
      ChooseQueries(args, piece, first, queries);
      AttendQueries(d, args, piece, queries);
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
