// A piece of text on its way through a tokenizer, with as much of Hugging Face's alignment as its
// results depend on: where in the input each byte came from. (Metaspace with the scheme "first"
// asks whether a piece began the input.) TextPiece borrows, AlignedText owns.
#ifndef CHORUS_ENGINE_TEXT_ALIGNED_TEXT_H_
#define CHORUS_ENGINE_TEXT_ALIGNED_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/pattern.h"
#include "engine/text/unicode_normalizer.h"

namespace chorus::engine {

struct TextPiece {
  std::string_view text;
  const uint32_t* origin = nullptr;  // [text.size()] offset in the input; null: not tracked
  uint32_t shift = 0;                // where it began in the input when it was cut

  TextPiece Slice(size_t begin, size_t end) const {
    TextPiece slice{text.substr(begin, end - begin), nullptr, shift};
    if (origin != nullptr && begin < end) {
      slice.origin = origin + begin;
      slice.shift = origin[begin];
    }
    return slice;
  }
};

class AlignedText {
 public:
  // The whole input; `tracked` false leaves alignment out.
  AlignedText(std::string_view input, bool tracked);
  // A copy that can be changed; tracked when the piece is.
  explicit AlignedText(const TextPiece& piece);

  const std::string& text() const { return text_; }
  // Valid until the next change.
  TextPiece piece() const { return {text_, tracked_ ? origin_.data() : nullptr, shift_}; }

  // The characters, ready to be changed and given back to Transform.
  std::vector<ChangedCharacter> Characters() const;
  // Replaces the whole text; the first `removed` characters were dropped.
  void Transform(const std::vector<ChangedCharacter>& characters, size_t removed = 0);
  // Nothing when the text is empty.
  void Prepend(std::string_view text);
  // Puts `content` in the place of each match.
  void Replace(const std::vector<Pattern::Match>& matches, std::string_view content);
  // Writes each byte as its character of the byte alphabet.
  void SpellBytes();

 private:
  std::string text_;
  std::vector<uint32_t> origin_;
  uint32_t shift_ = 0;
  bool tracked_ = false;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_ALIGNED_TEXT_H_
