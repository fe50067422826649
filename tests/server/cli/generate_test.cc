// chorus generate against a server that answers by script.
#include <nlohmann/json.hpp>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "tests/server/cli/fake_server.h"
#include "tests/server/cli/test_console.h"

namespace chorus::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class GenerateTest : public ::testing::Test {
 protected:
  ExitCode Generate(Args args) {
    args.insert(args.begin(), {"generate", "--server", server_.address()});
    return console_.Run(args);
  }
  std::vector<std::string> OutLines() const {
    return absl::StrSplit(console_.out.text(), '\n', absl::SkipEmpty());
  }

  FakeServer server_;
  TestConsole console_;
};

TEST_F(GenerateTest, StreamsTheTextAndEndsTheLine) {
  server_.inference.answers["base"].pieces = {"The ", "capital", " is Madrid."};
  EXPECT_EQ(Generate({"--model", "base", "What is it?"}), ExitCode::kOk);
  EXPECT_EQ(console_.out.text(), "The capital is Madrid.\n");
  EXPECT_EQ(console_.err.text(), "");
  ASSERT_EQ(server_.inference.requests().size(), 1u);
  EXPECT_EQ(server_.inference.requests()[0].text(), "What is it?");
}

TEST_F(GenerateTest, EveryFlagReachesTheRequestAndUnsetOnesStayUnset) {
  server_.inference.answers["m"].pieces = {"x"};
  ASSERT_EQ(Generate({"--model=m", "hi"}), ExitCode::kOk);
  v1::GenerateRequest plain;
  plain.set_model("m");
  plain.set_text("hi");
  plain.mutable_sampling();
  EXPECT_EQ(server_.inference.requests()[0].SerializeAsString(), plain.SerializeAsString());

  ASSERT_EQ(Generate({"--model",
                      "m",
                      "--max-tokens",
                      "5",
                      "--temperature",
                      "0",
                      "--top-k",
                      "0",
                      "--top-p",
                      "0.5",
                      "--min-p",
                      "0.25",
                      "--repetition-penalty",
                      "1.5",
                      "--presence-penalty",
                      "-1",
                      "--frequency-penalty",
                      "2",
                      "--seed",
                      "18446744073709551615",
                      "--logit-bias",
                      "3:-1.5",
                      "--logit-bias",
                      "4:2",
                      "--stop",
                      "a",
                      "--stop",
                      "b",
                      "--stop-token-ids",
                      "7, 8",
                      "--ignore-eos",
                      "--timeout",
                      "1500ms",
                      "--priority",
                      "-3",
                      "--cache-salt",
                      "s",
                      "--logprobs",
                      "2",
                      "--n",
                      "1",
                      "--request-id",
                      "r",
                      "--json",
                      "--token-ids",
                      "1,2,3"}),
            ExitCode::kOk);
  v1::GenerateRequest full;
  full.set_model("m");
  for (int id : {1, 2, 3}) full.mutable_token_ids()->add_ids(id);
  full.set_max_tokens(5);
  v1::Sampling* sampling = full.mutable_sampling();
  sampling->set_temperature(0);
  sampling->set_top_k(0);
  sampling->set_top_p(0.5f);
  sampling->set_min_p(0.25f);
  sampling->set_repetition_penalty(1.5f);
  sampling->set_presence_penalty(-1);
  sampling->set_frequency_penalty(2);
  sampling->set_seed(18446744073709551615u);
  for (const auto& [id, bias] : {std::pair(3, -1.5f), std::pair(4, 2.0f)}) {
    v1::LogitBias* entry = sampling->add_logit_bias();
    entry->set_token_id(id);
    entry->set_bias(bias);
  }
  full.set_n(1);
  full.add_stop("a");
  full.add_stop("b");
  full.add_stop_token_ids(7);
  full.add_stop_token_ids(8);
  full.set_ignore_eos(true);
  full.set_logprobs(2);
  full.set_request_id("r");
  full.set_priority(-3);
  full.set_timeout_ms(1500);
  full.set_cache_salt("s");
  EXPECT_EQ(server_.inference.requests()[1].DebugString(), full.DebugString());
}

TEST_F(GenerateTest, PromptsComeFromStandardInputOrBecomeChats) {
  server_.inference.answers["m"].pieces = {"x"};
  console_.Type("two\nlines\n");
  console_.CloseInput();
  ASSERT_EQ(Generate({"--model", "m", "-"}), ExitCode::kOk);
  EXPECT_EQ(server_.inference.requests()[0].text(), "two\nlines");

  ASSERT_EQ(Generate({"--model", "m", "--system", "Be brief.", "Hello"}), ExitCode::kOk);
  const v1::Chat chat = server_.inference.requests()[1].chat();
  ASSERT_EQ(chat.messages_size(), 2);
  EXPECT_EQ(chat.messages(0).role(), "system");
  EXPECT_EQ(chat.messages(0).content(), "Be brief.");
  EXPECT_EQ(chat.messages(1).role(), "user");
  EXPECT_EQ(chat.messages(1).content(), "Hello");

  ASSERT_EQ(Generate({"--model", "m", "--chat", "--", "--dashes"}), ExitCode::kOk);
  EXPECT_EQ(server_.inference.requests()[2].chat().messages(0).content(), "--dashes");
}

