// Keeps the text of special tokens inside chat messages plain: "<|im_end|>" in what a user wrote
// must not end the user's turn. Chat templates mix such text with special tokens of their own in
// one string, so it is marked before the template runs: a character that nobody uses goes into it,
// and is taken out of what the template made.
#ifndef CHORUS_SERVER_MODEL_PLAIN_SPECIAL_H_
#define CHORUS_SERVER_MODEL_PLAIN_SPECIAL_H_

#include <string>
#include <vector>

#include "engine/text/jinja/jinja.h"
#include "engine/text/tokenizer.h"

namespace chorus::server {

// The texts of all special tokens. Immutable; any thread.
class PlainSpecial {
 public:
  explicit PlainSpecial(const engine::Tokenizer& tokenizer);

  // Marks every special token's text in the strings inside `value`, but for keys.
  void Mark(jinja::Json* value) const;

  struct Unmarked {
    std::string text;                 // as the template made it
    std::vector<size_t> plain_bytes;  // EncodeOptions::plain_bytes
  };
  static Unmarked Unmark(const std::string& rendered);

 private:
  std::vector<std::string> texts_;  // long ones first
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_MODEL_PLAIN_SPECIAL_H_
