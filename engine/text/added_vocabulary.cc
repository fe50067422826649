#include "engine/text/added_vocabulary.h"

#include <algorithm>
#include <utility>

#include "engine/text/code_set.h"
#include "engine/text/str_cat.h"
#include "engine/text/utf8.h"
#include "kernels/status_macros.h"
#include "nlohmann/json.hpp"

namespace chorus::engine {
namespace {

constexpr std::string_view kOwner = "added_tokens";

// Where the character that ends at `end` begins. REQUIRES: valid UTF-8, end > 0.
size_t CharacterBefore(std::string_view text, size_t end) {
  do {
    --end;
  } while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  return end;
}

bool EndsWithWord(std::string_view text) {
  if (text.empty()) return false;
  size_t at = CharacterBefore(text, text.size());
  return RustWords().Contains(DecodeUtf8(text, &at));
}

bool StartsWithWord(std::string_view text) {
  size_t at = 0;
  return !text.empty() && RustWords().Contains(DecodeUtf8(text, &at));
}

size_t SpacesAtStart(std::string_view text) {
  size_t end = 0;
  for (size_t at = 0; at < text.size(); end = at) {
    if (!RustSpaces().Contains(DecodeUtf8(text, &at))) break;
  }
  return end;
}

size_t TrimmedEnd(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    const size_t begin = CharacterBefore(text, end);
    size_t at = begin;
    if (!RustSpaces().Contains(DecodeUtf8(text, &at))) break;
    end = begin;
  }
  return end;
}

}  // namespace

absl::StatusOr<AddedVocabulary::Token> AddedVocabulary::TokenFromJson(const Json& json) {
  if (!json.is_object()) {
    return absl::InvalidArgumentError(
        StrCat(kOwner, ": an entry is ", json.type_name(), ", want an object"));
  }
  Token token;
  CHORUS_ASSIGN_OR_RETURN(token.content, StringField(json, "content", kOwner));
  const std::string owner = StrCat("added token \"", token.content, "\"");
  CHORUS_ASSIGN_OR_RETURN(token.single_word, BoolField(json, "single_word", owner));
  CHORUS_ASSIGN_OR_RETURN(token.strip_left, BoolField(json, "lstrip", owner));
  CHORUS_ASSIGN_OR_RETURN(token.strip_right, BoolField(json, "rstrip", owner));
  CHORUS_ASSIGN_OR_RETURN(token.normalized, BoolField(json, "normalized", owner));
  CHORUS_ASSIGN_OR_RETURN(token.special, BoolField(json, "special", owner));
  return token;
}

absl::StatusOr<AddedVocabulary> AddedVocabulary::FromJson(const Json* json, const BpeModel& model,
                                                          const TextNormalizer& normalizer) {
  AddedVocabulary result;
  if (json == nullptr) return result;
  if (!json->is_array()) {
    return absl::InvalidArgumentError(
        StrCat(kOwner, ": is ", json->type_name(), ", want an array"));
  }
  int32_t next_id = model.vocabulary_size();
  for (const Json& entry : *json) {
    CHORUS_ASSIGN_OR_RETURN(Token token, TokenFromJson(entry));
    CHORUS_ASSIGN_OR_RETURN(const int64_t file_id, IntField(entry, "id", kOwner));
    if (token.content.empty()) continue;
    CHORUS_RETURN_IF_ERROR(result.Add(std::move(token), file_id, &next_id, model, normalizer));
  }
  CHORUS_RETURN_IF_ERROR(result.BuildTries());
  return result;
}

absl::Status AddedVocabulary::Add(Token token, int64_t file_id, int32_t* next_id,
                                  const BpeModel& model, const TextNormalizer& normalizer) {
  const auto known = ids_.find(token.content);
  const std::optional<int32_t> model_id = model.Find(token.content);
  const int32_t id = known != ids_.end()    ? known->second
                     : model_id.has_value() ? *model_id
                                            : (*next_id)++;
  if (id != file_id) {
    return absl::InvalidArgumentError(StrCat("added token \"", token.content, "\": id is ", file_id,
                                             ", want ", id,
                                             " (the model's, or the next that is free)"));
  }
  token.normalized_content = token.content;
  if (token.normalized) {
    AlignedText text(token.content, false);
    Pattern::Scratch scratch;
    CHORUS_RETURN_IF_ERROR(normalizer.Apply(&scratch, &text));
    token.normalized_content = text.text();
  }
  max_id_ = std::max(max_id_, id);
  ids_[token.content] = id;
  if (token.special) special_texts_.insert(token.content);
  tokens_.insert_or_assign(id, std::move(token));
  return absl::OkStatus();
}

absl::Status AddedVocabulary::BuildTries() {
  for (const auto& [id, token] : tokens_) {
    StringTrie& trie = token.normalized ? normalized_ : raw_;
    if (trie.Add(token.normalized_content, id)) continue;
    return absl::InvalidArgumentError(StrCat("added token \"", token.content,
                                             "\": normalises to \"", token.normalized_content,
                                             "\", which is empty or another token's"));
  }
  return absl::OkStatus();
}

bool AddedVocabulary::Plain::Covers(size_t begin, size_t end) const {
  if (all) return true;
  const auto first = std::ranges::lower_bound(bytes, begin);
  return first != bytes.end() && *first < end;
}

std::vector<AddedVocabulary::Part> AddedVocabulary::SplitBy(const StringTrie& trie,
                                                            std::string_view text,
                                                            const Plain& plain) const {
  std::vector<Part> parts;
  size_t done = 0, from = 0;
  while (const std::optional<StringTrie::Match> match = trie.Find(text, from)) {
    from = match->end;
    const Token& token = tokens_.find(match->value)->second;
    if (plain.Covers(match->begin, match->end) && special_texts_.contains(token.content)) continue;
    if (token.single_word &&
        (EndsWithWord(text.substr(0, match->begin)) || StartsWithWord(text.substr(match->end)))) {
      continue;
    }
    size_t begin = match->begin, end = match->end;
    if (token.strip_left) begin = std::max(TrimmedEnd(text.substr(0, begin)), done);
    if (token.strip_right) end += SpacesAtStart(text.substr(end));
    if (done < begin) parts.push_back({done, begin, -1});
    parts.push_back({begin, end, match->value});
    done = end;
  }
  if (done < text.size()) parts.push_back({done, text.size(), -1});
  return parts;
}

std::optional<int32_t> AddedVocabulary::Find(std::string_view content) const {
  const auto found = ids_.find(content);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const std::string* AddedVocabulary::TokenText(int32_t id) const {
  const auto found = tokens_.find(id);
  return found == tokens_.end() ? nullptr : &found->second.normalized_content;
}

const std::string* AddedVocabulary::Content(int32_t id) const {
  const auto found = tokens_.find(id);
  return found == tokens_.end() ? nullptr : &found->second.content;
}

bool AddedVocabulary::IsSpecial(int32_t id) const {
  const std::string* const content = Content(id);
  return content != nullptr && special_texts_.contains(*content);
}

}  // namespace chorus::engine
