// The demonstration model's own chat template, over the conversations of tests/golden/chat, against
// digests of what transformers makes of them. Needs the directory that deploy/convert_smollm2.py
// makes: CHORUS_SMOLLM2, or build/models/smollm2.
#include <openssl/evp.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/escaping.h"
#include "engine/text/chat_template.h"
#include "gtest/gtest.h"

namespace chorus::engine {
namespace {

using jinja::Json;

std::string ModelDir() {
  const char* const dir = std::getenv("CHORUS_SMOLLM2");
  return dir != nullptr ? dir : std::string(CHORUS_SOURCE_DIR) + "/build/models/smollm2";
}

Json ReadJson(const std::string& path) {
  std::ifstream in(path);
  return Json::parse(in, nullptr, /*allow_exceptions=*/false);
}

std::string Sha256(const std::string& text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest), size});
}

// The context as transformers got it, in the fields of a request.
ChatTemplate::Request RequestOf(Json context) {
  ChatTemplate::Request request{.messages = context["messages"], .tools = {}};
  if (!context["tools"].is_null()) request.tools = context["tools"];
  request.add_generation_prompt = context["add_generation_prompt"].get<bool>();
  for (const char* field : {"messages", "tools", "add_generation_prompt"}) context.erase(field);
  request.arguments = std::move(context);
  return request;
}

TEST(SmolLm2ChatTest, RendersAsTransformers) {
  const std::string dir = ModelDir();
  if (!std::filesystem::exists(dir + "/tokenizer_config.json")) {
    GTEST_SKIP() << dir << " is not there: make it with deploy/convert_smollm2.py, or say in "
                 << "CHORUS_SMOLLM2 where it is";
  }
  const Json golden =
      ReadJson(std::string(CHORUS_SOURCE_DIR) + "/tests/golden/data/smollm2_chat.json");
  const Json config = ReadJson(dir + "/tokenizer_config.json");
  ASSERT_EQ(Sha256(config["chat_template"].get<std::string>()), golden["template_sha256"]);

  const auto tokenizer = Tokenizer::Load(dir);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto chat = ChatTemplate::Load(dir, "", **tokenizer, [] { return absl::UnixEpoch(); });
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_GT(golden["conversations"].size(), 40u);
  for (const Json& conversation : golden["conversations"]) {
    SCOPED_TRACE(conversation["name"]);
    const auto text = chat->Render(RequestOf(conversation["context"]));
    if (conversation.contains("refused")) {
      EXPECT_EQ(text.status().code(), absl::StatusCode::kInvalidArgument) << text.status();
    } else {
      ASSERT_TRUE(text.ok()) << text.status();
      EXPECT_EQ(Sha256(*text), conversation["sha256"]) << *text;
    }
  }
}

}  // namespace
}  // namespace chorus::engine
