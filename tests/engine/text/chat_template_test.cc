// The layer between a model's directory and the template interpreter: where templates come from,
// what they see, and how refusals read. The interpreter's own tests lie in jinja/.
#include "engine/text/chat_template.h"

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "engine/refusal.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace chorus::engine {
namespace {

using jinja::Json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Knows nothing but the names of its special tokens.
class NamesOnlyTokenizer : public Tokenizer {
 public:
  explicit NamesOnlyTokenizer(const TokenizerConfig& config) { ResolveSpecialTokens(config); }
  using Tokenizer::Encode;
  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view,
                                              const EncodeOptions&) const override {
    return absl::UnimplementedError("no vocabulary");
  }
  std::unique_ptr<DecodeStream> NewDecodeStream(bool) const override { return nullptr; }
  std::string TokenBytes(int32_t) const override { return ""; }
  std::optional<std::string> TokenText(int32_t) const override { return std::nullopt; }
  std::optional<int32_t> TokenId(std::string_view) const override { return std::nullopt; }
  bool IsSpecial(int32_t) const override { return false; }
  int32_t size() const override { return 0; }
};

// A model's directory with the given files, and what is loaded from it.
class ChatTemplateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/chat_XXXXXX";
    dir_ = mkdtemp(pattern.data());
    ASSERT_FALSE(dir_.empty());
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  void Write(const std::string& file, const std::string& text) {
    const std::filesystem::path path = std::filesystem::path(dir_) / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  void WriteJson(const std::string& file, const Json& json) { Write(file, json.dump()); }

  absl::StatusOr<ChatTemplate> Load(const std::string& file = "") {
    const auto config = TokenizerConfig::Read(dir_);
    return ChatTemplate::Load(dir_, file, NamesOnlyTokenizer(config.value_or(TokenizerConfig())),
                              [] { return absl::FromUnixSeconds(1'700'000'000); });
  }
  // What the loaded template makes of one message.
  std::string Rendered(const ChatTemplate::Request& request = Hello()) {
    const auto loaded = Load();
    if (!loaded.ok()) return absl::StrCat("not loaded: ", loaded.status().message());
    return Text(*loaded, request);
  }
  static std::string Text(const ChatTemplate& loaded, const ChatTemplate::Request& request) {
    const absl::StatusOr<std::string> text = loaded.Render(request);
    return text.ok() ? *text : absl::StrCat("refused: ", text.status().message());
  }
  static ChatTemplate::Request Hello() {
    return {.messages = Json::parse(R"([{"role": "user", "content": "Hello"}])"), .tools = {}};
  }

  std::string dir_;
};

Reason ReasonOf(const absl::Status& status) { return RefusalOf(status).value_or(Refusal()).reason; }

TEST_F(ChatTemplateTest, PrefersTheJinjaFileThenTheProcessorsThenTheTokenizers) {
  WriteJson("tokenizer_config.json", {{"chat_template", "of the tokenizer"}});
  EXPECT_EQ(Rendered(), "of the tokenizer");
  WriteJson("chat_template.json", {{"chat_template", "of the processor"}});
  EXPECT_EQ(Rendered(), "of the processor");
  Write("chat_template.jinja", "of the file");
  EXPECT_EQ(Rendered(), "of the file");
}

TEST_F(ChatTemplateTest, FileReplacesWhatTheModelHas) {
  Write("chat_template.jinja", "{% of the model");
  Write("mine.txt", "of the operator");
  const auto loaded = Load(dir_ + "/mine.txt");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(Text(*loaded, Hello()), "of the operator");
}

TEST_F(ChatTemplateTest, TakesTheTemplateForToolsOnlyWithTools) {
  const Json list = {{{"name", "default"}, {"template", "plain"}},
                     {{"name", "rag"}, {"template", "{% broken"}},
                     {{"name", "tool_use"}, {"template", "tools: {{ tools | length }}"}}};
  WriteJson("tokenizer_config.json", {{"chat_template", list}});
  EXPECT_EQ(Rendered(), "plain");
  ChatTemplate::Request request = Hello();
  request.tools = Json::array();
  EXPECT_EQ(Rendered(request), "tools: 0");

  Write("chat_template.jinja", "file");
  EXPECT_EQ(Rendered(request), "file");
  Write("additional_chat_templates/tool_use.jinja", "file for tools");
  EXPECT_EQ(Rendered(request), "file for tools");
  EXPECT_EQ(Rendered(), "file");
}

TEST_F(ChatTemplateTest, TemplateForToolsAloneNeedsTools) {
  const Json list = {{{"name", "tool_use"}, {"template", "with tools"}}};
  WriteJson("tokenizer_config.json", {{"chat_template", list}});
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const absl::Status status = loaded->Render(Hello()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(status), Reason::kChatUnavailable);
}

TEST_F(ChatTemplateTest, ModelWithoutTemplateIsNotFound) {
  WriteJson("tokenizer_config.json", {{"bos_token", "<s>"}});
  const absl::Status status = Load().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(status), Reason::kChatUnavailable);
}

TEST_F(ChatTemplateTest, BrokenTemplateIsNamedWithItsLine) {
  Write("chat_template.jinja", "one\ntwo\n{% for %}");
  const absl::Status status = Load().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(status), Reason::kChatUnavailable);
  EXPECT_THAT(std::string(status.message()), StartsWith("chat_template.jinja, line 3: "));
}

TEST_F(ChatTemplateTest, BrokenFilesOfTheModelTurnChatOff) {
  for (const char* config :
       {"{", "[]", R"({"chat_template": 7})", R"({"chat_template": [{"name": "default"}]})"}) {
    Write("tokenizer_config.json", config);
    const absl::Status status = Load().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << config;
    EXPECT_THAT(std::string(status.message()), HasSubstr("tokenizer_config.json")) << config;
  }
}

TEST_F(ChatTemplateTest, FileThatWasAskedForMustWork) {
  Write("broken.jinja", "{{ 1 + }}");
  for (const char* file : {"/missing.jinja", "/broken.jinja"}) {
    const absl::Status status = Load(dir_ + file).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << file;
    EXPECT_THAT(std::string(status.message()), HasSubstr(file)) << file;
  }
}

TEST_F(ChatTemplateTest, TemplateSeesWhatTransformersShowsIt) {
  WriteJson("tokenizer_config.json", {{"bos_token", {{"content", "<s>"}, {"lstrip", false}}},
                                      {"eos_token", "</s>"},
                                      {"sep_token", "<sep>"},
                                      {"additional_special_tokens", {"<a>", {{"content", "<b>"}}}},
                                      {"extra_special_tokens", {{"image_token", "<image>"}}},
                                      {"pad_token", nullptr}});
  Write("chat_template.jinja",
        "{{ bos_token }} {{ eos_token }} {{ sep_token }} {{ image_token }} "
        "{{ additional_special_tokens }} {{ pad_token is defined }} {{ tools is none }} "
        "{{ documents is none }} {{ add_generation_prompt }} {{ messages[0].content }} "
        "{{ strftime_now('%Y') }}");
  EXPECT_EQ(Rendered(), "<s> </s> <sep> <image> ['<a>', '<b>'] False True True True Hello 2023");
}

TEST_F(ChatTemplateTest, ArgumentsAreVariables) {
  WriteJson("tokenizer_config.json", {{"bos_token", "<s>"}});
  Write("chat_template.jinja",
        "{{ bos_token }}{{ enable_thinking }}{{ documents | length }}{{ add_generation_prompt }}");
  ChatTemplate::Request request = Hello();
  request.arguments = {{"enable_thinking", false}, {"bos_token", "<B>"}, {"documents", {1, 2}}};
  request.add_generation_prompt = false;
  EXPECT_EQ(Rendered(request), "<B>False2False");
}

// Searching for each of them among all before it takes many times longer.
TEST_F(ChatTemplateTest, ManyArgumentsTakeNoTime) {
  Write("chat_template.jinja", "{{ a98999 }}");
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ChatTemplate::Request request = Hello();
  auto* const arguments = request.arguments.get_ptr<Json::object_t*>();
  for (int i = 0; i < 99'000; ++i) arguments->emplace_back(absl::StrCat("a", i), i);
  const std::clock_t begin = std::clock();
  EXPECT_EQ(Text(*loaded, request), "98999");
  EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, 3.0);
}

TEST_F(ChatTemplateTest, ArgumentsMayNotReplaceFields) {
  Write("chat_template.jinja", "{{ messages }}");
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  for (const char* name : {"messages", "tools", "add_generation_prompt"}) {
    ChatTemplate::Request request = Hello();
    request.arguments[name] = 1;
    const absl::Status status = loaded->Render(request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_EQ(ReasonOf(status), Reason::kConflictingFields) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
}

TEST_F(ChatTemplateTest, MessagesMustBeObjects) {
  Write("chat_template.jinja", "fine");
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  for (const char* messages : {"[]", "{}", "null", R"([{"role": "user"}, "x"])"}) {
    const absl::Status status =
        loaded->Render({.messages = Json::parse(messages), .tools = {}}).status();
    EXPECT_EQ(ReasonOf(status), Reason::kChatInvalid) << messages;
  }
}

TEST_F(ChatTemplateTest, RefusalOfTheTemplateKeepsItsWordsAndLine) {
  Write("chat_template.jinja", "\n{{ raise_exception('Roles must alternate: ' ~ 'x' * 5000) }}");
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const absl::Status status = loaded->Render(Hello()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), Reason::kChatInvalid);
  EXPECT_THAT(std::string(status.message()),
              StartsWith("chat_template.jinja, line 2: Roles must alternate: xxx"));
  EXPECT_LT(status.message().size(), 1100u);
}

TEST_F(ChatTemplateTest, TemplateThatNeverEndsIsStopped) {
  Write("chat_template.jinja",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}");
  const auto loaded = Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(ReasonOf(loaded->Render(Hello()).status()), Reason::kChatInvalid);
}

TEST(ParseChatJsonTest, KeepsOrderAndRefusesByName) {
  const auto json = ParseChatJson(R"({"b": 1, "a": [true, null, 1.5, "ü"]})", "tools_json");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(json->dump(), R"({"b":1,"a":[true,null,1.5,"ü"]})");

  std::string many = "[0";
  for (int i = 0; i < 100'000; ++i) many += ",0";
  for (const std::string& bad :
       {std::string(""), std::string("{"), std::string("[1,]"), std::string("{\"a\":1,\"a\":2}"),
        std::string("\"\xff\""), std::string("\"\\ud800\""), std::string("1 2"),
        std::string("123456789012345678901234567890"), std::string("1e999"), many + "]",
        std::string(17, '[') + std::string(17, ']'), std::string((4 << 20) + 1, ' ')}) {
    const absl::Status status = ParseChatJson(bad, "tools_json").status();
    EXPECT_EQ(ReasonOf(status), Reason::kJsonInvalid) << bad.substr(0, 40);
    EXPECT_THAT(std::string(status.message()), StartsWith("tools_json: ")) << bad.substr(0, 40);
  }
  EXPECT_TRUE(ParseChatJson(std::string(16, '[') + std::string(16, ']'), "x").ok());
}

}  // namespace
}  // namespace chorus::engine