TEST_F(GenerateTest, SeveralModelsAnswerInLinesWithTheirNames) {
  server_.inference.answers["base"].pieces = {"It is ", "Madrid."};
  server_.inference.answers["pirate"].pieces = {"Arr!\n", "Mad"};
  server_.inference.answers["pirate"].finish = v1::LENGTH;
  EXPECT_EQ(Generate({"--model", "base", "--model", "pirate", "Spain?"}), ExitCode::kOk);
  EXPECT_THAT(OutLines(),
              UnorderedElementsAre("base  │ It is Madrid.", "pirate│ Arr!", "pirate│ Mad…"));
  EXPECT_EQ(server_.inference.requests().size(), 2u);
}

TEST_F(GenerateTest, SeveralChoicesAreSeveralVoices) {
  server_.inference.answers["m"].pieces = {"same"};
  EXPECT_EQ(Generate({"--model", "m", "--n", "2", "hi"}), ExitCode::kOk);
  EXPECT_THAT(OutLines(), ElementsAre("m 1│ same", "m 2│ same"));
}

TEST_F(GenerateTest, OneFailureSparesTheOthers) {
  server_.inference.answers["base"].pieces = {"fine"};
  EXPECT_EQ(Generate({"--model", "base", "--model", "pirat", "hi"}), ExitCode::kRefused);
  EXPECT_THAT(OutLines(), UnorderedElementsAre("base │ fine", "pirat│ ✗ no such adapter"));
  EXPECT_THAT(console_.err.text(), HasSubstr("chorus: pirat: refused: model \"pirat\"\n"));
  EXPECT_THAT(console_.err.text(), HasSubstr("ADAPTER_NOT_FOUND (NOT_FOUND)"));
}

TEST_F(GenerateTest, JsonHasAnObjectALine) {
  server_.inference.answers["m"].pieces = {"a", "b\n"};
  server_.inference.answers["m"].with_logprobs = true;
  EXPECT_EQ(Generate({"--model", "m", "--json", "hi"}), ExitCode::kOk);
  const std::vector<std::string> lines = OutLines();
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0], R"({"event":"started","model":"m","request_id":"r-1","adapter_digest":"",)"
                      R"("adapter_version":0})");
  EXPECT_EQ(lines[2],
            R"({"event":"delta","model":"m","index":0,"text":"b\n","token_ids":[2],"logprobs":)"
            R"([{"token_id":0,"logprob":-0.25,"bytes":[98,10],"top":[{"token_id":0,)"
            R"("logprob":-2.5,"bytes":[111,116,104,101,114]}]}]})");
  EXPECT_EQ(nlohmann::json::parse(lines[3])["finish_reason"], "STOP");
  const auto summary = nlohmann::json::parse(lines[4]);
  EXPECT_EQ(summary["event"], "summary");
  EXPECT_EQ(summary["completion_tokens"], 2);
  EXPECT_EQ(summary["time_to_first_token_us"], 1500);
}

TEST_F(GenerateTest, SaysWhenThePromptDoesNotInvokeAnAdapter) {
  v1::Activation at_seven;
  at_seven.set_position(7);
  server_.inference.answers["not"] = {.pieces = {"fine"}, .activation = v1::Activation()};
  server_.inference.answers["invoked"] = {.pieces = {"fine"}, .activation = at_seven};
  EXPECT_EQ(Generate({"--model", "not", "hi"}), ExitCode::kOk);
  EXPECT_EQ(console_.err.text(), "(the prompt does not invoke not: the base model answered)\n");
  EXPECT_EQ(Generate({"--model", "invoked", "hi"}), ExitCode::kOk);
  EXPECT_EQ(console_.err.text(), "(the prompt does not invoke not: the base model answered)\n");
}

TEST_F(GenerateTest, JsonSaysFromWhereAnActivatedAdapterAnswers) {
  v1::Activation at_seven;
  at_seven.set_position(7);
  server_.inference.answers["not"] = {.pieces = {"fine"}, .activation = v1::Activation()};
  server_.inference.answers["invoked"] = {.pieces = {"fine"}, .activation = at_seven};
  EXPECT_EQ(Generate({"--model", "not", "--json", "hi"}), ExitCode::kOk);
  EXPECT_THAT(OutLines()[0], ::testing::EndsWith(R"(,"activation":{"position":null}})"));
  EXPECT_EQ(Generate({"--model", "invoked", "--json", "hi"}), ExitCode::kOk);
  EXPECT_THAT(console_.out.text(), HasSubstr(R"(,"activation":{"position":7}})"));
  EXPECT_EQ(console_.err.text(), "");
}

