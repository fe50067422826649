// Turns the tokens of one answer into text as they come. What Append and Flush return, joined, is
// Tokenizer::Decode of all ids, and each part is valid UTF-8 that ends between two characters. One
// thread at a time; the tokenizer must outlive it.
#ifndef CHORUS_ENGINE_TEXT_DETOKENIZER_H_
#define CHORUS_ENGINE_TEXT_DETOKENIZER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "engine/text/tokenizer.h"

namespace chorus::engine {

class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer* tokenizer, bool skip_special_tokens = true)
      : stream_(tokenizer->NewDecodeStream(skip_special_tokens)) {}

  // The text that `id` makes final; often empty while a character is incomplete.
  std::string Append(int32_t id) {
    std::string text;
    stream_->Push(id, &text);
    return text;
  }

  // The end of the answer: the rest, an incomplete character as U+FFFD. Nothing may follow.
  std::string Flush() {
    std::string text;
    stream_->Finish(&text);
    return text;
  }

 private:
  std::unique_ptr<DecodeStream> stream_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_DETOKENIZER_H_
