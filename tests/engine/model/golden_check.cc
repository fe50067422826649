#include "tests/engine/model/golden_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>

#include "engine/schedule/activation.h"
#include "gtest/gtest.h"
#include "tests/support/memory_adapter.h"

namespace chorus::test {
namespace {

double LogSumExp(const std::vector<float>& logits) {
  const double best = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(double{logit} - best);
  return best + std::log(sum);
}

size_t Differences(const std::vector<float>& a, const std::vector<float>& b) {
  size_t count = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    count += std::memcmp(&a[i], &b[i], sizeof(float)) != 0;
  }
  return count;
}

}  // namespace

GoldenCheck::GoldenCheck(const Golden& golden, absl::StatusOr<std::unique_ptr<ModelHost>> host,
                         const GoldenTolerance& tolerance)
    : golden_(golden), tolerance_(tolerance) {
  if (!host.ok()) {
    ADD_FAILURE() << host.status();
    return;
  }
  dtype_ = (*host)->pool_view().dtype;
  for (const std::string& name : golden.adapters()) {
    const Golden::AdapterFiles files = golden.MakeAdapter(name);
    const auto adapter = MemoryAdapter::Make("tenant", name, files.config, files.tensors,
                                             (*host)->config(), (*host)->pool_view());
    const auto slot = adapter.ok() ? (*host)->Load(*adapter) : adapter.status();
    if (!slot.ok()) {
      ADD_FAILURE() << name << ": " << slot.status();
      return;
    }
    slots_[name] = *slot;
    for (const GoldenCase& one : golden.cases()) {
      if (one.adapter != name) continue;
      EXPECT_EQ(engine::ActiveFrom(**adapter, std::span(one.tokens).first(one.prompt_tokens)),
                one.active_from);
    }
  }
  host_ = *std::move(host);
}

HostSequence GoldenCheck::SequenceOf(const GoldenCase& one) const {
  HostSequence sequence;
  sequence.slot = one.active_from.has_value() ? slots_.at(one.adapter) : -1;
  sequence.active_from = one.active_from.value_or(0);
  return sequence;
}

void GoldenCheck::ExpectEachAlone() {
  for (const GoldenCase& one : golden_.cases()) {
    SCOPED_TRACE(one.adapter.empty() ? "base" : one.adapter);
    HostSequence sequence = SequenceOf(one);
    ModelHost::Logits logits;
    for (size_t begin = 0, end = one.prompt_tokens; begin < one.tokens.size(); begin = end++) {
      const StepPart part[] = {{&sequence,
                                {one.tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                                 one.tokens.begin() + static_cast<std::ptrdiff_t>(end)}}};
      auto rows = host_->Step(part);
      ASSERT_TRUE(rows.ok()) << rows.status();
      std::move((*rows)[0].begin(), (*rows)[0].end(), std::back_inserter(logits));
    }
    ASSERT_EQ(logits.size(), one.tokens.size());
    ExpectPositions(one, logits);
    ExpectGreedy(one, logits);
    alone_.push_back(std::move(logits));
  }
  ExpectGreedyShare();
}

void GoldenCheck::ExpectAllTogether() {
  const std::vector<GoldenCase>& cases = golden_.cases();
  std::vector<HostSequence> sequences;
  for (const GoldenCase& one : cases) sequences.push_back(SequenceOf(one));
  std::vector<ModelHost::Logits> logits(cases.size());
  while (true) {
    std::vector<StepPart> parts;
    std::vector<size_t> which;
    for (size_t i = 0; i < cases.size(); ++i) {
      const auto begin = static_cast<std::ptrdiff_t>(logits[i].size());
      const size_t end = begin == 0 ? cases[i].prompt_tokens : logits[i].size() + 1;
      if (end > cases[i].tokens.size()) continue;
      parts.push_back({&sequences[i],
                       {cases[i].tokens.begin() + begin,
                        cases[i].tokens.begin() + static_cast<std::ptrdiff_t>(end)}});
      which.push_back(i);
    }
    if (parts.empty()) break;
    auto rows = host_->Step(parts);
    ASSERT_TRUE(rows.ok()) << rows.status();
    for (size_t p = 0; p < parts.size(); ++p) {
      std::move((*rows)[p].begin(), (*rows)[p].end(), std::back_inserter(logits[which[p]]));
    }
  }
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(cases[i].adapter.empty() ? "base" : cases[i].adapter);
    ExpectPositions(cases[i], logits[i]);
    ExpectGreedy(cases[i], logits[i]);
  }
  ExpectGreedyShare();
}

