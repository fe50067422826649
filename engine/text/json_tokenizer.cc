#include "engine/text/json_tokenizer.h"

#include <algorithm>
#include <utility>

#include "engine/text/aligned_text.h"
#include "engine/text/str_cat.h"
#include "engine/text/utf8.h"
#include "kernels/status_macros.h"
#include "nlohmann/json.hpp"

namespace chorus::engine {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 30;  // offsets and places are 32-bit

}  // namespace

struct JsonTokenizer::Scratch {
  Pattern::Scratch normalizer;
  PreTokenizer::Scratch pre_tokenizer;
  BpeMerger::Scratch merger;
};

class JsonTokenizer::Stream : public DecodeStream {
 public:
  Stream(const JsonTokenizer* tokenizer, bool skip_special_tokens)
      : tokenizer_(tokenizer),
        skip_special_tokens_(skip_special_tokens),
        stream_(tokenizer->decoder_.NewStream()) {}

  void Push(int32_t id, std::string* out) override {
    const std::string* const text = tokenizer_->DecoderText(id);
    if (text == nullptr) return;
    if (skip_special_tokens_ && tokenizer_->added_.IsSpecialText(*text)) return;
    stream_.Push(*text, out);
  }
  void Finish(std::string* out) override { stream_.Finish(out); }

 private:
  const JsonTokenizer* const tokenizer_;
  const bool skip_special_tokens_;
  TokenDecoder::Stream stream_;
};

JsonTokenizer::JsonTokenizer(TextNormalizer normalizer, PreTokenizer pre_tokenizer, BpeModel model,
                             AddedVocabulary added, PostProcessor post_processor,
                             TokenDecoder decoder)
    : normalizer_(std::move(normalizer)),
      pre_tokenizer_(std::move(pre_tokenizer)),
      model_(std::move(model)),
      added_(std::move(added)),
      post_processor_(std::move(post_processor)),
      decoder_(std::move(decoder)),
      size_(std::max(model_.max_id(), added_.max_id()) + 1) {}

absl::StatusOr<std::unique_ptr<Tokenizer>> JsonTokenizer::FromBytes(const std::string& bytes,
                                                                    const TokenizerConfig& config) {
  CHORUS_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(bytes, "tokenizer.json"));
  if (FindField(json, "version") != nullptr) {
    CHORUS_ASSIGN_OR_RETURN(const std::string version,
                            StringField(json, "version", "tokenizer.json"));
    if (version != "1.0") {
      return absl::InvalidArgumentError(StrCat("version is ", version, ", want 1.0"));
    }
  }
  CHORUS_ASSIGN_OR_RETURN(TextNormalizer normalizer,
                          TextNormalizer::FromJson(FindField(json, "normalizer")));
  CHORUS_ASSIGN_OR_RETURN(PreTokenizer pre_tokenizer,
                          PreTokenizer::FromJson(FindField(json, "pre_tokenizer")));
  CHORUS_ASSIGN_OR_RETURN(const Json* const model_json,
                          ObjectField(json, "model", "tokenizer.json"));
  CHORUS_ASSIGN_OR_RETURN(BpeModel model,
                          BpeModel::FromJson(*model_json, pre_tokenizer.yields_raw_bytes()));
  CHORUS_ASSIGN_OR_RETURN(
      AddedVocabulary added,
      AddedVocabulary::FromJson(FindField(json, "added_tokens"), model, normalizer));
  CHORUS_ASSIGN_OR_RETURN(PostProcessor post_processor,
                          PostProcessor::FromJson(FindField(json, "post_processor")));
  CHORUS_ASSIGN_OR_RETURN(TokenDecoder decoder, TokenDecoder::FromJson(FindField(json, "decoder")));
  std::unique_ptr<JsonTokenizer> tokenizer(
      new JsonTokenizer(std::move(normalizer), std::move(pre_tokenizer), std::move(model),
                        std::move(added), std::move(post_processor), std::move(decoder)));
  CHORUS_RETURN_IF_ERROR(tokenizer->CheckAgainst(config));
  tokenizer->ResolveSpecialTokens(config);
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

