// What tokenizer_config.json (and special_tokens_map.json, an older sibling) say about tokens.
// A value type. The chat template in the same file belongs to chat_template.h.
#ifndef CHORUS_ENGINE_TEXT_TOKENIZER_CONFIG_H_
#define CHORUS_ENGINE_TEXT_TOKENIZER_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace chorus::engine {

struct TokenizerConfig {
  struct AddedToken {
    int32_t id;
    std::string content;
    bool special, strip_left, strip_right, single_word;
  };
  std::optional<std::string> bos, eos, unk, pad;
  std::optional<std::string> tokenizer_class;
  std::optional<bool> add_bos, add_eos;
  std::vector<AddedToken> added_tokens;         // added_tokens_decoder, by id
  std::vector<std::string> additional_special;  // additional_special_tokens
  // SentencePiece: the text behind a special token gets a blank of its own (legacy); if not, only
  // the whole text gets one.
  bool legacy = true, add_prefix_space = true;

  // Empty facts where `model_dir` has no such file. InvalidArgument when it is malformed.
  static absl::StatusOr<TokenizerConfig> Read(const std::string& model_dir);
  // Takes added tokens from added_tokens.json, where older versions wrote them, unless there are
  // some already. InvalidArgument when the file is malformed.
  absl::Status ReadOldAddedTokens(const std::string& model_dir);
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_TOKENIZER_CONFIG_H_