TEST_F(GenerateTest, JsonErrorsCarryTheDetail) {
  EXPECT_EQ(Generate({"--model", "nobody", "--json", "hi"}), ExitCode::kRefused);
  const auto error = nlohmann::json::parse(OutLines().back());
  EXPECT_EQ(error["event"], "error");
  EXPECT_EQ(error["model"], "nobody");
  EXPECT_EQ(error["code"], "NOT_FOUND");
  EXPECT_EQ(error["reason"], "ADAPTER_NOT_FOUND");
  EXPECT_EQ(error["expected"], "a name in use");
}

TEST_F(GenerateTest, LogprobsAreATokenALine) {
  server_.inference.answers["m"].pieces = {"a\n"};
  server_.inference.answers["m"].with_logprobs = true;
  EXPECT_EQ(Generate({"--model", "m", "--logprobs", "1", "hi"}), ExitCode::kOk);
  EXPECT_EQ(console_.out.text(), "  -0.250  \"a\\n\"  | \"other\" -2.500\n");
}

TEST_F(GenerateTest, StatsComeOnStandardError) {
  server_.inference.answers["m"].pieces = {"a", "b", "c"};
  server_.inference.answers["m"].finish = v1::LENGTH;
  EXPECT_EQ(Generate({"--model", "m", "--stats", "hi"}), ExitCode::kOk);
  EXPECT_EQ(console_.out.text(), "abc\n");
  const std::vector<std::string> lines =
      absl::StrSplit(console_.err.text(), '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0], HasSubstr("tokens/s"));
  EXPECT_THAT(lines[1], ::testing::MatchesRegex("m +7 +0 +3 .* length"));
}

TEST_F(GenerateTest, AnAnswerThatBreaksOffIsNoSuccess) {
  server_.inference.answers["m"].pieces = {"half"};
  server_.inference.answers["m"].with_summary = false;
  EXPECT_EQ(Generate({"--model", "m", "hi"}), ExitCode::kRefused);
  EXPECT_EQ(console_.out.text(), "half\n");
  EXPECT_THAT(console_.err.text(), HasSubstr("without a summary"));
}

TEST_F(GenerateTest, MistakesOfTheCommandLineSendNothing) {
  console_.in_is_terminal = true;
  const std::vector<std::pair<Args, std::string>> mistakes = {
      {{"hi"}, "--model is missing"},
      {{"--model", "m"}, "PROMPT is missing"},
      {{"--model", "m", "one", "two"}, "\"two\" is one word too many"},
      {{"--model", "m", "--token-ids", "1,x"}, "--token-ids wants numbers"},
      {{"--model", "m", "--token-ids", "1", "hi"}, "exclude each other"},
      {{"--model", "m", "--token-ids", "1", "--chat"}, "exclude each other"},
      {{"--model", "m", "--model", "o", "--request-id", "r", "hi"}, "several models"},
      {{"--model", "m", "--top-k", "1.5", "hi"}, "--top-k wants a whole number, got \"1.5\""},
      {{"--model", "m", "--timeout", "0", "hi"}, "--timeout wants a time above zero"},
      {{"--model", "m", "--logit-bias", "3", "hi"}, "--logit-bias wants ID:BIAS"},
      {{"--model", "m", "--n", "17", "hi"}, "--n wants 1 to 16, got 17"},
      {{"--model", "m", "--frob", "hi"}, "there is no flag --frob"},
      {{"--model", "m", "hi", "--seed"}, "--seed wants a value"},
      {{"--model", "m", "--json=1", "hi"}, "--json takes no value"},
  };
  for (const auto& [args, message] : mistakes) {
    console_.err.Clear();
    EXPECT_EQ(Generate(args), ExitCode::kUsage) << message;
    EXPECT_THAT(console_.err.text(), HasSubstr(message));
    EXPECT_THAT(console_.err.text(), HasSubstr("chorus generate --help"));
  }
  EXPECT_TRUE(server_.inference.requests().empty());
}

TEST(GenerateWithoutServerTest, SaysWhereItLooked) {
  TestConsole console;
  // Port 1 of this machine: nobody listens there.
  EXPECT_EQ(console.Run({"generate", "--server", "127.0.0.1:1", "--model", "m", "hi"}),
            ExitCode::kUnreachable);
  EXPECT_THAT(console.err.text(),
              HasSubstr("cannot reach the server at 127.0.0.1:1: Connection refused"));
}

}  // namespace
}  // namespace chorus::cli