absl::Status JsonTokenizer::CheckAgainst(const TokenizerConfig& config) const {
  for (const TokenizerConfig::AddedToken& token : config.added_tokens) {
    const std::optional<std::string> text = TokenText(token.id);
    if (text == token.content) continue;
    return absl::InvalidArgumentError(
        StrCat("token ", token.id, " is ", text.has_value() ? StrCat("\"", *text, "\"") : "missing",
               ", but tokenizer_config.json has \"", token.content, "\""));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int32_t>> JsonTokenizer::Encode(std::string_view text,
                                                           const EncodeOptions& options) const {
  if (text.size() > kMaxTextBytes) {
    return absl::InvalidArgumentError(
        StrCat("text: ", text.size(), " bytes, want at most ", kMaxTextBytes));
  }
  CHORUS_RETURN_IF_ERROR(CheckUtf8(text, "text"));
  std::vector<int32_t> ids;
  const auto add_special = [&](const std::vector<int32_t>& special) {
    if (options.add_special_tokens) ids.insert(ids.end(), special.begin(), special.end());
  };
  add_special(post_processor_.before);
  Scratch scratch;
  std::optional<AlignedText> tracked;
  TextPiece whole{text, nullptr, 0};
  if (pre_tokenizer_.needs_origin()) {
    tracked.emplace(text, true);
    whole = tracked->piece();
  }
  const AddedVocabulary::Plain plain{options.isolate_special_tokens, options.plain_bytes};
  for (const AddedVocabulary::Part& part : added_.SplitRaw(text, plain)) {
    if (part.id >= 0) {
      ids.push_back(part.id);
    } else {
      // Offsets are lost in normalisation: there, a part is plain as a whole.
      const bool isolate = plain.Covers(part.begin, part.end);
      CHORUS_RETURN_IF_ERROR(
          EncodePart(whole.Slice(part.begin, part.end), isolate, &scratch, &ids));
    }
  }
  add_special(post_processor_.after);
  return ids;
}

absl::Status JsonTokenizer::EncodePart(const TextPiece& part, bool isolate_special,
                                       Scratch* scratch, std::vector<int32_t>* ids) const {
  std::optional<AlignedText> normalized;
  TextPiece piece = part;
  if (!normalizer_.empty()) {
    normalized.emplace(part);
    CHORUS_RETURN_IF_ERROR(normalizer_.Apply(&scratch->normalizer, &*normalized));
    piece = normalized->piece();
  }
  for (const AddedVocabulary::Part& span :
       added_.SplitNormalized(piece.text, {isolate_special, {}})) {
    if (span.id >= 0) {
      ids->push_back(span.id);
      continue;
    }
    CHORUS_RETURN_IF_ERROR(pre_tokenizer_.Split(
        piece.Slice(span.begin, span.end), &scratch->pre_tokenizer,
        [&](std::string_view word) { model_.Encode(word, &scratch->merger, ids); }));
  }
  return absl::OkStatus();
}

std::unique_ptr<DecodeStream> JsonTokenizer::NewDecodeStream(bool skip_special_tokens) const {
  return std::make_unique<Stream>(this, skip_special_tokens);
}

const std::string* JsonTokenizer::DecoderText(int32_t id) const {
  const std::string* const added = added_.TokenText(id);
  return added != nullptr ? added : model_.TokenText(id);
}

std::string JsonTokenizer::TokenBytes(int32_t id) const {
  if (const std::string* const content = added_.Content(id)) return *content;
  const std::string* const text = model_.TokenText(id);
  return text == nullptr ? std::string() : decoder_.TokenBytes(*text);
}

std::optional<std::string> JsonTokenizer::TokenText(int32_t id) const {
  const std::string* const content = added_.Content(id);
  const std::string* const text = content != nullptr ? content : model_.TokenText(id);
  if (text == nullptr) return std::nullopt;
  return *text;
}

std::optional<int32_t> JsonTokenizer::TokenId(std::string_view token) const {
  if (const std::optional<int32_t> id = added_.Find(token)) return id;
  return model_.Find(token);
}

}  // namespace chorus::engine
