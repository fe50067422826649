#include "engine/text/tokenizer.h"

#include <utility>

#include "engine/text/file_bytes.h"
#include "engine/text/json_tokenizer.h"
#include "engine/text/sentencepiece_tokenizer.h"
#include "engine/text/str_cat.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

constexpr int64_t kMaxFileBytes = 512 << 20;

absl::Status WithPath(const absl::Status& status, const std::string& path) {
  return absl::Status(status.code(), StrCat(path, ": ", status.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Load(const std::string& model_dir) {
  CHORUS_ASSIGN_OR_RETURN(TokenizerConfig config, TokenizerConfig::Read(model_dir));
  std::string path = StrCat(model_dir, "/tokenizer.json");
  absl::StatusOr<std::string> bytes = ReadFileBytes(path, kMaxFileBytes);
  const bool is_json = bytes.ok();
  if (absl::IsNotFound(bytes.status())) {
    path = StrCat(model_dir, "/tokenizer.model");
    bytes = ReadFileBytes(path, kMaxFileBytes);
    if (absl::IsNotFound(bytes.status())) {
      return absl::NotFoundError(StrCat(model_dir, ": has no tokenizer.json or tokenizer.model"));
    }
    CHORUS_RETURN_IF_ERROR(config.ReadOldAddedTokens(model_dir));
  }
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer =
      is_json ? JsonTokenizer::FromBytes(*bytes, config)
              : SentencePieceTokenizer::FromBytes(*bytes, config);
  if (!tokenizer.ok()) return WithPath(tokenizer.status(), path);
  return tokenizer;
}

std::string Tokenizer::Decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  const std::unique_ptr<DecodeStream> stream = NewDecodeStream(skip_special_tokens);
  std::string text;
  for (const int32_t id : ids) stream->Push(id, &text);
  stream->Finish(&text);
  return text;
}

void Tokenizer::ResolveSpecialTokens(const TokenizerConfig& config) {
  const auto resolve = [&](const std::optional<std::string>& text,
                           std::optional<NamedToken>* token) {
    if (text.has_value()) *token = NamedToken{*text, TokenId(*text)};
  };
  resolve(config.bos, &special_tokens_.bos);
  resolve(config.eos, &special_tokens_.eos);
  resolve(config.unk, &special_tokens_.unk);
  resolve(config.pad, &special_tokens_.pad);
}

}  // namespace chorus::engine
