#include "server/metrics/request_meter.h"

#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/metrics/metrics_fixture.h"

namespace chorus::test {
namespace {

using engine::FinishReason;
using server::MeteredRequest;
using server::RequestMeter;
using ::testing::DoubleNear;

constexpr double kNear = 1e-9;

class RequestMeterTest : public testing::Test {
 protected:
  RequestMeter Begin(const std::string& adapter = "", int32_t choices = 1) {
    return RequestMeter(fixture_.metrics.get(), {.tenant = "default",
                                                 .adapter = adapter,
                                                 .num_choices = choices,
                                                 .max_tokens = 32,
                                                 .arrival = fixture_.clock.Now()});
  }
  absl::Time After(int ms) {
    fixture_.clock.Advance(absl::Milliseconds(ms));
    return fixture_.clock.Now();
  }

  MetricsFixture fixture_;
};

TEST_F(RequestMeterTest, OneRequestIsMeasuredFromArrivalToEnd) {
  RequestMeter meter = Begin();
  After(10);
  meter.Admitted(absl::Milliseconds(10), 20, 16);
  meter.Tokens(0, 1, After(40));  // 50 ms after arrival
  EXPECT_EQ(meter.time_to_first_token(), absl::Milliseconds(50));
  meter.Tokens(0, 1, After(20));
  meter.Tokens(0, 2, After(60));  // 30 ms each
  EXPECT_EQ(meter.completion_tokens(), 4);
  meter.ChoiceEnded(FinishReason::kStop);
  meter.Ended(true, After(5));

  EXPECT_EQ(fixture_.Value("vllm:time_to_first_token_seconds_count"), 1);
  EXPECT_THAT(fixture_.Value("vllm:time_to_first_token_seconds_sum"), DoubleNear(0.05, kNear));
  EXPECT_EQ(fixture_.Value("vllm:time_to_first_token_seconds_bucket", {{"le", "0.04"}}), 0);
  EXPECT_EQ(fixture_.Value("vllm:time_to_first_token_seconds_bucket", {{"le", "0.06"}}), 1);
  EXPECT_EQ(fixture_.Value("vllm:inter_token_latency_seconds_count"), 3);
  EXPECT_THAT(fixture_.Value("vllm:inter_token_latency_seconds_sum"), DoubleNear(0.08, kNear));
  EXPECT_EQ(fixture_.Value("vllm:inter_token_latency_seconds_bucket", {{"le", "0.025"}}), 1);
  EXPECT_EQ(fixture_.Value("vllm:inter_token_latency_seconds_bucket", {{"le", "0.05"}}), 3);
  EXPECT_THAT(fixture_.Value("vllm:request_queue_time_seconds_sum"), DoubleNear(0.01, kNear));
  EXPECT_THAT(fixture_.Value("vllm:request_prefill_time_seconds_sum"), DoubleNear(0.04, kNear));
  EXPECT_THAT(fixture_.Value("vllm:request_decode_time_seconds_sum"), DoubleNear(0.08, kNear));
  EXPECT_THAT(fixture_.Value("vllm:request_inference_time_seconds_sum"), DoubleNear(0.12, kNear));
  EXPECT_THAT(fixture_.Value("vllm:e2e_request_latency_seconds_sum"), DoubleNear(0.135, kNear));
  EXPECT_THAT(fixture_.Value("vllm:request_time_per_output_token_seconds_sum"),
              DoubleNear(0.08 / 3, kNear));
  EXPECT_EQ(fixture_.Value("vllm:request_prompt_tokens_sum"), 20);
  EXPECT_EQ(fixture_.Value("vllm:request_generation_tokens_sum"), 4);
  EXPECT_EQ(fixture_.Value("vllm:request_params_n_sum"), 1);
  EXPECT_EQ(fixture_.Value("vllm:request_params_max_tokens_sum"), 32);
  EXPECT_EQ(fixture_.Value("vllm:prompt_tokens_total"), 20);
  EXPECT_EQ(fixture_.Value("vllm:prompt_tokens_cached_total"), 16);
  EXPECT_EQ(fixture_.Value("vllm:generation_tokens_total"), 4);
}

TEST_F(RequestMeterTest, ChoicesHaveLatenciesOfTheirOwn) {
  RequestMeter meter = Begin("", 2);
  meter.Admitted(absl::ZeroDuration(), 5, 0);
  meter.Tokens(1, 1, After(10));
  meter.Tokens(0, 1, After(100));  // the first of its choice: no latency between tokens
  EXPECT_EQ(fixture_.Value("vllm:inter_token_latency_seconds_count"), 0);
  EXPECT_EQ(meter.time_to_first_token(), absl::Milliseconds(10));
  meter.Tokens(1, 1, After(40));  // 140 ms after its choice's last
  EXPECT_EQ(fixture_.Value("vllm:inter_token_latency_seconds_count"), 1);
  EXPECT_THAT(fixture_.Value("vllm:inter_token_latency_seconds_sum"), DoubleNear(0.14, kNear));
  EXPECT_EQ(fixture_.Value("vllm:time_to_first_token_seconds_count"), 1);
  EXPECT_EQ(fixture_.Value("vllm:request_params_n_sum"), 2);
  meter.Ended(true, After(1));
  EXPECT_EQ(fixture_.Value("vllm:request_time_per_output_token_seconds_count"), 1);
  EXPECT_THAT(fixture_.Value("vllm:request_time_per_output_token_seconds_sum"),
              DoubleNear(0.14, kNear));
  EXPECT_THAT(fixture_.Value("vllm:request_decode_time_seconds_sum"), DoubleNear(0.14, kNear));
}

TEST_F(RequestMeterTest, EachFinishReasonIsCountedUnderBothNames) {
  const std::vector<std::pair<FinishReason, std::string>> reasons = {
      {FinishReason::kStop, "stop"},
      {FinishReason::kLength, "length"},
      {FinishReason::kDeadline, "deadline"},
      {FinishReason::kCancelled, "cancelled"},
      {FinishReason::kSlowReader, "slow_reader"},
      {FinishReason::kError, "error"}};
  RequestMeter meter = Begin("", 6);
  for (const auto& [reason, name] : reasons) {
    meter.ChoiceEnded(reason);
    EXPECT_EQ(fixture_.Value("chorus_choices_finished_total", {{"reason", name}}), 1) << name;
  }
  EXPECT_EQ(fixture_.Value("vllm:request_success_total", {{"finished_reason", "stop"}}), 1);
  EXPECT_EQ(fixture_.Value("vllm:request_success_total", {{"finished_reason", "length"}}), 1);
  EXPECT_EQ(fixture_.Value("vllm:request_success_total", {{"finished_reason", "abort"}}), 3);
  EXPECT_EQ(fixture_.Value("vllm:request_success_total", {{"finished_reason", "error"}}), 1);
}

TEST_F(RequestMeterTest, UsageThatNobodyHeardOfIsCountedApart) {
  for (const bool reported : {true, false}) {
    RequestMeter meter = Begin();
    meter.Admitted(absl::ZeroDuration(), 11, 0);
    meter.Tokens(0, 3, After(1));
    meter.Ended(reported, After(1));
  }
  EXPECT_EQ(fixture_.Value("chorus_unreported_tokens_total", {{"kind", "prompt"}}), 11);
  EXPECT_EQ(fixture_.Value("chorus_unreported_tokens_total", {{"kind", "generation"}}), 3);
  EXPECT_EQ(fixture_.Value("vllm:prompt_tokens_total"), 22);
  EXPECT_EQ(fixture_.Value("vllm:generation_tokens_total"), 6);
}

TEST_F(RequestMeterTest, WhatWasNeverAdmittedLeavesNoTrace) {
  RequestMeter meter = Begin("fr");
  meter.Ended(true, After(1));
  EXPECT_EQ(fixture_.Value("vllm:e2e_request_latency_seconds_count"), 0);
  EXPECT_EQ(fixture_.Value("vllm:request_generation_tokens_count"), 0);
}

TEST_F(RequestMeterTest, AdmittedWithoutATokenHasNoPhases) {
  RequestMeter meter = Begin();
  meter.Admitted(absl::ZeroDuration(), 5, 0);
  meter.Ended(true, After(1));
  EXPECT_EQ(fixture_.Value("vllm:e2e_request_latency_seconds_count"), 1);
  EXPECT_EQ(fixture_.Value("vllm:request_prefill_time_seconds_count"), 0);
  EXPECT_EQ(fixture_.Value("vllm:time_to_first_token_seconds_count"), 0);
  meter.Ended(true, After(1));  // twice counts once
  EXPECT_EQ(fixture_.Value("vllm:e2e_request_latency_seconds_count"), 1);
}

TEST_F(RequestMeterTest, AdaptersAreCountedByTenantAndName) {
  RequestMeter meter = Begin("fr");
  meter.Admitted(absl::ZeroDuration(), 7, 0);
  meter.Tokens(0, 2, After(1));
  meter.Ended(true, After(1));
  RequestMeter base = Begin();
  base.Admitted(absl::ZeroDuration(), 100, 0);
  const Labels fr = {{"tenant", "default"}, {"adapter", "fr"}};
  EXPECT_EQ(fixture_.Value("chorus_adapter_requests_total", fr), 1);
  EXPECT_EQ(fixture_.Value("chorus_adapter_prompt_tokens_total", fr), 7);
  EXPECT_EQ(fixture_.Value("chorus_adapter_generation_tokens_total", fr), 2);
  const Labels other = {{"tenant", ""}, {"adapter", "other"}};
  EXPECT_EQ(fixture_.Value("chorus_adapter_prompt_tokens_total", other), 0);
}

TEST_F(RequestMeterTest, NothingIsLostWhenManyRecordAtOnce) {
  constexpr int kThreads = 4, kRequests = 50, kTokens = 20;
  std::vector<std::thread> threads;
  const absl::Time arrival = fixture_.clock.Now();
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int r = 0; r < kRequests; ++r) {
        RequestMeter meter(fixture_.metrics.get(), {.tenant = "default",
                                                    .adapter = "a" + std::to_string(r % 7 + t),
                                                    .num_choices = 1,
                                                    .max_tokens = kTokens,
                                                    .arrival = arrival});
        meter.Admitted(absl::Milliseconds(1), 3, 1);
        for (int i = 0; i < kTokens; ++i) meter.Tokens(0, 1, arrival + absl::Milliseconds(i + 2));
        meter.ChoiceEnded(FinishReason::kLength);
        meter.Ended(true, arrival + absl::Seconds(1));
      }
    });
  }
  double last = 0;
  for (int scrape = 0; scrape < 20; ++scrape) {  // a counter never goes back
    const double now = fixture_.Value("vllm:generation_tokens_total");
    EXPECT_GE(now, last);
    last = now;
  }
  for (std::thread& thread : threads) thread.join();
  constexpr double kAll = kThreads * kRequests;
  EXPECT_EQ(fixture_.Value("vllm:generation_tokens_total"), kAll * kTokens);
  EXPECT_EQ(fixture_.Value("vllm:prompt_tokens_total"), kAll * 3);
  EXPECT_EQ(fixture_.Value("vllm:inter_token_latency_seconds_count"), kAll * (kTokens - 1));
  EXPECT_EQ(fixture_.Value("vllm:e2e_request_latency_seconds_count"), kAll);
  double requests = 0;
  const auto families = fixture_.Scrape();
  for (const auto& [sample, value] : families.at("chorus_adapter_requests_total").samples) {
    requests += value;
  }
  EXPECT_EQ(requests, kAll);
}

}  // namespace
}  // namespace chorus::test
