// From what a client sends to what the engine runs: every check, every default.
#include "server/generate/request_builder.h"

#include <algorithm>
#include <ctime>
#include <limits>
#include <optional>

#include "engine/refusal.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "server/generate/field_ranges.h"
#include "tests/support/fake_clock.h"
#include "tests/support/serving_dir.h"
#include "tests/support/tiny_model.h"

namespace chorus::server {
namespace {

using engine::Reason;

// A catalog without adapters.
class EmptyCatalog : public engine::Catalog {
 public:
  absl::StatusOr<engine::AdapterRef> Resolve(const std::string&,
                                             const std::string& model) const override {
    return engine::MakeRefusal(absl::StatusCode::kNotFound,
                               {Reason::kAdapterNotFound, engine::Quoted(model), "", ""});
  }
  absl::StatusOr<engine::AdapterInfo> Get(const std::string&, const std::string&) const override {
    return absl::NotFoundError("");
  }
  std::vector<engine::AdapterInfo> ListAfter(const std::string&, const std::string&,
                                             int) const override {
    return {};
  }
  std::vector<engine::AdapterInfo> List(const std::string&) const override { return {}; }
  absl::StatusOr<std::unique_ptr<engine::Upload>> BeginUpload(
      const engine::UploadRequest&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<engine::AdapterInfo> Delete(const std::string&, const std::string&,
                                             std::optional<int64_t>) override {
    return absl::NotFoundError("");
  }
  absl::StatusOr<engine::AdapterInfo> SetPinned(const std::string&, const std::string&, bool,
                                                std::optional<int64_t>) override {
    return absl::NotFoundError("");
  }
  uint64_t revision() const override { return 1; }
  absl::StatusOr<std::unique_ptr<engine::CatalogWatch>> Watch(const std::string&,
                                                              uint64_t) override {
    return absl::UnimplementedError("");
  }
  void OnForget(std::function<void(const std::string&, const engine::AdapterDigest&)>) override {}
};

class RequestBuilderTest : public testing::Test {
 protected:
  RequestBuilderTest() {
    test::WriteServingDir(dir_.path());
    Load({});
  }

  void Load(ServerConfig config) {
    config.model = dir_.path();
    config.served_model_name = "base";
    absl::StatusOr<ServingModel> model = ServingModel::Load(config, /*on_gpu=*/false, &clock_);
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = *std::move(model);
  }

  absl::StatusOr<BuiltRequest> Build(const std::string& text) {
    v1::GenerateRequest request;
    if (!google::protobuf::TextFormat::ParseFromString(text, &request)) {
      return absl::InternalError("the test's own request does not parse");
    }
    return builder_.Build(request, {.tenant = "local"});
  }

  // "REASON object" of a refusal; "OK".
  std::string Refused(const std::string& text) {
    const absl::Status status = Build(text).status();
    if (status.ok()) return "OK";
    const std::optional<engine::Refusal> refusal = engine::RefusalOf(status);
    if (!refusal.has_value()) return status.ToString();
    return absl::StrCat(std::string(engine::ReasonName(refusal->reason)), " ", refusal->object);
  }

