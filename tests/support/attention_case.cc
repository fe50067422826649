#include "tests/support/attention_case.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "kernels/checked.h"
#include "tests/support/counter_hash.h"
#include "tests/support/reference/attention.h"
#include "tests/support/tolerance.h"

namespace chorus::test {
namespace {

using kernels::CeilDiv;
using kernels::kPageTokens;

constexpr int32_t kSlabs = 2;
constexpr int32_t kSlab = 1;
constexpr int64_t kSparePages = 3;
constexpr float kMaxQuery = 2.0f;
constexpr float kMaxValue = 2.0f;
// The score of a key that points at a query: e^14 of them against e^11 of 32k tokens of noise.
constexpr double kNeedleScore = 14.0;
constexpr int32_t kNeedles = 16;

// The first of visit(0) … visit(count − 1) that says something. All processors work: the oracle is
// slow, and a machine with a GPU is dear.
template <class Visit>
std::string FirstOf(size_t count, const Visit& visit) {
  std::vector<std::string> results(count);
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  const size_t workers = std::min<size_t>(count, std::max(1u, std::thread::hardware_concurrency()));
  for (size_t w = 0; w < workers; ++w) {
    threads.emplace_back([&] {
      for (size_t i = next++; i < count; i = next++) results[i] = visit(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::string& result : results) {
    if (!result.empty()) return std::move(result);
  }
  return "";
}

// Softmax and its product with V in `dtype` with f32 sums. Beyond what AttentionTolerance allows
// for f32: tensor cores drop bits where f32 rounds (factor 2 on scores and sums), the weights are
// rounded to `dtype`, above and below the fraction bar, and so is a partial result.
double HalfAttentionTolerance(kernels::DType dtype, int64_t head_dim, int64_t tokens,
                              double score_magnitude, double max_value) {
  return 2.0 * AttentionTolerance(head_dim, tokens, score_magnitude, max_value) +
         (3.0 * Unit(dtype) + static_cast<double>(tokens) * SubnormalUnit(dtype)) * max_value;
}

}  // namespace

kernels::AttentionPlanner AttentionCase::MakePlanner(const kernels::AttentionLimits& limits) {
  const auto planner = kernels::AttentionPlanner::Create(limits);
  if (!planner.ok())
    kernels::CheckFailed(__FILE__, __LINE__, std::string(planner.status().message()));
  return *planner;
}

int64_t AttentionCase::NumPages(const std::vector<AttentionSequence>& sequences) const {
  int64_t pages = 0;
  for (const AttentionSequence& s : sequences) pages += CeilDiv(s.tokens, kPageTokens);
  return pages;
}

AttentionCase::AttentionCase(kernels::DType dtype, const kernels::AttentionLimits& limits,
                             const std::vector<AttentionSequence>& sequences, uint64_t seed,
                             int32_t min_chunk_tokens)
    : dtype_(dtype),
      planner_(MakePlanner(limits)),
      sequences_(sequences),
      heads_(limits.heads),
      group_(limits.heads / limits.kv_heads),
      head_dim_(limits.head_dim),
      q_stride_(int64_t{limits.heads + 2 * limits.kv_heads} * limits.head_dim),
      scale_(1.0f / std::sqrt(static_cast<float>(limits.head_dim))),
      pool_(dtype, limits.kv_heads, limits.head_dim, NumPages(sequences) + kSparePages, kSlabs) {
  std::vector<int32_t> ids(static_cast<size_t>(pool_.view().num_ids));
  std::iota(ids.begin(), ids.end(), 0);
  std::sort(ids.begin(), ids.end(), [seed](int32_t a, int32_t b) {
    return CounterHash(seed, static_cast<uint64_t>(a)) <
           CounterHash(seed, static_cast<uint64_t>(b));
  });
  ids.resize(ids.size() - kSparePages);
  page_ids_ = std::move(ids);
  for (const AttentionSequence& s : sequences) {
    row_begin_.push_back(row_begin_.back() + s.rows);
    page_begin_.push_back(page_begin_.back() + CeilDiv(s.tokens, kPageTokens));
    tokens_.push_back(s.tokens);
  }
  const kernels::AttentionLayout& layout = planner_.layout();
  const auto poisoned = [](int64_t bytes) {
    return std::vector<std::byte>(static_cast<size_t>(bytes), std::byte{0xff});
  };
  q_ = poisoned(limits.max_rows * q_stride_ * 2);
  y_ = poisoned(int64_t{limits.max_rows} * heads_ * head_dim_ * 2);
  plan_ = poisoned(layout.bytes);
  workspace_ = poisoned(layout.workspace_bytes());
  const auto step = planner_.Plan({.row_begin = row_begin_,
                                   .page_begin = page_begin_,
                                   .tokens = tokens_,
                                   .min_chunk_tokens = min_chunk_tokens},
                                  plan_.data());
  if (!step.ok()) kernels::CheckFailed(__FILE__, __LINE__, std::string(step.status().message()));
  step_ = *step;
  WriteQueries(seed);
  for (size_t s = 0; s < sequences_.size(); ++s) {
    WriteTokens(s, seed);
    WriteNeedles(s, seed);
  }
}

kernels::DeviceAttentionArgs AttentionCase::Args() {
  return {.layout = &planner_.layout(),
          .plan = plan_.data(),
          .split = step_.split,
          .page_ids = page_ids_.data(),
          .q = q_.data(),
          .q_stride = q_stride_,
          .scale = scale_,
          .pool = pool_.view(),
          .slab = kSlab,
          .workspace = workspace_.data(),
          .y = y_.data()};
}

void AttentionCase::WriteQueries(uint64_t seed) {
  for (int64_t row = 0; row < num_rows(); ++row) {
    for (int64_t c = 0; c < int64_t{heads_} * head_dim_; ++c) {
      const auto index = static_cast<uint64_t>(row * heads_ * head_dim_ + c);
      StoreElement(dtype_, q_.data(), row * q_stride_ + c,
                   kMaxQuery * CounterValue(seed + 1, index));
    }
  }
}

void AttentionCase::WriteTokens(size_t sequence, uint64_t seed) {
  const kernels::PoolView& pool = pool_.view();
  const uint64_t key_seed = seed + 10 + 2 * sequence;
  for (int64_t t = 0; t < sequences_[sequence].tokens; ++t) {
    const auto page = static_cast<size_t>(page_begin_[sequence] + t / kPageTokens);
    const int64_t cell = pool.CellOf(kSlab, page_ids_[page]);
    for (int32_t head = 0; head < pool.kv_heads; ++head) {
      const int64_t at = pool.k_offset(head) + t % kPageTokens * head_dim_;
      for (int64_t d = 0; d < head_dim_; ++d) {
        const auto element = static_cast<uint64_t>((t * pool.kv_heads + head) * head_dim_ + d);
        pool_.Set(cell, at + d, kMaxQuery * CounterValue(key_seed, element));
        pool_.Set(cell, pool.v_offset() + at + d, kMaxValue * CounterValue(key_seed + 1, element));
      }
    }
  }
}

// One in each page, or in as many as leave kNeedles for each head of a row.
void AttentionCase::WriteNeedles(size_t sequence, uint64_t seed) {
  const AttentionSequence& shape = sequences_[sequence];
  if (shape.rows == 0) return;
  const uint64_t needle_seed = seed + 500 + sequence;
  const kernels::PoolView& pool = pool_.view();
  const int32_t pages = CeilDiv(shape.tokens, kPageTokens);
  const int64_t sparse = CeilDiv<int64_t>(pages, int64_t{kNeedles} * heads_);
  for (int64_t page = 0; page < pages; ++page) {
    uint64_t picks = 0;
    const auto pick = [&](int64_t count) {
      const uint64_t hash = CounterHash(needle_seed, static_cast<uint64_t>(page) * 8 + picks++);
      return static_cast<int64_t>(hash % static_cast<uint64_t>(count));
    };
    if (pick(sparse) != 0) continue;
    const int64_t first = page * kPageTokens;
    const int64_t token = pick(std::min<int64_t>(kPageTokens, shape.tokens - first));
    const int64_t blind = std::max<int64_t>(0, first + token - (shape.tokens - shape.rows));
    const int64_t row = blind + pick(shape.rows - blind);
    const int64_t head = pick(heads_);
    const int64_t q = (row_begin_[sequence] + row) * q_stride_ + head * head_dim_;
    double norm = 0.0;
    for (int64_t d = 0; d < head_dim_; ++d) {
      norm += std::pow(LoadElement(dtype_, q_.data(), q + d), 2);
    }
    const int32_t id = page_ids_[static_cast<size_t>(page_begin_[sequence] + page)];
    const int64_t at = pool.k_offset(static_cast<int32_t>(head / group_)) + token * head_dim_;
    for (int64_t d = 0; d < head_dim_; ++d) {
      const double key = kNeedleScore / (norm * scale_) * LoadElement(dtype_, q_.data(), q + d);
      pool_.Set(pool.CellOf(kSlab, id), at + d, static_cast<float>(key));
    }
  }
}

double AttentionCase::Token(size_t sequence, int32_t kv_head, int64_t token, int which,
                            int64_t d) const {
  const kernels::PoolView& pool = pool_.view();
  const auto page = static_cast<size_t>(page_begin_[sequence] + token / kPageTokens);
  return pool_.Get(
      pool.CellOf(kSlab, page_ids_[page]),
      which * pool.v_offset() + pool.k_offset(kv_head) + token % kPageTokens * head_dim_ + d);
}

std::string AttentionCase::Difference(int32_t max_rows) const {
  std::vector<std::pair<size_t, int32_t>> rows;  // of each sequence
  for (size_t s = 0; s < sequences_.size(); ++s) {
    const int32_t count = sequences_[s].rows;
    const int32_t step = std::max(1, CeilDiv(count, max_rows));
    for (int32_t row = count - 1; row >= 0; row -= step) rows.emplace_back(s, row);
    if (count > 0 && rows.back().second != 0) rows.emplace_back(s, 0);
  }
  const std::string difference =
      FirstOf(rows.size(), [&](size_t i) { return RowDifference(rows[i].first, rows[i].second); });
  if (!difference.empty()) return difference;
  const int64_t width = int64_t{heads_} * head_dim_;
  for (int64_t i = num_rows() * width; i < y_bytes() / 2; ++i) {
    const float value = LoadElement(dtype_, y_.data(), i);
    if (step_.split ? value != 0.0f : !std::isnan(value)) {
      return absl::StrCat("padding row ", i / width, " is ", value);
    }
  }
  return "";
}

std::string AttentionCase::RowDifference(size_t sequence, int32_t row) const {
  for (int32_t head = 0; head < heads_; ++head) {
    if (std::string difference = HeadDifference(sequence, row, head); !difference.empty()) {
      return difference;
    }
  }
  return "";
}

std::string AttentionCase::HeadDifference(size_t sequence, int32_t row, int32_t head) const {
  const int64_t tokens = sequences_[sequence].tokens - sequences_[sequence].rows + row + 1;
  const int64_t at = row_begin_[sequence] + row;
  const int32_t kv_head = head / group_;
  std::vector<double> query;
  double q_norm = 0.0;
  for (int64_t d = 0; d < head_dim_; ++d) {
    query.push_back(LoadElement(dtype_, q_.data(), at * q_stride_ + head * head_dim_ + d));
    q_norm += query.back() * query.back();
  }
  const std::vector<double> want = ReferenceAttention(
      query, tokens, scale_,
      [&](int64_t t, int64_t d) { return Token(sequence, kv_head, t, 0, d); },
      [&](int64_t t, int64_t d) { return Token(sequence, kv_head, t, 1, d); });
  // Σ|q k| is at most |q| · |k|; a key that points at a query is shorter than noise can be.
  const double k_norm = kMaxQuery * std::sqrt(static_cast<double>(head_dim_));
  const double tolerance = HalfAttentionTolerance(dtype_, head_dim_, tokens,
                                                  scale_ * std::sqrt(q_norm) * k_norm, kMaxValue);
  for (int64_t d = 0; d < head_dim_; ++d) {
    const double got = LoadElement(dtype_, y_.data(), (at * heads_ + head) * head_dim_ + d);
    const double expected = want[static_cast<size_t>(d)];
    if (std::abs(got - expected) <= tolerance + RoundingTolerance(dtype_, expected)) continue;
    return absl::StrCat("sequence ", sequence, " row ", row, " head ", head, " element ", d, ": ",
                        got, ", want ", expected, " within ", tolerance);
  }
  return "";
}

}  // namespace chorus::test
