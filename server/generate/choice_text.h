// ChoiceText: one choice's tokens as text, up to the first stop string. Text that may turn out to
// be the beginning of a stop string is held back, and with it the tokens that have said nothing
// else, so what was released never has to be taken back. The result does not depend on how the
// tokens arrive. One thread at a time.
#ifndef CHORUS_SERVER_GENERATE_CHOICE_TEXT_H_
#define CHORUS_SERVER_GENERATE_CHOICE_TEXT_H_

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "engine/text/detokenizer.h"

namespace chorus::server {

class ChoiceText {
 public:
  // `tokenizer` and `stops` must outlive this; no stop is empty.
  ChoiceText(const engine::Tokenizer* tokenizer, const std::vector<std::string>* stops,
             bool skip_special_tokens)
      : detokenizer_(tokenizer, skip_special_tokens), stops_(stops) {}

  // Takes the next token. REQUIRES: not stopped, not finished.
  void Push(int32_t id);
  // No token follows: releases what was held back, unless it completes a stop string.
  void Finish();

  // The stop string that ended the text; null while there is none.
  const std::string* stop() const { return stop_; }
  // Text released since the last call.
  std::string TakeText();
  // How many of the tokens pushed are released; the others are held back or, after a stop, cut off:
  // those whose text began at or behind the stop string.
  int64_t released_tokens() const { return released_tokens_; }

 private:
  void Add(const std::string& piece);
  void Release(size_t bytes);
  size_t BytesToHold() const;

  engine::Detokenizer detokenizer_;
  const std::vector<std::string>* const stops_;
  const std::string* stop_ = nullptr;
  std::string held_;
  std::string released_;         // not taken yet
  uint64_t released_bytes_ = 0;  // in all
  std::deque<uint64_t> begins_;  // of the unreleased tokens, in bytes of text
  int64_t released_tokens_ = 0;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GENERATE_CHOICE_TEXT_H_