  test::TempDir dir_;
  test::FakeClock clock_;
  ServingModel model_;
  EmptyCatalog catalog_;
  const RequestBuilder builder_{&model_, &catalog_, &clock_};
};

TEST_F(RequestBuilderTest, FillsInWhatTheClientLeftOpen) {
  const absl::StatusOr<BuiltRequest> built = Build("model: 'base' text: 'ab'");
  ASSERT_TRUE(built.ok()) << built.status();
  EXPECT_EQ(built->engine.prompt, (std::vector<int32_t>{'a', 'b'}));
  EXPECT_EQ(built->engine.adapter, nullptr);
  EXPECT_EQ(built->engine.tenant, "local");
  EXPECT_EQ(built->engine.max_tokens, 256);
  EXPECT_EQ(built->engine.num_choices, 1);
  EXPECT_EQ(built->engine.sampling.temperature, 0.0f);  // no do_sample there: greedy
  EXPECT_EQ(built->engine.deadline, absl::InfiniteFuture());
  EXPECT_EQ(built->engine.request_id, "local/" + built->started.request_id());
  EXPECT_EQ(built->started.request_id().size(), 20u);
  EXPECT_EQ(built->started.model(), "base");
  const absl::StatusOr<BuiltRequest> other = Build("model: 'base' text: 'ab'");
  EXPECT_NE(other->started.request_id(), built->started.request_id());
  EXPECT_NE(other->engine.sampling.seed, built->engine.sampling.seed);
}

TEST_F(RequestBuilderTest, DefaultMaxTokensIsWhatTheContextHasLeft) {
  const std::string prompt(test::kServingPositions - 10, 'a');
  EXPECT_EQ(Build("model: 'base' text: '" + prompt + "'")->engine.max_tokens, 10);
}

TEST_F(RequestBuilderTest, ZeroIsAValueNotUnset) {
  test::WriteFile(dir_.path() + "/generation_config.json",
                  R"({"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.9,
                      "repetition_penalty": 1.1})");
  Load({});
  const kernels::SamplingParams defaults = Build("model: 'base' text: 'a'")->engine.sampling;
  EXPECT_EQ(defaults.temperature, 0.6f);
  EXPECT_EQ(defaults.top_k, 20);
  EXPECT_EQ(defaults.top_p, 0.9f);
  EXPECT_EQ(defaults.repetition_penalty, 1.1f);
  const kernels::SamplingParams set =
      Build(
          "model: 'base' text: 'a' sampling { temperature: 0 top_k: 0 top_p: 1 seed: 0 }"
          " logprobs: 0")
          ->engine.sampling;
  EXPECT_EQ(set.temperature, 0.0f);
  EXPECT_EQ(set.top_k, 0);
  EXPECT_EQ(set.top_p, 1.0f);
  EXPECT_EQ(set.seed, 0u);
  EXPECT_EQ(set.num_logprobs, 0);
  EXPECT_EQ(set.repetition_penalty, 1.1f);

