// What callers rely on beside equality with Hugging Face: refusals of texts, streams, bytes and
// names of tokens.
#include "engine/text/tokenizer.h"

#include "engine/text/detokenizer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/text/text_golden.h"
#include "tests/engine/text/tiny_tokenizer.h"

namespace chorus::test {
namespace {

using engine::Detokenizer;
using engine::Tokenizer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Ids = std::vector<int32_t>;

std::unique_ptr<Tokenizer> Golden(const std::string& name) {
  return LoadGoldenTokenizer(name).value();
}

struct BadText {
  std::string text;
  int offset;
  const char* byte;
};

TEST(TokenizerTest, InvalidUtf8IsRefusedWithItsOffset) {
  const std::vector<BadText> bad = {
      {"\xFF", 0, "0xff"},
      {"abc\x80", 3, "0x80"},           // a continuation alone
      {"caf\xC3", 3, "0xc3"},           // cut off
      {"caf\xC3(", 3, "0xc3"},          // not continued
      {"ab\xE2\x82", 2, "0xe2"},        // cut off in the third byte
      {"\xC0\xAF", 0, "0xc0"},          // an overlong '/'
      {"\xE0\x80\xAF", 0, "0xe0"},      // the same in three bytes
      {"x\xED\xA0\x80", 1, "0xed"},     // a surrogate
      {"\xF4\x90\x80\x80", 0, "0xf4"},  // above U+10FFFF
      {"long enough text \xF8\x88\x80\x80\x80", 17, "0xf8"},
      {std::string("a\0b\xFE", 4), 3, "0xfe"},
  };
  for (const char* const name : {"llama3", "llama2", "qwen2"}) {
    const auto tokenizer = Golden(name);
    for (const BadText& text : bad) {
      const auto ids = tokenizer->Encode(text.text);
      ASSERT_EQ(ids.status().code(), absl::StatusCode::kInvalidArgument) << text.text;
      EXPECT_THAT(std::string(ids.status().message()),
                  HasSubstr("invalid byte " + std::string(text.byte) + " at offset " +
                            std::to_string(text.offset)));
    }
    EXPECT_TRUE(tokenizer->Encode("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xEF\xBF\xBF").ok());
  }
}

// The ids of single bytes in a byte-level vocabulary, or of <0xNN>.
Ids ByteIds(const Tokenizer& tokenizer, const std::string& bytes) {
  std::vector<int32_t> id_of_byte(256, -1);
  for (int32_t id = 0; id < tokenizer.size(); ++id) {
    const std::string token = tokenizer.TokenBytes(id);
    if (token.size() == 1) id_of_byte[static_cast<uint8_t>(token[0])] = id;
  }
  Ids ids;
  for (const char byte : bytes) ids.push_back(id_of_byte[static_cast<uint8_t>(byte)]);
  return ids;
}

std::vector<std::string> Pieces(const Tokenizer& tokenizer, const Ids& ids) {
  Detokenizer detokenizer(&tokenizer);
  std::vector<std::string> pieces;
  for (const int32_t id : ids) pieces.push_back(detokenizer.Append(id));
  pieces.push_back(detokenizer.Flush());
  return pieces;
}

TEST(DetokenizerTest, HoldsABeginningUntilTheCharacterIsWhole) {
  const auto tokenizer = Golden("llama3");
  EXPECT_THAT(Pieces(*tokenizer, ByteIds(*tokenizer, "a\xE2\x82\xAC!")),
              ElementsAre("a", "", "", "\u20AC", "!", ""));
}

TEST(DetokenizerTest, BytesThatAreNoCharacterBecomeOneReplacementEach) {
  const auto tokenizer = Golden("llama3");
  EXPECT_THAT(Pieces(*tokenizer, ByteIds(*tokenizer, "\xE2\x82")),
              ElementsAre("", "", "\uFFFD"));  // one maximal part
  EXPECT_THAT(Pieces(*tokenizer, ByteIds(*tokenizer, "\xE2\x41\x80\xFF")),
              ElementsAre("",
                          "\uFFFD"
                          "A",
                          "\uFFFD", "\uFFFD", ""));
  EXPECT_THAT(Pieces(*tokenizer, ByteIds(*tokenizer, "\xED\xA0\x80")),
              ElementsAre("", "\uFFFD\uFFFD", "\uFFFD", ""));  // a surrogate is three parts
}

TEST(DetokenizerTest, ARunOfFallbackBytesIsTextOnlyAsAWhole) {
  const auto tokenizer = Golden("llama2");
  const auto byte = [&](const char* name) { return tokenizer->TokenId(name).value(); };
  const int32_t word = tokenizer->TokenId("▁the").value();
  EXPECT_THAT(Pieces(*tokenizer, {word, byte("<0xE2>"), byte("<0x82>"), byte("<0xAC>"), word}),
              ElementsAre("the", "", "", "", "\u20AC the", ""));
  EXPECT_THAT(Pieces(*tokenizer, {byte("<0x41>"), byte("<0xFF>")}),
              ElementsAre("", "", "\uFFFD\uFFFD"));  // as Hugging Face: all of the run
  EXPECT_THAT(Pieces(*tokenizer, {byte("<0xE2>"), word}), ElementsAre("", "\uFFFD the", ""));
}

TEST(DetokenizerTest, UnknownIdsAreDropped) {
  const auto tokenizer = Golden("llama3");
  const Ids ids = tokenizer->Encode("one two", {.add_special_tokens = false}).value();
  Ids with_others = {-1, INT32_MAX};
  with_others.insert(with_others.end(), ids.begin(), ids.end());
  with_others.push_back(tokenizer->size());
  EXPECT_EQ(tokenizer->Decode(with_others, true), "one two");
  EXPECT_EQ(tokenizer->TokenBytes(-1), "");
  EXPECT_EQ(tokenizer->TokenText(tokenizer->size()), std::nullopt);
}

TEST(DetokenizerTest, SpecialTokensAreLeftOutOnRequestAndOthersNever) {
  const auto tokenizer = Golden("qwen2");
  const Ids ids = tokenizer->Encode("<|im_start|>a<tool_call>b<|im_end|>").value();
  EXPECT_EQ(tokenizer->Decode(ids, true), "a<tool_call>b");
  EXPECT_EQ(tokenizer->Decode(ids, false), "<|im_start|>a<tool_call>b<|im_end|>");
}

TEST(TokenizerTest, BytesOfATokenMayBeHalfACharacter) {
  const auto llama3 = Golden("llama3");
  EXPECT_EQ(llama3->TokenBytes(ByteIds(*llama3, "\xE2")[0]), "\xE2");
  EXPECT_EQ(llama3->TokenBytes(llama3->TokenId("Ġthe").value()), " the");
  EXPECT_EQ(llama3->TokenBytes(llama3->TokenId("<|eot_id|>").value()), "<|eot_id|>");
  const auto llama2 = Golden("llama2");
  EXPECT_EQ(llama2->TokenBytes(llama2->TokenId("<0xE2>").value()), "\xE2");
  EXPECT_EQ(llama2->TokenBytes(llama2->TokenId("▁the").value()), " the");  // not stripped
  EXPECT_EQ(llama2->TokenBytes(llama2->TokenId("<s>").value()), "<s>");
}

TEST(TokenizerTest, MergesByRankLeftmostFirst) {
  const auto tokenizer = LoadTokenizer(TinyTokenizer().dump()).value();
  EXPECT_THAT(tokenizer->Encode("abcab").value(), ElementsAre(5, 4));
  EXPECT_THAT(tokenizer->Encode("bca").value(), ElementsAre(2, 3, 1));
  EXPECT_THAT(tokenizer->Encode("axxb").value(), ElementsAre(1, 0, 0, 2));
  EXPECT_THAT(tokenizer->Encode("").value(), ElementsAre());
  const auto fused = LoadTokenizer(Patched(R"({"model": {"fuse_unk": true}})").dump()).value();
  EXPECT_THAT(fused->Encode("axxb").value(), ElementsAre(1, 0, 2));
}

// Found by random strings: words were cut apart at their borders although a character between two
// borders can vanish.
TEST(TokenizerTest, BordersMeetWhereWhatIsUnknownVanishes) {
  const auto tokenizer = LoadTokenizer(Patched(R"({"added_tokens": [], "model": {
      "unk_token": null, "vocab": {"▁": 6, "▁▁": 7}, "merges": [["▁", "▁"]]}})")
                                           .dump())
                             .value();
  EXPECT_THAT(tokenizer->Encode("a▁xy▁▁b").value(), ElementsAre(1, 7, 6, 2));
}

