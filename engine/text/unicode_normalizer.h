// NFC, NFD, NFKC and NFKD (Unicode Standard Annex 15) over the tables of Hugging Face tokenizers,
// whose Unicode version is older than that of its regular expressions. Any thread may call.
#ifndef CHORUS_ENGINE_TEXT_UNICODE_NORMALIZER_H_
#define CHORUS_ENGINE_TEXT_UNICODE_NORMALIZER_H_

#include <vector>

namespace chorus::engine {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// One character of a changed text. `change` is 1 for a character that was put in, else minus the
// number of following characters that it swallowed (0: it replaces exactly one).
struct ChangedCharacter {
  char32_t code_point;
  int change;
};

// REQUIRES: `text` holds each character with change 0, or is the result of another change whose
// alignment nobody needs.
std::vector<ChangedCharacter> Normalize(const std::vector<ChangedCharacter>& text, NormalForm form);

// What char::to_lowercase makes of one character (one or two characters).
void AppendLowercase(char32_t code_point, std::vector<ChangedCharacter>* out);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_UNICODE_NORMALIZER_H_
