// Oracle of PagedAttention: softmax over all visible tokens at once, in double precision.
#ifndef CHORUS_TESTS_SUPPORT_REFERENCE_ATTENTION_H_
#define CHORUS_TESTS_SUPPORT_REFERENCE_ATTENTION_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace chorus::test {

// One query over `tokens` keys and values. key(t, d) and value(t, d) are read in double.
template <class Key, class Value>
std::vector<double> ReferenceAttention(const std::vector<double>& query, int64_t tokens,
                                       double scale, const Key& key, const Value& value) {
  const auto head_dim = static_cast<int64_t>(query.size());
  std::vector<double> scores(static_cast<size_t>(tokens));
  for (int64_t t = 0; t < tokens; ++t) {
    double score = 0.0;
    for (int64_t d = 0; d < head_dim; ++d) score += query[static_cast<size_t>(d)] * key(t, d);
    scores[static_cast<size_t>(t)] = score * scale;
  }
  const double max = *std::max_element(scores.begin(), scores.end());
  double total = 0.0;
  for (double& score : scores) total += score = std::exp(score - max);
  std::vector<double> out(query.size(), 0.0);
  for (int64_t t = 0; t < tokens; ++t) {
    const double weight = scores[static_cast<size_t>(t)] / total;
    for (int64_t d = 0; d < head_dim; ++d) out[static_cast<size_t>(d)] += weight * value(t, d);
  }
  return out;
}

}  // namespace chorus::test

#endif  // CHORUS_TESTS_SUPPORT_REFERENCE_ATTENTION_H_
