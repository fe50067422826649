// chorus bench --trace: what is read, when it is sent, what is counted where.
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "server/cli/replay_report.h"
#include "tests/server/cli/fake_server.h"
#include "tests/server/cli/test_console.h"
#include "tests/support/temp_dir.h"

namespace chorus::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kNever = std::numeric_limits<double>::infinity();

std::string Line(double arrival, const std::string& adapter, int prompt, int output) {
  return absl::StrCat("{\"arrival\": ", arrival, ", \"adapter\": ", adapter,
                      ", \"prompt\": ", prompt, ", \"output\": ", output,
                      ", \"tenant\": \"t0\"}\n");
}

class ReplayTest : public ::testing::Test {
 protected:
  ReplayTest() {
    server_.admin.info.set_vocabulary(500);
    for (const char* name : {"base", "bench-0", "bench-1", "bench-2"}) {
      server_.inference.answers[name].pieces = {"x", "y", "z"};
    }
  }

  std::string Write(const std::string& text) {
    const std::string path = dir_.path() + "/trace.jsonl";
    std::ofstream(path) << text;
    return path;
  }

  ExitCode Bench(const std::string& trace, Args args = {}) {
    args.insert(args.begin(), {"bench", "--server", server_.address(), "--model", "base", "--trace",
                               Write(trace), "--records", records_path()});
    return console_.Run(args);
  }

  std::string records_path() const { return dir_.path() + "/records.jsonl"; }
  // By index in the trace.
  std::map<int, nlohmann::json> Records() const {
    std::map<int, nlohmann::json> records;
    std::ifstream file(records_path());
    for (std::string line; std::getline(file, line);) {
      const auto json = nlohmann::json::parse(line);
      records[json["index"]] = json;
    }
    return records;
  }

  test::TempDir dir_;
  FakeServer server_;
  TestConsole console_;
};

TEST_F(ReplayTest, RequestsAreThoseOfTheTrace) {
  EXPECT_EQ(Bench(Line(0, "1", 11, 3) + Line(0.01, "null", 5, 2) + Line(0.02, "2", 7, 9),
                  {"--json", "--seed", "4"}),
            ExitCode::kOk);
  std::map<std::string, v1::GenerateRequest> by_model;
  for (const v1::GenerateRequest& request : server_.inference.requests()) {
    by_model[request.model()] = request;
  }
  ASSERT_EQ(by_model.size(), 3u);
  EXPECT_EQ(by_model["bench-1"].token_ids().ids_size(), 11);
  EXPECT_EQ(by_model["bench-1"].max_tokens(), 3);
  EXPECT_TRUE(by_model["bench-1"].ignore_eos());
  EXPECT_EQ(by_model["base"].token_ids().ids_size(), 5);
  EXPECT_EQ(by_model["base"].max_tokens(), 2);
  EXPECT_EQ(by_model["bench-2"].max_tokens(), 9);
  const auto json = nlohmann::json::parse(console_.out.text());
  EXPECT_EQ(json["requests"], 3);
  EXPECT_EQ(json["errors"], 0);
  EXPECT_EQ(json["whole"]["output_tokens"], 9);
  EXPECT_EQ(json["whole"]["attainment"], 1.0);
  const auto records = Records();
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records.at(0)["adapter"], 1);
  EXPECT_EQ(records.at(0)["tenant"], "t0");
  EXPECT_EQ(records.at(0)["tokens"], 3);
  EXPECT_EQ(records.at(0)["gaps_ms"].size(), 2u);
  EXPECT_EQ(records.at(0)["prompt_tokens"], 11);
  EXPECT_EQ(records.at(1)["adapter"], nullptr);
}

// The server answers nobody before the last one is due: who waited for answers would be late.
TEST_F(ReplayTest, AnOpenLoopSendsOnTimeHoweverManyWait) {
  server_.inference.answers["bench-0"].wait_ms = 1000;
  std::string trace;
  for (int i = 0; i < 100; ++i) trace += Line(i * 0.002, "0", 4, 3);
  EXPECT_EQ(Bench(trace, {"--json"}), ExitCode::kOk);
  const auto records = Records();
  ASSERT_EQ(records.size(), 100u);
  double first_end = kNever;
  double latest_ms = 0;
  for (const auto& [index, record] : records) {
    EXPECT_DOUBLE_EQ(record["due"], index * 0.002);
    EXPECT_GE(record["sent"], record["due"]);
    EXPECT_GE(record["first"].get<double>() - record["sent"].get<double>(), 0.999);
    first_end = std::min<double>(first_end, record["end"]);
    latest_ms =
        std::max(latest_ms, 1000 * (record["sent"].get<double>() - record["due"].get<double>()));
  }
  EXPECT_LT(records.at(99)["sent"], first_end);
  const auto late = nlohmann::json::parse(console_.out.text())["late_ms"];
  EXPECT_LE(late["p50"], late["max"]);
  EXPECT_NEAR(late["max"].get<double>(), latest_ms, 1e-6);
}

