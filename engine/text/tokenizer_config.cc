#include "engine/text/tokenizer_config.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "engine/text/file_bytes.h"
#include "engine/text/json_fields.h"
#include "engine/text/str_cat.h"
#include "kernels/status_macros.h"
#include "nlohmann/json.hpp"

namespace chorus::engine {
namespace {

constexpr int64_t kMaxBytes = 64 << 20;

// A token is a string or an object with its "content".
absl::StatusOr<std::string> TokenText(const Json& json, const std::string& owner) {
  if (json.is_string()) return json.get<std::string>();
  if (json.is_object()) return StringField(json, "content", owner);
  return absl::InvalidArgumentError(
      StrCat(owner, ": is ", json.type_name(), ", want a string or an object"));
}

absl::Status ReadToken(const Json& json, const char* key, const std::string& file,
                       std::optional<std::string>* token) {
  const Json* const field = FindField(json, key);
  if (field == nullptr || token->has_value()) return absl::OkStatus();
  CHORUS_ASSIGN_OR_RETURN(*token, TokenText(*field, StrCat(file, " ", key)));
  return absl::OkStatus();
}

absl::Status ReadSpecialTokens(const Json& json, const std::string& file, TokenizerConfig* config) {
  CHORUS_RETURN_IF_ERROR(ReadToken(json, "bos_token", file, &config->bos));
  CHORUS_RETURN_IF_ERROR(ReadToken(json, "eos_token", file, &config->eos));
  CHORUS_RETURN_IF_ERROR(ReadToken(json, "unk_token", file, &config->unk));
  CHORUS_RETURN_IF_ERROR(ReadToken(json, "pad_token", file, &config->pad));
  const Json* const more = FindField(json, "additional_special_tokens");
  if (more == nullptr || !more->is_array()) return absl::OkStatus();
  for (const Json& entry : *more) {
    CHORUS_ASSIGN_OR_RETURN(const std::string text,
                            TokenText(entry, StrCat(file, " additional_special_tokens")));
    config->additional_special.push_back(text);
  }
  return absl::OkStatus();
}

absl::Status ReadAddedTokens(const Json& json, const std::string& file, TokenizerConfig* config) {
  if (FindField(json, "added_tokens_decoder") == nullptr) return absl::OkStatus();
  CHORUS_ASSIGN_OR_RETURN(const Json* const decoder,
                          ObjectField(json, "added_tokens_decoder", file));
  for (const auto& [key, entry] : decoder->items()) {
    const std::string owner = StrCat(file, " added_tokens_decoder ", key);
    TokenizerConfig::AddedToken token{};
    if (!absl::SimpleAtoi(key, &token.id) || token.id < 0 || !entry.is_object()) {
      return absl::InvalidArgumentError(StrCat(owner, ": want an id and an object"));
    }
    CHORUS_ASSIGN_OR_RETURN(token.content, StringField(entry, "content", owner));
    CHORUS_ASSIGN_OR_RETURN(token.special, BoolField(entry, "special", owner, false));
    CHORUS_ASSIGN_OR_RETURN(token.strip_left, BoolField(entry, "lstrip", owner, false));
    CHORUS_ASSIGN_OR_RETURN(token.strip_right, BoolField(entry, "rstrip", owner, false));
    CHORUS_ASSIGN_OR_RETURN(token.single_word, BoolField(entry, "single_word", owner, false));
    config->added_tokens.push_back(std::move(token));
  }
  std::sort(config->added_tokens.begin(), config->added_tokens.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  return absl::OkStatus();
}

absl::StatusOr<std::optional<bool>> OptionalBool(const Json& json, const char* key,
                                                 const std::string& file) {
  if (FindField(json, key) == nullptr) return std::nullopt;
  CHORUS_ASSIGN_OR_RETURN(const bool value, BoolField(json, key, file));
  return value;
}

// The object in `file` of the directory; an empty one when there is no such file.
absl::StatusOr<Json> ReadObject(const std::string& model_dir, const std::string& file) {
  absl::StatusOr<std::string> bytes = ReadFileBytes(StrCat(model_dir, "/", file), kMaxBytes);
  if (absl::IsNotFound(bytes.status())) return Json::object();
  if (!bytes.ok()) return bytes.status();
  return ParseJsonObject(*bytes, file);
}

}  // namespace

absl::StatusOr<TokenizerConfig> TokenizerConfig::Read(const std::string& model_dir) {
  const std::string file = "tokenizer_config.json";
  CHORUS_ASSIGN_OR_RETURN(const Json json, ReadObject(model_dir, file));
  TokenizerConfig config;
  CHORUS_RETURN_IF_ERROR(ReadSpecialTokens(json, file, &config));
  CHORUS_RETURN_IF_ERROR(ReadAddedTokens(json, file, &config));
  CHORUS_ASSIGN_OR_RETURN(config.add_bos, OptionalBool(json, "add_bos_token", file));
  CHORUS_ASSIGN_OR_RETURN(config.add_eos, OptionalBool(json, "add_eos_token", file));
  CHORUS_ASSIGN_OR_RETURN(config.legacy, BoolField(json, "legacy", file, true));
  CHORUS_ASSIGN_OR_RETURN(config.add_prefix_space, BoolField(json, "add_prefix_space", file, true));
  if (FindField(json, "tokenizer_class") != nullptr) {
    CHORUS_ASSIGN_OR_RETURN(config.tokenizer_class, StringField(json, "tokenizer_class", file));
  }
  const std::string map_file = "special_tokens_map.json";
  CHORUS_ASSIGN_OR_RETURN(const Json map, ReadObject(model_dir, map_file));
  CHORUS_RETURN_IF_ERROR(ReadSpecialTokens(map, map_file, &config));
  return config;
}

absl::Status TokenizerConfig::ReadOldAddedTokens(const std::string& model_dir) {
  if (!added_tokens.empty()) return absl::OkStatus();
  const std::string file = "added_tokens.json";
  CHORUS_ASSIGN_OR_RETURN(const Json json, ReadObject(model_dir, file));
  for (const auto& [content, id] : json.items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX) {
      return absl::InvalidArgumentError(
          StrCat(file, ": the id of \"", content, "\" is ", id.dump(), ", want a token id"));
    }
    const bool special = content == bos || content == eos || content == unk || content == pad ||
                         std::find(additional_special.begin(), additional_special.end(), content) !=
                             additional_special.end();
    added_tokens.push_back({id.get<int32_t>(), content, special, false, false, false});
  }
  std::sort(added_tokens.begin(), added_tokens.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  return absl::OkStatus();
}

}  // namespace chorus::engine
