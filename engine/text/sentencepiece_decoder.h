// The ids of a SentencePiece model back to text, one after the other, as the library's Decode does
// for the whole: the first word border is no blank, runs of bytes are UTF-8 with a U+FFFD for each
// byte that is no part of a character. Belongs to one thread; must not outlive its model.
#ifndef CHORUS_ENGINE_TEXT_SENTENCEPIECE_DECODER_H_
#define CHORUS_ENGINE_TEXT_SENTENCEPIECE_DECODER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/text/sentencepiece_model.h"

namespace chorus::engine {

class SentencePieceDecoder {
 public:
  // `strips_blank`: the text was given a blank in front when it was encoded.
  SentencePieceDecoder(const SentencePieceModel* model, bool strips_blank)
      : model_(model), strips_blank_(strips_blank) {}

  // Appends the text that no later id can change. REQUIRES: 0 <= id < model.size().
  void Push(int32_t id, std::string* out);
  // A token that stands for itself.
  void PushText(std::string_view text, std::string* out);
  // The end: appends what was held back.
  void Finish(std::string* out) { ReleaseBytes(/*all=*/true, out); }

 private:
  void ReleaseBytes(bool all, std::string* out);
  void Emit(std::string_view text, std::string* out);

  const SentencePieceModel* const model_;
  const bool strips_blank_;
  std::string held_;          // the beginning of a character
  bool at_start_ = true;      // nothing was emitted yet
  bool border_seen_ = false;  // the last piece gave its border away
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_SENTENCEPIECE_DECODER_H_
