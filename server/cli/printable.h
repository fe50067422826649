// Text from elsewhere on its way to a terminal.
#ifndef CHORUS_SERVER_CLI_PRINTABLE_H_
#define CHORUS_SERVER_CLI_PRINTABLE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace chorus::cli {

// `text` with every control character but newline and tab, and every byte that is not UTF-8, shown
// instead of obeyed: a model's answer moves no cursor and sets no window title.
std::string Printable(absl::string_view text);

// In quotes on one line, with newlines, tabs and bytes that are not UTF-8 escaped as in C.
std::string Quoted(absl::string_view bytes);

// Columns that `text` takes on a terminal. REQUIRES: printable, without newlines.
int DisplayWidth(absl::string_view text);

// One character at the start of `text`: its bytes and its columns. REQUIRES: not empty.
struct Glyph {
  absl::string_view bytes;
  int columns = 1;
};
Glyph FirstGlyph(absl::string_view text);

// Cut to `columns` with an ellipsis where it is longer; padded with spaces where it is shorter.
std::string Fitted(absl::string_view text, int columns);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_PRINTABLE_H_
