// Text that grows, broken into rows of a width as it comes.
#ifndef CHORUS_SERVER_CLI_WRAPPED_TEXT_H_
#define CHORUS_SERVER_CLI_WRAPPED_TEXT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace chorus::cli {

// Breaks at spaces, inside a word only where it is wider than a row. A row never changes once
// another follows it. One thread at a time.
class WrappedText {
 public:
  // REQUIRES: width ≥ 2, the columns of the widest character.
  explicit WrappedText(int width) : width_(width) {}

  // Complete characters, of which control characters are shown as Printable does.
  void Append(absl::string_view text);

  // Rows without newlines, each at most `width` columns; the last one may go on. At least one.
  const std::vector<std::string>& rows() const { return rows_; }

 private:
  void Add(absl::string_view glyph, int columns);
  // Starts a row with the word that the last row ends with, or with nothing if that is all of it.
  void Break();

  const int width_;
  std::vector<std::string> rows_ = {""};
  int used_ = 0;             // columns of the last row
  size_t word_begin_ = 0;    // in the last row, behind its last space
  bool after_wrap_ = false;  // spaces at a break are not shown
};

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_WRAPPED_TEXT_H_
