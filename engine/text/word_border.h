// U+2581, which stands for a blank in SentencePiece's vocabularies and begins a word there.
#ifndef CHORUS_ENGINE_TEXT_WORD_BORDER_H_
#define CHORUS_ENGINE_TEXT_WORD_BORDER_H_

#include <string>
#include <string_view>

namespace chorus::engine {

inline constexpr std::string_view kWordBorder = "\xE2\x96\x81";

// Whether a border stands behind another character: then a merge to `token` crosses it.
inline bool HasInnerBorder(std::string_view token) {
  size_t at = 0;
  while (token.substr(at).starts_with(kWordBorder)) at += kWordBorder.size();
  return token.find(kWordBorder, at) != std::string_view::npos;
}

// Calls `take` with the parts of `text`, cut before each border that follows another character. If
// no token of a vocabulary has an inner border, the parts can be encoded one by one.
template <class Take>
void ForEachWord(std::string_view text, Take take) {
  size_t begin = 0;
  for (size_t at = 0; (at = text.find(kWordBorder, at)) != std::string_view::npos;
       at += kWordBorder.size()) {
    const bool follows_border = at >= begin + kWordBorder.size() &&
                                text.substr(at - kWordBorder.size()).starts_with(kWordBorder);
    if (at == begin || follows_border) continue;
    take(text.substr(begin, at - begin));
    begin = at;
  }
  take(text.substr(begin));
}

// The token with blanks for its borders.
std::string BlanksForBorders(std::string_view token);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_WORD_BORDER_H_
