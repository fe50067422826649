// The load generator and its figures.
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "gmock/gmock.h"
#include "server/cli/bench_command.h"
#include "server/cli/load_stream.h"
#include "server/cli/percentiles.h"
#include "tests/server/cli/fake_server.h"
#include "tests/server/cli/test_console.h"

namespace chorus::cli {
namespace {

using ::testing::HasSubstr;

TEST(PercentilesTest, InterpolateBetweenNeighbours) {
  std::vector<double> samples;
  for (int i = 100; i >= 0; --i) samples.push_back(i * 10);  // 0 to 1000, descending
  const Percentiles hundred_one = PercentilesOf(samples);
  EXPECT_DOUBLE_EQ(hundred_one.p50, 500);
  EXPECT_DOUBLE_EQ(hundred_one.p90, 900);
  EXPECT_DOUBLE_EQ(hundred_one.p95, 950);
  EXPECT_DOUBLE_EQ(hundred_one.p99, 990);
  const Percentiles four = PercentilesOf({4, 1, 3, 2});
  EXPECT_DOUBLE_EQ(four.p50, 2.5);
  EXPECT_DOUBLE_EQ(four.p90, 3.7);
  EXPECT_DOUBLE_EQ(four.p99, 3.97);
  const Percentiles one = PercentilesOf({7});
  EXPECT_DOUBLE_EQ(one.p50, 7);
  EXPECT_DOUBLE_EQ(one.p99, 7);
  EXPECT_DOUBLE_EQ(PercentilesOf({}).p99, 0);
}

// As in tests/bench/peers_test.py.
TEST(FillPromptTest, IsWhatBenchesOfPeersSendToo) {
  v1::TokenIds ids;
  FillPrompt(1, 0, 49152, 4, &ids);
  EXPECT_THAT(ids.ids(), testing::ElementsAre(36271, 26100, 17743, 16876));
  FillPrompt((uint64_t{1} << 63) + 5, 95, 1000, 3, &ids);
  EXPECT_THAT(ids.ids(), testing::ElementsAre(267, 697, 512));
}

TEST(FillPromptTest, IsTheSameForTheSameSeedAndDiffersBetweenRequests) {
  std::set<std::string> seen;
  for (int64_t index = 0; index < 100; ++index) {
    v1::TokenIds ids;
    v1::TokenIds again;
    FillPrompt(5, index, 1000, 64, &ids);
    FillPrompt(5, index, 1000, 64, &again);
    ASSERT_EQ(ids.ids_size(), 64);
    for (int32_t id : ids.ids()) ASSERT_TRUE(id >= 0 && id < 1000);
    EXPECT_EQ(ids.SerializeAsString(), again.SerializeAsString());
    // What two prompts have in common at their beginning would come from the prefix cache.
    v1::TokenIds start;
    start.mutable_ids()->Add(ids.ids().begin(), ids.ids().begin() + 4);
    EXPECT_TRUE(seen.insert(start.SerializeAsString()).second) << index;
  }
  v1::TokenIds other;
  v1::TokenIds ids;
  FillPrompt(5, 0, 1000, 64, &ids);
  FillPrompt(6, 0, 1000, 64, &other);
  EXPECT_NE(ids.SerializeAsString(), other.SerializeAsString());
}

class BenchTest : public ::testing::Test {
 protected:
  BenchTest() { server_.admin.info.set_vocabulary(500); }

  ExitCode Bench(Args args) {
    args.insert(args.begin(), {"bench", "--server", server_.address()});
    return console_.Run(args);
  }

