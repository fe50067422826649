// A tokenizer.json that we would read differently than its author meant is refused at start, by the
// name of the component.
#include <ostream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/text/tiny_tokenizer.h"

namespace chorus::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Refused {
  const char* name;
  const char* patch;      // over TinyTokenizer()
  const char* component;  // both in the message
  const char* complaint;
  friend std::ostream& operator<<(std::ostream& out, const Refused& r) { return out << r.name; }
};

constexpr Refused kRefused[] = {
    {"OtherVersion", R"({"version": "2.0"})", "version is 2.0", "want 1.0"},
    {"NoModel", R"({"model": null})", "\"model\" is missing", "want an object"},

    {"UnknownNormalizer", R"({"normalizer": {"type": "Nmt"}})", "normalizer", "Nmt"},
    {"Precompiled", R"({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AA=="}})",
     "normalizer", "Precompiled"},
    {"BertNormalizer", R"({"normalizer": {"type": "BertNormalizer"}})", "normalizer",
     "BertNormalizer"},
    {"NormalizerInASequence",
     R"({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Nmt"}]}})",
     "normalizer", "Nmt"},
    {"NormalizerWithoutType", R"({"normalizer": {"strip_left": true}})", "normalizer",
     "\"type\" is missing"},
    {"NormalizerIsText", R"({"normalizer": "NFC"})", "normalizer", "want an object"},
    {"SequenceWithoutSteps", R"({"normalizer": {"type": "Sequence"}})", "normalizer",
     "\"normalizers\" is missing"},
    {"StripWithoutSides", R"({"normalizer": {"type": "Strip", "strip_left": true}})",
     "normalizer Strip", "\"strip_right\" is missing"},
    {"PrependOfNumber", R"({"normalizer": {"type": "Prepend", "prepend": 3}})",
     "normalizer Prepend", "want a string"},
    {"ReplaceWithoutContent", R"({"normalizer": {"type": "Replace", "pattern": {"String": "a"}}})",
     "normalizer Replace", "\"content\" is missing"},
    {"BrokenExpression",
     R"({"normalizer": {"type": "Replace", "pattern": {"Regex": "(a"}, "content": ""}})",
     "normalizer Replace", "a group that does not end"},

    {"UnknownPreTokenizer", R"({"pre_tokenizer": {"type": "UnicodeScripts"}})", "pre_tokenizer",
     "UnicodeScripts"},
    {"BertPreTokenizer", R"({"pre_tokenizer": {"type": "BertPreTokenizer"}})", "pre_tokenizer",
     "BertPreTokenizer"},
    {"UnknownBehavior",
     R"({"pre_tokenizer": {"type": "Split", "pattern": {"String": "a"}, "behavior": "Kept",
         "invert": false}})",
     "pre_tokenizer Split", "Kept"},
    {"SplitWithoutPattern",
     R"({"pre_tokenizer": {"type": "Split", "behavior": "Removed", "invert": false}})",
     "pre_tokenizer Split", "\"pattern\" is missing"},
    {"LongMetaspace",
     R"({"pre_tokenizer": {"type": "Metaspace", "replacement": "__", "prepend_scheme": "first"}})",
     "pre_tokenizer Metaspace", "want one character"},
    {"UnknownScheme",
     R"({"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"}})",
     "pre_tokenizer Metaspace", "last"},
    {"SchemesAtOdds",
     R"({"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always",
         "add_prefix_space": false}})",
     "pre_tokenizer Metaspace", "never where \"add_prefix_space\" is false"},
    {"DigitsWithoutChoice", R"({"pre_tokenizer": {"type": "Digits"}})", "pre_tokenizer Digits",
     "\"individual_digits\" is missing"},

    {"WordPiece", R"({"model": {"type": "WordPiece"}})", "model", "WordPiece"},
    {"Unigram", R"({"model": {"type": "Unigram"}})", "model", "Unigram"},
    {"Dropout", R"({"model": {"dropout": 0.1}})", "model BPE", "dropout"},
    {"Prefix", R"({"model": {"continuing_subword_prefix": "##"}})", "model BPE",
     "continuing_subword_prefix"},
    {"Suffix", R"({"model": {"end_of_word_suffix": "</w>"}})", "model BPE", "end_of_word_suffix"},
    {"NoVocabulary", R"({"model": {"vocab": null}})", "model BPE", "\"vocab\" is missing"},
    {"NegativeId", R"({"model": {"vocab": {"b": -1}}})", "model BPE", "the id of \"b\" is -1"},
    {"HugeId", R"({"model": {"vocab": {"b": 4000000000}}})", "model BPE", "the id of \"b\""},
    {"SharedId", R"({"model": {"vocab": {"b": 1}}})", "model BPE", "share the id 1"},
    {"MergesAreText", R"({"model": {"merges": "a b"}})", "model BPE", "want an array"},
    {"MergeOfThree", R"({"model": {"merges": ["a b c"]}})", "model BPE", "want two tokens"},
    {"MergeOfNumbers", R"({"model": {"merges": [[1, 2]]}})", "model BPE", "merge 0 is array"},
    {"MergeOfUnknown", R"({"model": {"merges": [["a", "z"]]}})", "model BPE",
     "\"z\" is not in the vocabulary"},
    {"MergeToUnknown", R"({"model": {"merges": [["b", "c"]]}})", "model BPE",
     "\"bc\" is not in the vocabulary"},
    {"UnknownTokenIsUnknown", R"({"model": {"unk_token": "<unk>"}})", "model BPE",
     "unk_token \"<unk>\""},

    {"TokensAreText", R"({"added_tokens": "<s>"})", "added_tokens", "want an array"},
    {"TokenIsText", R"({"added_tokens": ["<s>"]})", "added_tokens", "want an object"},
    {"TokenWithoutFlags", R"({"added_tokens": [{"id": 6, "content": "<s>"}]})",
     "added token \"<s>\"", "\"single_word\" is missing"},
    {"TokenElsewhere",
     R"({"added_tokens": [{"id": 9, "content": "<s>", "single_word": false, "lstrip": false,
         "rstrip": false, "normalized": false, "special": true}]})",
     "added token \"<s>\"", "id is 9, want 6"},

    {"UnknownPostProcessor", R"({"post_processor": {"type": "RobertaProcessing"}})",
     "post_processor", "RobertaProcessing"},
    {"TemplateWithoutText",
     R"({"post_processor": {"type": "TemplateProcessing", "single": [], "special_tokens": {}}})",
     "post_processor TemplateProcessing", "leaves out the text"},
    {"TemplateOfThePair",
     R"({"post_processor": {"type": "TemplateProcessing", "special_tokens": {},
         "single": [{"Sequence": {"id": "B", "type_id": 0}}]}})",
     "post_processor TemplateProcessing", "sequence B"},
    {"TemplateOfUnknownToken",
     R"({"post_processor": {"type": "TemplateProcessing", "special_tokens": {},
         "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                    {"Sequence": {"id": "A", "type_id": 0}}]}})",
     "post_processor TemplateProcessing", "\"<s>\" is missing"},

    {"UnknownDecoder", R"({"decoder": {"type": "CTC"}})", "decoder", "CTC"},
    {"WordPieceDecoder", R"({"decoder": {"type": "WordPiece"}})", "decoder", "WordPiece"},
    {"StripOfTwo", R"({"decoder": {"type": "Strip", "content": "ab", "start": 1, "stop": 0}})",
     "decoder Strip", "want exactly one"},
    {"StripBackwards", R"({"decoder": {"type": "Strip", "content": "a", "start": -1, "stop": 0}})",
     "decoder Strip", "\"start\" is -1"},
    {"ReplaceByNothing",
     R"({"decoder": {"type": "Replace", "pattern": {"Glob": "*"}, "content": ""}})",
     "decoder Replace", "\"Regex\" is missing"},
};