void GoldenCheck::ExpectGreedyShare() {
  size_t generated = 0;
  for (const GoldenCase& one : golden_.cases()) generated += one.tokens.size() - one.prompt_tokens;
  const double share = static_cast<double>(greedy_compared_) / static_cast<double>(generated);
  EXPECT_GE(share, tolerance_.greedy_share) << "margins too small to say anything of the order";
  greedy_compared_ = 0;
}

void GoldenCheck::ExpectPositions(const GoldenCase& one, const ModelHost::Logits& logits) {
  double squares = 0.0;
  double worst = 0.0;
  size_t count = 0;
  for (const GoldenExpectation::Position& want : one.expected(dtype_).positions) {
    const std::vector<float>& got = logits[static_cast<size_t>(want.position)];
    for (size_t i = 0; i < want.ids.size(); ++i) {
      const double error = std::abs(double{got[static_cast<size_t>(want.ids[i])]} - want.logits[i]);
      worst = std::max(worst, error);
      squares += error * error;
      ++count;
    }
    EXPECT_NEAR(LogSumExp(got), want.lse, tolerance_.logit) << "position " << want.position;
  }
  const double rms = std::sqrt(squares / static_cast<double>(count));
  EXPECT_LE(worst, tolerance_.logit) << "of " << count << " logits; rms " << rms;
  if (tolerance_.rms_share > 0.0) {
    EXPECT_LE(rms, tolerance_.rms_share * one.transformers_bf16_rms);
  }
}

// Two logits may each be off by the tolerance before their order tells anything.
void GoldenCheck::ExpectGreedy(const GoldenCase& one, const ModelHost::Logits& logits) {
  const GoldenExpectation& want = one.expected(dtype_);
  for (size_t i = 0; i < want.greedy.size(); ++i) {
    if (double{want.margins[i]} <= 2.0 * tolerance_.logit) continue;
    const std::vector<float>& row = logits[one.prompt_tokens - 1 + i];
    EXPECT_EQ(std::max_element(row.begin(), row.end()) - row.begin(), want.greedy[i])
        << "generated token " << i << ", margin " << want.margins[i];
    ++greedy_compared_;
  }
}

void GoldenCheck::ExpectMixedBatchEqual() {
  const std::vector<GoldenCase>& cases = golden_.cases();
  ASSERT_EQ(alone_.size(), cases.size());
  std::vector<HostSequence> sequences;
  for (const GoldenCase& one : cases) sequences.push_back(SequenceOf(one));
  std::vector<size_t> computed(cases.size(), 0);
  size_t different = 0;
  while (true) {
    std::vector<StepPart> parts;
    std::vector<size_t> which;
    for (size_t i = 0; i < cases.size(); ++i) {
      const GoldenCase& one = cases[i];
      // Pieces of 5, 8, 11 … tokens, so that prefills end in different steps and meet decodes.
      const size_t limit = computed[i] < one.prompt_tokens ? one.prompt_tokens : computed[i] + 1;
      const size_t end = std::min({computed[i] + 5 + 3 * i, limit, one.tokens.size()});
      if (end == computed[i]) continue;
      parts.push_back({&sequences[i],
                       {one.tokens.begin() + static_cast<std::ptrdiff_t>(computed[i]),
                        one.tokens.begin() + static_cast<std::ptrdiff_t>(end)}});
      which.push_back(i);
    }
    if (parts.empty()) break;
    const auto rows = host_->Step(parts);
    ASSERT_TRUE(rows.ok()) << rows.status();
    for (size_t p = 0; p < parts.size(); ++p) {
      for (const std::vector<float>& row : (*rows)[p]) {
        different += Differences(row, alone_[which[p]][computed[which[p]]++]);
      }
    }
  }
  EXPECT_EQ(different, 0u) << "logits differ from those of each request alone";
}

}  // namespace chorus::test