TEST_F(ReplayTest, AClosedLoopKeepsTheOrderAndTheConcurrency) {
  server_.inference.answers["bench-0"].wait_ms = 20;
  std::string trace;
  for (int i = 0; i < 9; ++i) trace += Line(1000, "0", 4, 3);  // when does not matter
  EXPECT_EQ(Bench(trace, {"--json", "--concurrency", "3"}), ExitCode::kOk);
  const auto records = Records();
  ASSERT_EQ(records.size(), 9u);
  for (const auto& [index, record] : records) {
    int running = 0;  // when this one was sent
    for (const auto& [other, its] : records) {
      running += other < index && its["end"] > record["sent"];
      EXPECT_TRUE(other >= index || its["sent"] <= record["sent"]);
    }
    EXPECT_LE(running, 2);
  }
  EXPECT_LT(nlohmann::json::parse(console_.out.text())["whole"]["seconds"], 100);
}

TEST_F(ReplayTest, AClosedLoopIsCutOffAtTheWindowsEnd) {
  server_.inference.answers["bench-0"].wait_ms = 10;
  server_.inference.answers["bench-1"].until_cancel = true;  // after its tokens
  std::string trace = Line(0, "1", 4, 3);
  for (int i = 0; i < 10000; ++i) trace += Line(0, "0", 4, 3);
  EXPECT_EQ(
      Bench(trace, {"--json", "--concurrency", "2", "--window-begin", "50ms", "--window", "100ms"}),
      ExitCode::kOk);
  const auto records = Records();
  ASSERT_GE(records.size(), 3u);
  EXPECT_LT(records.size(), 10000u);
  for (const auto& [index, record] : records) EXPECT_LT(record["due"], 0.15);
  EXPECT_TRUE(records.at(0)["cut"]);
  EXPECT_GE(records.at(0)["end"], 0.15);
  EXPECT_EQ(records.at(0)["tokens"], 3);
  EXPECT_FALSE(records.at(1)["cut"]);
  const auto json = nlohmann::json::parse(console_.out.text());
  EXPECT_EQ(json["errors"], 0);
  EXPECT_LT(json["whole"]["finished"], records.size());
}

TEST_F(ReplayTest, AnOpenLoopIsCutOffWhenThatIsAskedFor) {
  server_.inference.answers["bench-1"].until_cancel = true;
  EXPECT_EQ(Bench(Line(0, "1", 4, 3) + Line(0.01, "0", 4, 3) + Line(3600, "0", 4, 3),
                  {"--json", "--cut", "100ms"}),
            ExitCode::kOk);
  const auto records = Records();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_TRUE(records.at(0)["cut"]);
  EXPECT_FALSE(records.at(1)["cut"]);
}

TEST_F(ReplayTest, FailuresAreRecordedNamedAndAttainNothing) {
  EXPECT_EQ(Bench(Line(0, "0", 4, 3) + Line(0, "77", 4, 3), {"--json"}), ExitCode::kRefused);
  const auto json = nlohmann::json::parse(console_.out.text());
  EXPECT_EQ(json["requests"], 2);
  EXPECT_EQ(json["errors"], 1);
  EXPECT_EQ(json["whole"]["attainment"], 0.5);
  EXPECT_THAT(Records().at(1)["problem"].get<std::string>(), HasSubstr("NOT_FOUND: no such"));
  EXPECT_EQ(Records().at(1)["first"], nullptr);
  EXPECT_THAT(console_.err.text(), HasSubstr("1 times NOT_FOUND"));
}

TEST_F(ReplayTest, PeopleGetATable) {
  EXPECT_EQ(Bench(Line(0, "0", 4, 3) + Line(0.01, "1", 4, 3)), ExitCode::kOk);
  for (const char* text : {"2 requests, 0 failed; first token within 6.00 s", "0 s to 0.01 s",
                           "all, with the drain", "sent late: p99"}) {
    EXPECT_THAT(console_.out.text(), HasSubstr(text));
  }
}

TEST_F(ReplayTest, MistakesSendNothing) {
  const std::string good = Line(1, "0", 4, 3);
  for (const auto& [bad, why] : std::vector<std::pair<std::string, std::string>>{
           {"", "no requests"},
           {good + Line(0.5, "0", 4, 3), "line 2: expected \"arrival\" to be seconds from 1 to"},
           {good + "{}\n", "line 2: expected a field \"arrival\", got {}"},
           {good + "[]\n", "line 2: expected a JSON object, got []"},
           {good + "\n", "line 2"},
           {Line(0, "-1", 4, 3), "line 1: expected \"adapter\" to be an integer from 0 on, got -1"},
           {Line(0, "0.5", 4, 3), "line 1"},
           {Line(0, "4294967296", 4, 3), "line 1"},
           {Line(0, "0", 0, 3), "line 1: expected \"prompt\" to be an integer from 1 on, got 0"},
           {Line(0, "0", 4, 0), "line 1: expected \"output\""},
           {Line(-1, "0", 4, 3), "line 1"},
           {Line(1e300, "0", 4, 3), "line 1"},
           {"{\"arrival\": 0, \"prompt\": 1, \"output\": 1}\n",
            "line 1: expected a field \"adapter\""}}) {
    EXPECT_EQ(Bench(bad), ExitCode::kUsage) << bad;
    EXPECT_THAT(console_.err.text(), HasSubstr(why)) << bad;
  }
  for (const char* flag :
       {"--requests", "--duration", "--warmup", "--max-tokens", "--prompt-tokens"}) {
    EXPECT_EQ(Bench(good, {flag, "7"}), ExitCode::kUsage) << flag;
  }
  EXPECT_EQ(Bench(good, {"--model", "other"}), ExitCode::kUsage);
  EXPECT_EQ(Bench(good, {"--window", "0s"}), ExitCode::kUsage);
  EXPECT_EQ(Bench(good, {"--trace", dir_.path() + "/absent"}), ExitCode::kUsage);
  EXPECT_EQ(Bench(good, {"--records", dir_.path() + "/no/such"}), ExitCode::kUsage);
  EXPECT_TRUE(server_.inference.requests().empty());
}