class TokenizerRefusalTest : public testing::TestWithParam<Refused> {};

TEST_P(TokenizerRefusalTest, NamesTheComponent) {
  const auto loaded = LoadTokenizer(Patched(GetParam().patch).dump());
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(loaded.status().message()),
              AllOf(HasSubstr("/tokenizer.json: "), HasSubstr(GetParam().component),
                    HasSubstr(GetParam().complaint)));
}

INSTANTIATE_TEST_SUITE_P(Table, TokenizerRefusalTest, testing::ValuesIn(kRefused),
                         [](const auto& info) { return info.param.name; });

TEST(TokenizerRefusalTest, TheUnchangedOneLoads) {
  EXPECT_TRUE(LoadTokenizer(TinyTokenizer().dump()).ok());
}

TEST(TokenizerRefusalTest, WhatIsNotJson) {
  const std::string whole = TinyTokenizer().dump();
  for (size_t length = 0; length < whole.size(); length += 5) {
    const auto loaded = LoadTokenizer(whole.substr(0, length));
    ASSERT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument) << length;
  }
  for (const char* const text : {"[]", "3", "\"\xFF\"", "{\"model\": \"\\ud800\"}"}) {
    EXPECT_EQ(LoadTokenizer(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(TokenizerRefusalTest, NestingAndLength) {
  std::string nested = "{\"type\": \"NFC\"}";
  for (int i = 0; i < 20; ++i) nested = R"({"type": "Sequence", "normalizers": [)" + nested + "]}";
  EXPECT_THAT(
      std::string(
          LoadTokenizer(Patched("{\"normalizer\":" + nested + "}").dump()).status().message()),
      HasSubstr("nested too deeply"));
  std::string steps = "{\"type\": \"NFC\"}";
  for (int i = 0; i < 70; ++i) steps += ",{\"type\": \"NFC\"}";
  const std::string patch =
      R"({"normalizer": {"type": "Sequence", "normalizers": [)" + steps + "]}}";
  EXPECT_THAT(std::string(LoadTokenizer(Patched(patch).dump()).status().message()),
              HasSubstr("more than 64 steps"));
  const std::string deep(100000, '[');
  EXPECT_EQ(LoadTokenizer("{\"x\": " + deep).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(TokenizerRefusalTest, ConfigThatContradictsTheTokenizer) {
  const auto message = [](const char* config) {
    return std::string(LoadTokenizer(TinyTokenizer().dump(), config).status().message());
  };
  EXPECT_EQ(message(R"({"added_tokens_decoder": {"6": {"content": "<s>", "special": true}}})"), "");
  EXPECT_THAT(message(R"({"added_tokens_decoder": {"6": {"content": "</s>"}}})"),
              HasSubstr("token 6 is \"<s>\", but tokenizer_config.json has \"</s>\""));
  EXPECT_THAT(message(R"({"added_tokens_decoder": {"99": {"content": "</s>"}}})"),
              HasSubstr("token 99 is missing"));
  EXPECT_THAT(message(R"({"added_tokens_decoder": {"x": {"content": "</s>"}}})"),
              HasSubstr("added_tokens_decoder x"));
  EXPECT_THAT(message(R"({"bos_token": 3})"), HasSubstr("tokenizer_config.json bos_token"));
  EXPECT_THAT(message(R"({"add_bos_token": "yes"})"), HasSubstr("\"add_bos_token\" is string"));
  EXPECT_THAT(message("{"), HasSubstr("tokenizer_config.json"));
}

TEST(TokenizerRefusalTest, DirectoryWithoutATokenizer) {
  const TempDir dir;
  EXPECT_EQ(engine::Tokenizer::Load(dir.path()).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace chorus::test
