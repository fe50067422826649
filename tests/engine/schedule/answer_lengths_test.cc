// AnswerLengths: what is expected follows what ended lately.
#include "engine/schedule/answer_lengths.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace chorus::engine {
namespace {

TEST(AnswerLengthsTest, NothingIsExpectedUntilSomeHaveEnded) {
  AnswerLengths lengths;
  for (int i = 0; i < 31; ++i) lengths.Add(100, 400);
  EXPECT_FALSE(lengths.Knows(0, 400));
  lengths.Add(100, 400);
  EXPECT_TRUE(lengths.Knows(0, 400));
  EXPECT_EQ(lengths.Survival(0, 16, 400), 1.0);
}

TEST(AnswerLengthsTest, AnswersThatUseTheirLimitAreExpectedTo) {
  AnswerLengths lengths;
  for (int i = 0; i < 100; ++i) lengths.Add(260 + i, 260 + i);
  EXPECT_EQ(lengths.Survival(0, 500, 500), 1.0);
  EXPECT_EQ(lengths.Survival(499, 1, 500), 1.0);
  EXPECT_EQ(lengths.Survival(499, 2, 500), 0.0);
}

// Whoever came so far is one of the longer ones.
TEST(AnswerLengthsTest, WhatGoesOnIsAShareOfWhatCameAsFar) {
  AnswerLengths lengths;
  for (int i = 0; i < 50; ++i) lengths.Add(64, 1024);
  for (int i = 0; i < 50; ++i) lengths.Add(512, 1024);
  EXPECT_EQ(lengths.Survival(0, 64, 1024), 1.0);
  EXPECT_EQ(lengths.Survival(0, 100, 1024), 0.5);
  EXPECT_EQ(lengths.Survival(100, 100, 1024), 1.0);
  EXPECT_EQ(lengths.Survival(100, 500, 1024), 0.0);
  EXPECT_TRUE(lengths.Knows(512, 1024));
  EXPECT_FALSE(lengths.Knows(600, 1024));
}

TEST(AnswerLengthsTest, LimitsOfAnotherSizeAreAnotherKind) {
  AnswerLengths lengths;
  for (int i = 0; i < 100; ++i) lengths.Add(4, 4);
  for (int i = 0; i < 100; ++i) lengths.Add(200, 4000);
  EXPECT_EQ(lengths.Survival(0, 5, 5), 1.0);
  EXPECT_EQ(lengths.Survival(0, 100, 3000), 1.0);
  EXPECT_EQ(lengths.Survival(0, 200, 3000), 0.0);
  EXPECT_FALSE(lengths.Knows(0, 1000));
  EXPECT_FALSE(lengths.Knows(0, INT32_MAX));
}

TEST(AnswerLengthsTest, OldAnswersAreForgotten) {
  AnswerLengths lengths;
  for (int i = 0; i < 5000; ++i) lengths.Add(i % 1000, 1000);
  EXPECT_GT(lengths.Survival(0, 500, 1000), 0.2);
  for (int i = 0; i < 512; ++i) lengths.Add(10, 1000);
  EXPECT_EQ(lengths.Survival(0, 100, 1000), 0.0);
}

// Against the last answers one by one, as finely as the limit is told.
TEST(AnswerLengthsTest, IsTheShareOfTheLastAnswers) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  std::lognormal_distribution<double> draw(5.0, 0.9);
  constexpr int32_t kLimit = 1023;
  AnswerLengths lengths;
  std::vector<int64_t> all;
  for (int i = 0; i < 3000; ++i) {
    all.push_back(std::min<int64_t>(kLimit, std::lround(draw(random))));
    lengths.Add(all.back(), kLimit);
  }
  const auto from = [&](int64_t tokens) {
    return static_cast<double>(std::count_if(all.end() - 512, all.end(), [&](int64_t one) {
      return one * 512 / kLimit >= tokens * 512 / kLimit;
    }));
  };
  for (int64_t tokens = 0; tokens < kLimit; tokens += 7) {
    for (int64_t more = 1; tokens + more <= kLimit; more += 13) {
      ASSERT_EQ(lengths.Knows(tokens, kLimit), from(tokens) > 0) << tokens;
      if (from(tokens) == 0) continue;
      ASSERT_DOUBLE_EQ(lengths.Survival(tokens, more, kLimit), from(tokens + more) / from(tokens))
          << tokens << " + " << more;
    }
  }
}

}  // namespace
}  // namespace chorus::engine
