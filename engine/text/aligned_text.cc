#include "engine/text/aligned_text.h"

#include "engine/text/byte_alphabet.h"
#include "engine/text/utf8.h"

namespace chorus::engine {

AlignedText::AlignedText(std::string_view input, bool tracked) : text_(input), tracked_(tracked) {
  if (!tracked) return;
  origin_.reserve(input.size());
  for (size_t at = 0; at < input.size();) {  // all bytes of a character share its place
    const size_t length = Utf8Length(input[at]);
    origin_.insert(origin_.end(), length, static_cast<uint32_t>(at));
    at += length;
  }
}

AlignedText::AlignedText(const TextPiece& piece)
    : text_(piece.text), shift_(piece.shift), tracked_(piece.origin != nullptr) {
  if (tracked_) origin_.assign(piece.origin, piece.origin + piece.text.size());
}

std::vector<ChangedCharacter> AlignedText::Characters() const {
  std::vector<ChangedCharacter> result;
  result.reserve(text_.size());
  for (size_t at = 0; at < text_.size();) result.push_back({DecodeUtf8(text_, &at), 0});
  return result;
}

void AlignedText::Transform(const std::vector<ChangedCharacter>& characters, size_t removed) {
  std::string text;
  text.reserve(text_.size());
  std::vector<uint32_t> origin;
  size_t at = 0;  // in the old text
  const auto skip = [&](size_t count) {
    for (; count > 0 && at < text_.size(); --count) at += Utf8Length(text_[at]);
  };
  if (tracked_) skip(removed);
  for (const ChangedCharacter& c : characters) {
    AppendUtf8(c.code_point, &text);
    if (!tracked_) continue;
    const size_t source = c.change > 0 ? at - 1 : at;  // one that is put in sits with its left
    const bool outside = (c.change > 0 && at == 0) || source >= origin_.size();
    origin.resize(text.size(), outside ? shift_ : origin_[source]);
    if (c.change <= 0) skip(1 + static_cast<size_t>(-c.change));
  }
  text_ = std::move(text);
  origin_ = std::move(origin);
}

void AlignedText::Prepend(std::string_view text) {
  if (text_.empty()) return;
  text_.insert(0, text);
  if (tracked_) origin_.insert(origin_.begin(), text.size(), origin_.front());
}

void AlignedText::Replace(const std::vector<Pattern::Match>& matches, std::string_view content) {
  if (matches.empty()) return;
  std::string text;
  text.reserve(text_.size());
  std::vector<uint32_t> origin;
  size_t at = 0;
  const auto copy = [&](size_t end) {
    text.append(text_, at, end - at);
    if (!tracked_) return;
    origin.insert(origin.end(), origin_.begin() + static_cast<std::ptrdiff_t>(at),
                  origin_.begin() + static_cast<std::ptrdiff_t>(end));
  };
  for (const Pattern::Match& match : matches) {
    copy(match.begin);
    text.append(content);
    if (tracked_) origin.resize(text.size(), match.end == 0 ? shift_ : origin_[match.end - 1]);
    at = match.end;
  }
  copy(text_.size());
  text_ = std::move(text);
  origin_ = std::move(origin);
}

void AlignedText::SpellBytes() {
  std::vector<ChangedCharacter> spelled;
  spelled.reserve(text_.size());
  for (const char byte : text_) {
    const auto value = static_cast<uint8_t>(byte);
    spelled.push_back({CharacterOfByte(value), (value & 0xC0) == 0x80 ? 1 : 0});
  }
  Transform(spelled);
}

}  // namespace chorus::engine