  FakeServer server_;
  TestConsole console_;
};

TEST_F(BenchTest, CountsWhatTheServerCounted) {
  server_.inference.answers["a"].pieces = {"x", "y", "z"};
  server_.inference.answers["b"].pieces = {"x", "y", "z"};
  EXPECT_EQ(Bench({"--model", "a", "--model", "b", "--requests", "21", "--concurrency", "4",
                   "--warmup", "3", "--prompt-tokens", "11", "--max-tokens", "3", "--json"}),
            ExitCode::kOk);
  const auto json = nlohmann::ordered_json::parse(console_.out.text());
  std::vector<std::string> names;
  for (const auto& item : json.items()) names.push_back(item.key());
  EXPECT_THAT(names, ::testing::ElementsAre(
                         "requests", "errors", "prompt_tokens", "completion_tokens", "seconds",
                         "output_tokens_per_second", "ttft_ms", "itl_ms", "client_cpu_seconds"));
  EXPECT_EQ(json["requests"], 21);
  EXPECT_EQ(json["errors"], 0);
  EXPECT_EQ(json["prompt_tokens"], 21 * 11);
  EXPECT_EQ(json["completion_tokens"], 21 * 3);
  const double seconds = json["seconds"];
  EXPECT_GT(seconds, 0);
  EXPECT_NEAR(json["output_tokens_per_second"], 21 * 3 / seconds, 1e-6);
  EXPECT_GT(json["client_cpu_seconds"], 0);
  EXPECT_GT(json["ttft_ms"]["p50"], 0);
  EXPECT_LE(json["ttft_ms"]["p50"], json["ttft_ms"]["p99"]);
  EXPECT_LE(json["ttft_ms"]["p99"], seconds * 1000);
  EXPECT_LE(json["itl_ms"]["p50"], json["itl_ms"]["p99"]);

  std::map<std::string, int> by_model;
  for (const v1::GenerateRequest& request : server_.inference.requests()) {
    ++by_model[request.model()];
    EXPECT_EQ(request.token_ids().ids_size(), 11);
    EXPECT_EQ(request.max_tokens(), 3);
    EXPECT_TRUE(request.ignore_eos());
    for (int32_t id : request.token_ids().ids()) EXPECT_LT(id, 500);
  }
  EXPECT_EQ(by_model["a"], 12);
  EXPECT_EQ(by_model["b"], 12);
}

TEST_F(BenchTest, EveryTokenButTheFirstIsASample) {
  server_.inference.answers["a"].pieces = {"x", "y", "z"};
  LoadOptions options;
  options.address = server_.address();
  options.models = {"a"};
  options.requests = 10;
  options.concurrency = 2;
  options.vocabulary = 500;
  const LoadResult result = RunLoad(options);
  EXPECT_EQ(result.ttft_ms.size(), 10u);
  EXPECT_EQ(result.itl_ms.size(), 20u);
}

TEST_F(BenchTest, ErrorsAreCountedAndNamed) {
  server_.inference.answers["a"].pieces = {"x"};
  server_.inference.answers["full"].status =
      Refusal(grpc::StatusCode::RESOURCE_EXHAUSTED, "queue is full",
              Detail(v1::ErrorDetail::QUEUE_FULL, "queue", "", "", 500));
  EXPECT_EQ(Bench({"--model", "a", "--model", "full", "--requests", "10", "--json"}),
            ExitCode::kRefused);
  const auto json = nlohmann::json::parse(console_.out.text());
  EXPECT_EQ(json["requests"], 10);
  EXPECT_EQ(json["errors"], 5);
  EXPECT_EQ(json["completion_tokens"], 5);
  EXPECT_EQ(console_.err.text(), "chorus: 5 times RESOURCE_EXHAUSTED: queue is full\n");
}

TEST_F(BenchTest, DurationEndsTheBeginning) {
  server_.inference.answers["a"].pieces = {"x"};
  EXPECT_EQ(Bench({"--model", "a", "--duration", "50ms", "--concurrency", "2", "--json"}),
            ExitCode::kOk);
  const auto json = nlohmann::json::parse(console_.out.text());
  EXPECT_GE(json["requests"], 2);
  EXPECT_GE(json["seconds"], 0.05);
}

TEST_F(BenchTest, PeopleGetATable) {
  server_.inference.answers["a"].pieces = {"x", "y"};
  EXPECT_EQ(Bench({"--model", "a", "--requests", "3", "--concurrency", "1"}), ExitCode::kOk);
  EXPECT_THAT(console_.out.text(), HasSubstr("3 requests, 1 at a time"));
  EXPECT_THAT(console_.out.text(), HasSubstr("first token"));
  EXPECT_THAT(console_.out.text(), HasSubstr("none failed"));
}

TEST_F(BenchTest, MoreStreamsThanOneConnectionTakes) {
  server_.inference.answers["a"].pieces = {"x"};
  EXPECT_EQ(Bench({"--model", "a", "--requests", "200", "--concurrency", "150", "--json"}),
            ExitCode::kOk);
  EXPECT_EQ(nlohmann::json::parse(console_.out.text())["completion_tokens"], 200);
}

TEST_F(BenchTest, MistakesSendNothing) {
  EXPECT_EQ(Bench({}), ExitCode::kUsage);
  EXPECT_EQ(Bench({"--model", "a", "--concurrency", "0"}), ExitCode::kUsage);
  EXPECT_EQ(Bench({"--model", "a", "--requests", "0"}), ExitCode::kUsage);
  EXPECT_THAT(console_.err.text(), HasSubstr("--requests wants 1 to"));
  EXPECT_TRUE(server_.inference.requests().empty());
  TestConsole alone;
  EXPECT_EQ(alone.Run({"bench", "--server", "127.0.0.1:1", "--model", "a"}),
            ExitCode::kUnreachable);
}

}  // namespace
}  // namespace chorus::cli