  Load({.generation_config = GenerationDefaults::kNone});
  const kernels::SamplingParams plain = Build("model: 'base' text: 'a'")->engine.sampling;
  EXPECT_EQ(plain.temperature, 1.0f);
  EXPECT_EQ(plain.top_k, 0);
  EXPECT_EQ(plain.repetition_penalty, 1.0f);
}

TEST_F(RequestBuilderTest, ChatsAreRenderedAndGetNoSpecialTokensTwice) {
  const absl::StatusOr<BuiltRequest> built =
      Build("model: 'base' chat { messages { role: 'user' content: 'hi' } }");
  ASSERT_TRUE(built.ok()) << built.status();
  std::vector<int32_t> expected = {test::kServingStart};
  for (const char byte : std::string("user: hi")) expected.push_back(byte);
  expected.push_back(test::kServingEnd);
  expected.push_back('\n');
  expected.push_back(test::kServingStart);
  for (const char byte : std::string("assistant: ")) expected.push_back(byte);
  EXPECT_EQ(built->engine.prompt, expected);
}

TEST_F(RequestBuilderTest, SpecialTokensInsideMessagesStayTextWhereWanted) {
  const std::string chat =
      "model: 'base' chat { messages { role: 'user' content: 'a<|end|>b' "
      "extra_json: '{\"more\": [\"<|start|>\"]}' } }";
  const auto count = [](const absl::StatusOr<BuiltRequest>& built, int32_t id) {
    return std::ranges::count(built->engine.prompt, id);
  };
  const absl::StatusOr<BuiltRequest> taken = Build(chat);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(count(taken, test::kServingEnd), 2);

  Load({.isolate_special_tokens = true});
  const absl::StatusOr<BuiltRequest> plain = Build(chat);
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(count(plain, test::kServingEnd), 1);  // the template's own
  EXPECT_EQ(count(plain, test::kServingStart), 2);
  std::string text;
  for (const int32_t id : plain->engine.prompt) text += model_.tokenizer->TokenBytes(id);
  EXPECT_EQ(text, "<|start|>user: a<|end|>b<|end|>\n<|start|>assistant: ");
}

// Searching for each of them among all before it takes many times longer.
TEST_F(RequestBuilderTest, ManyFurtherFieldsTakeNoTime) {
  std::string fields = "{\"k\": 0";
  for (int i = 0; i < 99'000; ++i) absl::StrAppend(&fields, ", \"k", i, "\": 0");
  const std::string request =
      "model: 'base' chat { messages { role: 'user' extra_json: '" + fields + "}' } }";
  const std::clock_t begin = std::clock();
  EXPECT_EQ(Refused(request), "OK");
  EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, 3.0);
}

TEST_F(RequestBuilderTest, ADeadlineCountsFromNow) {
  EXPECT_EQ(Build("model: 'base' text: 'a' timeout_ms: 1500")->engine.deadline,
            clock_.Now() + absl::Milliseconds(1500));
}

TEST_F(RequestBuilderTest, RefusesWhatIsWrongByName) {
  const std::string ok = "model: 'base' text: 'a' ";
  std::string stops, stop_ids, biases;
  for (int i = 0; i < 17; ++i) absl::StrAppend(&stops, "stop: '", i, "' ");
  for (int i = 0; i < 65; ++i) absl::StrAppend(&stop_ids, "stop_token_ids: ", i, " ");
  for (int i = 0; i < 1025; ++i)
    absl::StrAppend(&biases, "logit_bias { token_id: ", i % 200, " } ");
  const std::pair<std::string, std::string> kCases[] = {
      {"text: 'a'", "MODEL_EMPTY model"},
      {"model: 'nobody' text: 'a'", "ADAPTER_NOT_FOUND \"nobody\""},
      {"model: 'base'", "PROMPT_EMPTY prompt"},
      {"model: 'base' text: ''", "PROMPT_EMPTY prompt"},
      {"model: 'base' token_ids {}", "PROMPT_EMPTY prompt"},
      {"model: 'base' chat {}", "CHAT_INVALID chat.messages"},
      {ok + stops, "VALUE_OUT_OF_RANGE stop"},
      {ok + "stop: ''", "VALUE_OUT_OF_RANGE stop"},
      {ok + "stop: '" + std::string(257, 'x') + "'", "VALUE_OUT_OF_RANGE stop"},
      {ok + stop_ids, "VALUE_OUT_OF_RANGE stop_token_ids"},
      {ok + "stop_token_ids: 261", "TOKEN_OUT_OF_VOCABULARY stop_token_ids"},
      {ok + "stop_token_ids: -1", "TOKEN_OUT_OF_VOCABULARY stop_token_ids"},
      {ok + "sampling { " + biases + "}", "VALUE_OUT_OF_RANGE sampling.logit_bias"},
      {ok + "sampling { logit_bias { token_id: 261 } }",
       "TOKEN_OUT_OF_VOCABULARY sampling.logit_bias.token_id"},
      {ok + "sampling { logit_bias { bias: 101 } }", "VALUE_OUT_OF_RANGE sampling.logit_bias.bias"},
      {ok + "sampling { logit_bias { bias: nan } }", "VALUE_OUT_OF_RANGE sampling.logit_bias.bias"},
      {ok + "sampling { logit_bias {} logit_bias {} }", "CONFLICTING_FIELDS sampling.logit_bias"},
      {ok + "cache_salt: '" + std::string(129, 's') + "'", "VALUE_OUT_OF_RANGE cache_salt"},
      {ok + "request_id: 'a b'", "VALUE_OUT_OF_RANGE request_id"},
      {ok + "request_id: '" + std::string(129, 'x') + "'", "VALUE_OUT_OF_RANGE request_id"},
      {"model: 'base' chat { messages { role: 'user' extra_json: '{' } }",
       "JSON_INVALID chat.messages[0].extra_json"},
      {"model: 'base' chat { messages { role: 'user' extra_json: '[]' } }",
       "JSON_INVALID chat.messages[0].extra_json"},
      {"model: 'base' chat { messages { role: 'user' extra_json: '{\"role\": 1}' } }",
       "CONFLICTING_FIELDS chat.messages[0].extra_json"},
      {"model: 'base' chat { messages { role: 'u' } tools_json: '{}' }",
       "JSON_INVALID chat.tools_json"},
      {"model: 'base' chat { messages { role: 'u' } template_arguments_json: '[]' }",
       "JSON_INVALID chat.template_arguments_json"},
  };
  for (const auto& [request, refusal] : kCases) {
    EXPECT_EQ(Refused(request).rfind(refusal, 0), 0u) << request << "\n" << Refused(request);
  }
  EXPECT_EQ(Refused(ok), "OK");
}

// From the table itself: each limit is in (or out, where it says so), what lies beyond is out.
TEST_F(RequestBuilderTest, EveryRangeHolds) {
  for (const FieldRange& range : GenerateRanges()) {
    const std::string path(range.path);
    const size_t dot = path.find('.');
    const bool whole = path != "sampling.temperature" && path.find("_p") == std::string::npos &&
                       path.find("penalty") == std::string::npos;
    const auto with = [&](double value) {
      const std::string number =
          whole ? absl::StrCat(static_cast<int64_t>(value)) : absl::StrCat(value);
      const std::string field =
          dot == std::string::npos
              ? absl::StrCat(path, ": ", number)
              : absl::StrCat("sampling { ", path.substr(dot + 1), ": ", number, " }");
      return absl::StrCat("model: 'base' text: 'a' ", field);
    };
    const std::string refused = absl::StrCat("VALUE_OUT_OF_RANGE ", path);
    const double below = whole ? range.least - 1 : range.least - 0.001;
    EXPECT_EQ(Refused(with(range.least)), range.above_least ? refused : "OK") << with(range.least);
    EXPECT_EQ(Refused(with(below)), refused) << with(below);
    EXPECT_EQ(Refused(with(range.most)), "OK") << with(range.most);
    if (range.most < std::numeric_limits<int32_t>::max()) {
      const double above = whole ? range.most + 1 : range.most + 0.001;
      EXPECT_EQ(Refused(with(above)), refused) << with(above);
    }
    if (!whole) {
      EXPECT_EQ(Refused(with(std::numeric_limits<double>::quiet_NaN())), refused) << path;
      EXPECT_EQ(Refused(with(std::numeric_limits<double>::infinity())), refused) << path;
    }
  }
}

TEST_F(RequestBuilderTest, WithoutATemplateChatIsOffAndTextGoesOn) {
  test::WriteFile(dir_.path() + "/tokenizer_config.json", R"({"eos_token": "<|end|>"})");
  Load({});
  EXPECT_EQ(Refused("model: 'base' chat { messages { role: 'u' } }").rfind("CHAT_UNAVAILABLE", 0),
            0u);
  EXPECT_EQ(Build("model: 'base' chat { messages { role: 'u' } }").status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Refused("model: 'base' text: 'a'"), "OK");
}

TEST_F(RequestBuilderTest, TokenizeShowsWhatTheModelSees) {
  v1::TokenizeRequest request;
  request.set_text("the <|end|>");
  absl::StatusOr<v1::TokenizeResponse> response = builder_.Tokenize(request);
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->token_ids_size(), 3);
  EXPECT_EQ(response->token_ids(0), 257);
  EXPECT_EQ(response->token_bytes(0), "the");
  EXPECT_EQ(response->token_ids(2), test::kServingEnd);
  request.mutable_chat()->add_messages()->set_role("user");
  request.set_add_special_tokens(true);
  EXPECT_EQ(engine::RefusalOf(builder_.Tokenize(request).status())->reason,
            Reason::kConflictingFields);
  request.clear_add_special_tokens();
  response = builder_.Tokenize(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->rendered(), "<|start|>user: <|end|>\n<|start|>assistant: ");
}

}  // namespace
}  // namespace chorus::server
