// tokenizer.model: equal to Debian's SentencePiece on any text and any ids, and no file, however
// damaged, does more than be refused.
#include "absl/strings/escaping.h"
#include "engine/text/detokenizer.h"
#include "engine/text/sentencepiece_decoder.h"
#include "engine/text/sentencepiece_model.h"
#include "engine/text/tokenizer.h"
#include "engine/text/utf8.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/text/proto_writer.h"
#include "tests/engine/text/sentencepiece_oracle.h"
#include "tests/engine/text/text_golden.h"
#include "tests/support/counter_hash.h"
#include "tests/support/tiny_model.h"

namespace chorus::test {
namespace {

using engine::SentencePieceDecoder;
using engine::SentencePieceFile;
using engine::SentencePieceModel;
using ::testing::HasSubstr;

using Ids = std::vector<int32_t>;

SentencePieceModel LoadModel(const std::string& bytes) {
  return SentencePieceModel::Create(SentencePieceFile::Parse(bytes).value()).value();
}

// Draws from counter hashes.
class Draw {
 public:
  explicit Draw(uint64_t seed) : seed_(seed) {}
  uint32_t Below(uint32_t end) {
    return static_cast<uint32_t>((CounterHash(seed_, index_++) >> 32) % end);
  }

 private:
  const uint64_t seed_;
  uint64_t index_ = 0;
};

class SentencePieceTest : public testing::TestWithParam<const char*> {
 protected:
  const std::string bytes_ = GoldenSentencePiece(GetParam());
  const SentencePieceModel model_ = LoadModel(bytes_);
  const SentencePieceOracle oracle_{bytes_};
};

TEST_P(SentencePieceTest, EncodesAsTheLibrary) {
  const std::vector<std::string> texts = GoldenTexts();
  Draw draw(1);
  for (int i = 0; i < 20000; ++i) {
    // Lines of the corpus, and pieces of two of them.
    std::string text = texts[static_cast<size_t>(i) % texts.size()];
    if (static_cast<size_t>(i) >= texts.size()) {
      std::u32string mixed;
      for (int part = 0; part < 2; ++part) {
        const auto line = static_cast<uint32_t>(texts.size() - 100);
        const std::u32string other = engine::ToCodePoints(texts[draw.Below(line)]);
        if (other.empty()) continue;
        mixed += other.substr(draw.Below(static_cast<uint32_t>(other.size())), 1 + draw.Below(20));
      }
      text = engine::ToUtf8(mixed);
    }
    Ids ids;
    model_.Encode(text, &ids);
    ASSERT_EQ(ids, oracle_.Encode(text)) << absl::Utf8SafeCEscape(text);
  }
}

TEST_P(SentencePieceTest, DecodesAsTheLibrary) {
  Draw draw(2);
  for (int i = 0; i < 20000; ++i) {
    Ids ids(draw.Below(12));
    for (int32_t& id : ids) {
      const auto size = static_cast<uint32_t>(model_.size());
      do {
        id = static_cast<int32_t>(draw.Below(draw.Below(2) == 0 ? 270 : size));
      } while (model_.piece(id).kind == SentencePieceFile::Kind::kControl ||
               model_.piece(id).kind == SentencePieceFile::Kind::kUnknown);
    }
    SentencePieceDecoder decoder(&model_, /*strips_blank=*/true);
    std::string text;
    for (const int32_t id : ids) decoder.Push(id, &text);
    decoder.Finish(&text);
    ASSERT_EQ(text, oracle_.Decode(ids)) << testing::PrintToString(ids);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SentencePieceTest, testing::Values("llama2", "rules"),
                         [](const auto& info) { return std::string(info.param); });

// ---- Files.

std::string Piece(const std::string& text, float score, int kind) {
  return ProtoWriter()
      .Bytes(1, text)
      .Float(2, score)
      .Varint(3, static_cast<uint64_t>(kind))
      .bytes();
}

// A whole model: unknown, control, and three pieces.
ProtoWriter Pieces() {
  return ProtoWriter()
      .Bytes(1, Piece("<unk>", 0, 2))
      .Bytes(1, Piece("<s>", 0, 3))
      .Bytes(1, Piece("</s>", 0, 3))
      .Bytes(1, Piece("a", -1, 1))
      .Bytes(1, Piece("b", -2, 1))
      .Bytes(1, Piece("ab", 0, 1));
}
const std::string kBpe = ProtoWriter().Varint(3, 2).bytes();
const std::string kNormalizer = ProtoWriter().Bytes(1, "identity").bytes();

std::string Whole(const std::string& trainer = kBpe, const std::string& normalizer = kNormalizer) {
  return Pieces().Bytes(2, trainer).Bytes(3, normalizer).bytes();
}

absl::Status LoadStatus(const std::string& bytes, const std::string& config = "{}") {
  const TempDir dir;
  WriteFile(dir.path() + "/tokenizer.model", bytes);
  WriteFile(dir.path() + "/tokenizer_config.json", config);
  return engine::Tokenizer::Load(dir.path()).status();
}

TEST(SentencePieceFileTest, RefusesByName) {
  const struct {
    std::string bytes;
    const char* complaint;
  } refused[] = {
      {"", "trainer_spec: is missing"},
      {"\xFF", "ends inside a field"},
      {std::string("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11), "longer than the message"},
      {std::string(12, '\xFF'), "longer than ten bytes"},
      {"\x0B", "unknown wire type"},
      {std::string("\0\0", 2), "bad field number"},
      {Pieces().Bytes(2, kBpe).bytes(), "normalizer_spec: is missing"},
      {Pieces().Bytes(3, kNormalizer).bytes(), "trainer_spec: is missing"},
      {Whole(ProtoWriter().Varint(3, 1).bytes()), "model_type 1"},
      {Whole(ProtoWriter().Varint(3, 4).bytes()), "model_type 4"},
      {Whole(ProtoWriter().Bytes(3, "x").bytes()), "model_type: of another wire type"},
      {Whole(kBpe + ProtoWriter().Varint(24, 1).bytes()), "treat_whitespace_as_suffix"},
      {Whole(kBpe + ProtoWriter().Varint(35, 1).bytes()), "without the piece <0x00>"},
      {Whole(kBpe, ProtoWriter().Varint(5, 0).bytes()), "escape_whitespaces"},
      {Whole(kBpe, ProtoWriter().Bytes(2, "abc").bytes()), "precompiled_charsmap: too short"},
      {Whole(kBpe, ProtoWriter().Bytes(2, std::string("\x10\0\0\0abcd", 8)).bytes()),
       "its trie does not fit"},
      {Whole(kBpe, ProtoWriter().Bytes(2, std::string("\x04\0\0\0abcdx", 9)).bytes()),
       "its last text does not end"},
      {Whole() + ProtoWriter().Bytes(5, ProtoWriter().Bytes(2, "map").bytes()).bytes(),
       "denormalizer_spec: precompiled_charsmap"},
      {Whole() + ProtoWriter().Bytes(1, Piece("", 0, 1)).bytes(), "piece 6: 0 bytes of text"},
      {Whole() + ProtoWriter().Bytes(1, Piece("\xFF", 0, 1)).bytes(), "piece 6: want UTF-8"},
      {Whole() + ProtoWriter().Bytes(1, Piece(std::string(1, '\0'), 0, 1)).bytes(), "has a NUL"},
      {Whole() + ProtoWriter().Bytes(1, Piece("c", NAN, 1)).bytes(), "score is not finite"},
      {Whole() + ProtoWriter().Bytes(1, Piece("c", 0, 7)).bytes(), "type is 7"},
      {Whole() + ProtoWriter().Bytes(1, Piece("a", 0, 4)).bytes(), "\"a\" is there already"},
      {Whole() + ProtoWriter().Bytes(1, Piece("<u>", 0, 2)).bytes(), "a second unknown piece"},
      {Whole() + ProtoWriter().Bytes(1, Piece("<0x41>", 0, 6)).bytes(), "byte_fallback is off"},
      {ProtoWriter().Bytes(2, kBpe).Bytes(3, kNormalizer).bytes(), "no piece is of the unknown"},
  };
  EXPECT_TRUE(LoadStatus(Whole()).ok()) << LoadStatus(Whole());
  for (const auto& each : refused) {
    const absl::Status status = LoadStatus(each.bytes);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << each.complaint;
    EXPECT_THAT(std::string(status.message()), HasSubstr(each.complaint));
    EXPECT_THAT(std::string(status.message()), HasSubstr("/tokenizer.model: "));
  }
}

TEST(SentencePieceFileTest, RefusesConfigsByName) {
  const struct {
    const char* config;
    const char* complaint;
  } refused[] = {
      {R"({"tokenizer_class": "T5Tokenizer"})", "tokenizer_class: T5Tokenizer"},
      {R"({"bos_token": "<begin>"})", "\"<begin>\" is to be added"},
      {R"({"added_tokens_decoder": {"9": {"content": "x", "single_word": true}}})", "single_word"},
      {R"({"added_tokens_decoder": {"9": {"content": "x"}, "8": {"content": "x"}}})", "twice"},
      {R"({"added_tokens_decoder": {"9": {"content": ""}}})", "is empty"},
      {R"({"added_tokens_decoder": {"2000000000": {"content": "x"}}})", "want an id of at most"},
  };
  for (const auto& each : refused) {
    const absl::Status status = LoadStatus(Whole(), each.config);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << each.config;
    EXPECT_THAT(std::string(status.message()), HasSubstr(each.complaint));
  }
}

TEST(SentencePieceFileTest, EveryBeginningOfAFileIsRefused) {
  const std::string bytes = GoldenSentencePiece("rules");
  for (size_t length = 0; length + 2 < bytes.size(); length += length < 200 ? 1 : 13) {
    EXPECT_EQ(SentencePieceFile::Parse(bytes.substr(0, length)).status().code(),
              absl::StatusCode::kInvalidArgument)
        << length;
  }
}

// Run under AddressSanitizer this says more: whatever loads has to encode without a stray read.
TEST(SentencePieceFileTest, DamagedFilesAreRefusedOrHarmless) {
  const std::string bytes = GoldenSentencePiece("rules");
  const std::vector<std::string> texts = GoldenTexts();
  Draw draw(3);
  int loaded = 0;
  for (int i = 0; i < 1500; ++i) {
    std::string damaged = bytes;
    // Half of the damage into the rules, which lie behind the pieces.
    const auto size = static_cast<uint32_t>(bytes.size());
    const uint32_t from = draw.Below(2) == 0 ? 0 : size - 4000;
    for (uint32_t n = draw.Below(4); n < 4; ++n) {
      damaged[from + draw.Below(size - from)] = static_cast<char>(draw.Below(256));
    }
    absl::StatusOr<SentencePieceFile> file = SentencePieceFile::Parse(damaged);
    if (!file.ok()) continue;
    const absl::StatusOr<SentencePieceModel> model = SentencePieceModel::Create(*std::move(file));
    if (!model.ok()) continue;
    ++loaded;
    for (int k = 0; k < 20; ++k) {
      Ids ids;
      model->Encode(texts[draw.Below(5000)], &ids);
      for (const int32_t id : ids) ASSERT_LT(static_cast<uint32_t>(id), uint32_t(model->size()));
    }
  }
  EXPECT_GT(loaded, 100);
}

TEST(SentencePieceTokenizerTest, OldAddedTokensAreFound) {
  const TempDir dir;
  WriteFile(dir.path() + "/tokenizer.model", Whole());
  WriteFile(dir.path() + "/tokenizer_config.json", R"({"pad_token": "<pad>"})");
  WriteFile(dir.path() + "/added_tokens.json", R"({"<pad>": 6, "<tool>": 7})");
  const auto tokenizer = engine::Tokenizer::Load(dir.path()).value();
  EXPECT_EQ(tokenizer->size(), 8);
  EXPECT_TRUE(tokenizer->IsSpecial(6));
  EXPECT_FALSE(tokenizer->IsSpecial(7));
  EXPECT_EQ(tokenizer->special_tokens().pad->id, 6);
  EXPECT_EQ(tokenizer->special_tokens().bos->id, 1);  // as the model names it
  EXPECT_EQ(tokenizer->Encode("<tool>ab<pad>").value(), (Ids{1, 7, 0, 5, 6}));
  EXPECT_EQ(tokenizer->Decode(Ids{1, 7, 5, 6}, true), "<tool>ab");
}

}  // namespace
}  // namespace chorus::test
