// The "added_tokens" of a tokenizer.json: strings that are cut out of the text and become one
// token each, before the model sees it. Immutable after FromJson; any thread may call.
#ifndef CHORUS_ENGINE_TEXT_ADDED_VOCABULARY_H_
#define CHORUS_ENGINE_TEXT_ADDED_VOCABULARY_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/text/bpe_model.h"
#include "engine/text/json_fields.h"
#include "engine/text/str_cat.h"
#include "engine/text/string_trie.h"
#include "engine/text/text_normalizer.h"

namespace chorus::engine {

class AddedVocabulary {
 public:
  // A part of the text: a token when id >= 0.
  struct Part {
    size_t begin, end;  // bytes
    int32_t id;
  };

  // `json` null: none. Tokens that the model knows keep its id, others follow its vocabulary, as
  // Hugging Face numbers them; InvalidArgument where the file numbers them otherwise.
  static absl::StatusOr<AddedVocabulary> FromJson(const Json* json, const BpeModel& model,
                                                  const TextNormalizer& normalizer);

  // Which special tokens' text is left in the text: of all, or of those that cover one of `bytes`
  // (ascending).
  struct Plain {
    bool all = false;
    std::span<const size_t> bytes;

    bool Covers(size_t begin, size_t end) const;
  };

  // Cuts `text` at the tokens looked for before (after) normalisation.
  std::vector<Part> SplitRaw(std::string_view text, const Plain& plain) const {
    return SplitBy(raw_, text, plain);
  }
  std::vector<Part> SplitNormalized(std::string_view text, const Plain& plain) const {
    return SplitBy(normalized_, text, plain);
  }

  std::optional<int32_t> Find(std::string_view content) const;
  // What the decoder sees for `id`; null when it is not an added token.
  const std::string* TokenText(int32_t id) const;
  // What the token is in the text.
  const std::string* Content(int32_t id) const;
  bool IsSpecial(int32_t id) const;
  // Whether a token that decodes as `text` is dropped with the special tokens.
  bool IsSpecialText(std::string_view text) const { return special_texts_.contains(text); }
  int32_t max_id() const { return max_id_; }

 private:
  struct Token {
    std::string content;
    std::string normalized_content;
    bool single_word = false, strip_left = false, strip_right = false;
    bool normalized = false, special = false;
  };

  static absl::StatusOr<Token> TokenFromJson(const Json& json);
  absl::Status Add(Token token, int64_t file_id, int32_t* next_id, const BpeModel& model,
                   const TextNormalizer& normalizer);
  absl::Status BuildTries();
  std::vector<Part> SplitBy(const StringTrie& trie, std::string_view text,
                            const Plain& plain) const;

  absl::flat_hash_map<int32_t, Token> tokens_;
  StringMap<int32_t> ids_;
  StringSet special_texts_;
  StringTrie raw_, normalized_;
  int32_t max_id_ = -1;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_ADDED_VOCABULARY_H_