TEST_F(ReplayTest, WhereNobodyListensTheReplayIsBrokenOff) {
  const std::vector<TraceRequest> trace = {{.arrival = absl::ZeroDuration()},
                                           {.arrival = absl::Hours(1)}};
  ReplayOptions options;
  options.address = "127.0.0.1:1";
  options.base_model = "base";
  options.vocabulary = 10;
  const Replay replay = RunReplay(trace, options);
  EXPECT_TRUE(replay.unreachable.has_value());
  EXPECT_EQ(replay.records.size(), 1u);
}

ReplayRecord Answered(double due, double first, std::vector<double> gaps_ms) {
  ReplayRecord record;
  record.due = record.sent = due;
  record.first = record.end = first;
  for (const double gap : gaps_ms) record.end += gap / 1000;
  record.tokens = static_cast<int64_t>(gaps_ms.size()) + 1;
  record.gaps_ms = std::move(gaps_ms);
  return record;
}

TEST(ReplayFiguresTest, RequestsCountWhereTheyAreDueAndTokensWhereTheyCome) {
  std::vector<ReplayRecord> records = {
      Answered(0.5, 0.9, {200, 300}),  // before the window; tokens at 0.9, 1.1, 1.4
      Answered(1.0, 1.5, {250}),       // in it
      Answered(2.9, 3.5, {500}),       // due in it, answered after it
      Answered(3.0, 3.1, {}),          // after it
  };
  ReplayRecord failed = Answered(2.0, kNever, {});
  failed.tokens = 0;
  failed.end = 2.1;
  failed.problem = "RESOURCE_EXHAUSTED: full";
  records.push_back(failed);
  const ReplayFigures figures =
      FiguresIn({.begin = 1, .end = 3, .first_token_limit = 0.55}, records);
  EXPECT_DOUBLE_EQ(figures.seconds, 2);
  EXPECT_EQ(figures.requests, 3);
  EXPECT_EQ(figures.errors, 1);
  EXPECT_EQ(figures.finished, 2);
  EXPECT_EQ(figures.tokens, 2 + 2);
  EXPECT_DOUBLE_EQ(figures.attainment, 1.0 / 3);
  ASSERT_EQ(figures.ttft_ms.size(), 2u);
  EXPECT_NEAR(figures.ttft_ms[0], 500, 1e-9);
  EXPECT_NEAR(figures.ttft_ms[1], 600, 1e-9);
  EXPECT_THAT(figures.itl_ms, ElementsAre(200, 300, 250));
  ASSERT_EQ(figures.latency_ms.size(), 2u);
  EXPECT_NEAR(figures.latency_ms[0], 750, 1e-9);
}

TEST(ReplayFiguresTest, TheWholeEndsWithTheLastAnswer) {
  const std::vector<ReplayRecord> records = {Answered(0, 1, {1000}), Answered(1, 9, {1000, 2000})};
  const ReplayFigures figures = FiguresOfAll(6, records);
  EXPECT_DOUBLE_EQ(figures.seconds, 12);
  EXPECT_EQ(figures.finished, 2);
  EXPECT_EQ(figures.tokens, 5);
  EXPECT_DOUBLE_EQ(figures.attainment, 0.5);
  EXPECT_EQ(FiguresOfAll(6, {}).seconds, 0);
  EXPECT_EQ(FiguresOfAll(6, {}).attainment, 0);
}

// A client that is late makes the first token late.
TEST(ReplayFiguresTest, TimesAreSinceTheRequestWasDue) {
  ReplayRecord record = Answered(1, 3, {});
  record.sent = 2.5;
  EXPECT_EQ(FiguresIn({.begin = 0, .end = 5, .first_token_limit = 1}, {record}).attainment, 0);
}

TEST(ReplayFiguresTest, TokensOfOneMessageComeTogether) {
  ReplayRecord record = Answered(0, 1, {500, 500});
  record.tokens = 5;  // three with the first message
  EXPECT_EQ(FiguresIn({.begin = 0, .end = 1.2}, {record}).tokens, 3);
  EXPECT_EQ(FiguresIn({.begin = 0, .end = 9}, {record}).tokens, 5);
}

}  // namespace
}  // namespace chorus::cli
