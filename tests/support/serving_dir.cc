#include "tests/support/serving_dir.h"

#include "engine/text/byte_alphabet.h"
#include "engine/text/utf8.h"
#include "tests/support/tiny_model.h"

namespace chorus::test {
namespace {

constexpr char kChatTemplate[] =
    "{% for message in messages %}<|start|>{{ message.role }}: {{ message.content }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant: {% endif %}";

std::string Spell(const std::string& bytes) {
  std::string spelled;
  for (const char byte : bytes) {
    engine::AppendUtf8(engine::CharacterOfByte(static_cast<uint8_t>(byte)), &spelled);
  }
  return spelled;
}

engine::Json Special(int32_t id, const std::string& content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

engine::Json Tokenizer() {
  engine::Json vocabulary = engine::Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary[Spell(std::string(1, static_cast<char>(byte)))] = byte;
  }
  vocabulary["th"] = 256;
  vocabulary["the"] = 257;
  vocabulary[Spell(" the")] = 258;
  const engine::Json byte_level = {{"type", "ByteLevel"},
                                   {"add_prefix_space", false},
                                   {"trim_offsets", true},
                                   {"use_regex", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", engine::Json::array({Special(kServingStart, "<|start|>"),
                                                Special(kServingEnd, "<|end|>")})},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"vocab", vocabulary},
            {"merges", engine::Json::array({"t h", "th e", Spell(" ") + " the"})}}}};
}

}  // namespace

void WriteServingDir(const std::string& dir, ServingHeads heads) {
  engine::Json fields = {{"vocab_size", kServingVocabulary},
                         {"max_position_embeddings", kServingPositions},
                         {"eos_token_id", kServingEnd}};
  if (heads == ServingHeads::kOfGpus) {
    fields.update({{"head_dim", 64}, {"hidden_size", 64}, {"intermediate_size", 96}});
  }
  TinyModel::Make("LlamaForCausalLM", fields).Write(dir);
  WriteFile(dir + "/tokenizer.json", Tokenizer().dump(1));
  const engine::Json config = {{"eos_token", "<|end|>"}, {"chat_template", kChatTemplate}};
  WriteFile(dir + "/tokenizer_config.json", config.dump(1));
}

}  // namespace chorus::test