TEST(TokenizerTest, SpecialTokensOfTheConfigHaveIdsWhereTheVocabularyHasThem) {
  const auto tokenizer = LoadTokenizer(TinyTokenizer().dump(),
                                       R"({"bos_token": "<s>", "eos_token": {"content": "<call>"},
                        "pad_token": "<pad>", "unk_token": null})")
                             .value();
  const engine::SpecialTokens& tokens = tokenizer->special_tokens();
  ASSERT_TRUE(tokens.bos.has_value() && tokens.eos.has_value() && tokens.pad.has_value());
  EXPECT_EQ(tokens.bos->id, 6);
  EXPECT_EQ(tokens.eos->text, "<call>");
  EXPECT_EQ(tokens.eos->id, 7);
  EXPECT_EQ(tokens.pad->id, std::nullopt);
  EXPECT_FALSE(tokens.unk.has_value());
}

TEST(TokenizerTest, SpecialIsWhatTheFileCallsSpecial) {
  const auto tokenizer = LoadTokenizer(TinyTokenizer().dump()).value();
  EXPECT_TRUE(tokenizer->IsSpecial(6));
  EXPECT_FALSE(tokenizer->IsSpecial(7));
  EXPECT_FALSE(tokenizer->IsSpecial(1));
  EXPECT_FALSE(tokenizer->IsSpecial(-1));
  EXPECT_EQ(tokenizer->size(), 8);
  EXPECT_THAT(tokenizer->Encode("a<s>b<call>").value(), ElementsAre(1, 6, 2, 7));
  EXPECT_THAT(tokenizer->Encode("<s><call>", {.isolate_special_tokens = true}).value(),
              ElementsAre(0, 0, 0, 7));
}

// A text that must not take quadratic time: a quarter of a megabyte without a border.
TEST(TokenizerTest, LongWordsTakeNoMoreThanTheirLength) {
  const std::string long_a(1 << 18, 'a'), spaces(1 << 18, ' '), marks = [] {
    std::string text;
    for (int i = 0; i < 1 << 16; ++i) text += "\u0301";
    return text;
  }();
  for (const char* const name : {"llama3", "qwen2", "llama2", "smollm"}) {
    const auto tokenizer = Golden(name);
    for (const std::string* const text : {&long_a, &spaces, &marks}) {
      const auto ids = tokenizer->Encode(*text);
      ASSERT_TRUE(ids.ok()) << name << ": " << ids.status();
      EXPECT_EQ(tokenizer->Decode(*ids, true).size(), text->size()) << name;
    }
  }
}

}  // namespace
}  // namespace chorus::test
