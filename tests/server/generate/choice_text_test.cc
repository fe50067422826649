// Text and stop strings of one choice, against what the whole text says at once.
#include "server/generate/choice_text.h"

#include <random>

#include "gtest/gtest.h"
#include "tests/support/byte_tokenizer.h"

namespace chorus::server {
namespace {

using Stops = std::vector<std::string>;

struct Heard {
  std::string text;
  int64_t tokens = 0;
  std::string stop;
  std::vector<std::string> pieces;
};

Heard Hear(const test::ByteTokenizer& tokenizer, const std::vector<int32_t>& ids,
           const Stops& stops) {
  ChoiceText text(&tokenizer, &stops, true);
  Heard heard;
  const auto take = [&] {
    heard.pieces.push_back(text.TakeText());
    heard.text += heard.pieces.back();
  };
  for (const int32_t id : ids) {
    text.Push(id);
    take();
    if (text.stop() != nullptr) break;
  }
  text.Finish();
  take();
  heard.tokens = text.released_tokens();
  if (text.stop() != nullptr) heard.stop = *text.stop();
  return heard;
}

std::vector<int32_t> Bytes(const std::string& text) {
  return *test::ByteTokenizer().Encode(text, {});
}

TEST(ChoiceTextTest, SaysEveryTokenAtOnceWithoutStops) {
  const test::ByteTokenizer tokenizer({"hello", " world"});
  const Stops none;
  ChoiceText text(&tokenizer, &none, true);
  text.Push(256);
  EXPECT_EQ(text.TakeText(), "hello");
  EXPECT_EQ(text.released_tokens(), 1);
  text.Push(257);
  EXPECT_EQ(text.TakeText(), " world");
  EXPECT_EQ(text.released_tokens(), 2);
}

TEST(ChoiceTextTest, NeverSplitsACharacterAndCountsItsTokens) {
  const test::ByteTokenizer tokenizer;
  const Heard heard = Hear(tokenizer, Bytes("aé€😀"), {});
  EXPECT_EQ(heard.text, "aé€😀");
  EXPECT_EQ(heard.tokens, 10);
  for (const std::string& piece : heard.pieces) {
    EXPECT_EQ(engine::FindInvalidUtf8(piece), std::string::npos);
  }
}

TEST(ChoiceTextTest, AnIncompleteCharacterAtTheEndIsReplaced) {
  const test::ByteTokenizer tokenizer;
  EXPECT_EQ(Hear(tokenizer, {'a', 0xE2, 0x82}, {}).text, "a\xEF\xBF\xBD");
}

TEST(ChoiceTextTest, AStopAcrossTokensCutsTextAndTokens) {
  const test::ByteTokenizer tokenizer({"abST", "OPcd"});
  const Heard heard = Hear(tokenizer, {256, 257}, {"STOP"});
  EXPECT_EQ(heard.text, "ab");
  EXPECT_EQ(heard.stop, "STOP");
  EXPECT_EQ(heard.tokens, 1);  // "OPcd" began inside the stop string
}

TEST(ChoiceTextTest, TextThatOnlyBeganLikeAStopComesOut) {
  const test::ByteTokenizer tokenizer;
  const Heard heard = Hear(tokenizer, Bytes("aSTOaSTO"), {"STOP"});
  EXPECT_EQ(heard.text, "aSTOaSTO");
  EXPECT_EQ(heard.tokens, 8);
  EXPECT_EQ(heard.stop, "");
  EXPECT_EQ(heard.pieces[1], "");  // held back
  EXPECT_EQ(heard.pieces[4], "STOa");
}

TEST(ChoiceTextTest, TheFirstStopInTheTextWins) {
  const test::ByteTokenizer tokenizer({"xbbaa"});
  EXPECT_EQ(Hear(tokenizer, {256}, {"aa", "bb"}).stop, "bb");
}

TEST(ChoiceTextTest, HalfACharacterOfAStopIsNotCounted) {
  const test::ByteTokenizer tokenizer;
  const Heard heard = Hear(tokenizer, Bytes("aé"), {"é"});
  EXPECT_EQ(heard.text, "a");
  EXPECT_EQ(heard.tokens, 1);
}

TEST(ChoiceTextTest, AStopInTheReplacedRestAtTheEndCounts) {
  const test::ByteTokenizer tokenizer;
  const Heard heard = Hear(tokenizer, {'a', 0xE2}, {"\xEF\xBF\xBD"});
  EXPECT_EQ(heard.text, "a");
  EXPECT_EQ(heard.tokens, 1);
  EXPECT_FALSE(heard.stop.empty());
}

// Whatever the tokens are: the text is what stands before the first stop that a token completes,
// the tokens those that began before it.
TEST(ChoiceTextTest, RandomTextsAgreeWithTheWholeText) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const auto word = [&](size_t longest) {
    std::string text;
    const size_t length = 1 + random() % longest;
    while (text.size() < length) text += static_cast<char>('a' + random() % 3);
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> strings;
    for (int i = 0; i < 6; ++i) strings.push_back(word(4));
    const test::ByteTokenizer tokenizer(strings);
    Stops stops;
    for (size_t i = random() % 4; i > 0; --i) stops.push_back(word(5));
    std::vector<int32_t> ids;
    for (int i = 0; i < 30; ++i) ids.push_back(256 + static_cast<int32_t>(random() % 6));

    std::string all;
    std::vector<size_t> begins;
    size_t cut = std::string::npos;
    for (const int32_t id : ids) {
      begins.push_back(all.size());
      all += tokenizer.TokenBytes(id);
      for (const std::string& stop : stops) cut = std::min(cut, all.find(stop));
      if (cut != std::string::npos) break;
    }
    int64_t tokens = 0;
    for (const size_t begin : begins) tokens += begin < cut;

    const Heard heard = Hear(tokenizer, ids, stops);
    ASSERT_EQ(heard.text, all.substr(0, cut));
    ASSERT_EQ(heard.tokens, tokens);
    ASSERT_EQ(heard.stop.empty(), cut == std::string::npos);
  }
}

}  // namespace
}  // namespace chorus::server
