#include "server/cli/wrapped_text.h"

#include "absl/strings/str_cat.h"
#include "server/cli/printable.h"

namespace chorus::cli {

void WrappedText::Append(absl::string_view text) {
  const std::string printable = Printable(text);
  absl::string_view rest = printable;
  while (!rest.empty()) {
    const Glyph glyph = FirstGlyph(rest);
    rest.remove_prefix(glyph.bytes.size());
    if (glyph.bytes == "\n") {
      rows_.emplace_back();
      used_ = 0;
      word_begin_ = 0;
      after_wrap_ = false;
    } else if (glyph.bytes == "\t") {
      Add(" ", 1);
      Add(" ", 1);
    } else {
      Add(glyph.bytes, glyph.columns);
    }
  }
}

void WrappedText::Add(absl::string_view glyph, int columns) {
  const bool space = glyph == " ";
  if (space && after_wrap_) return;
  if (used_ + columns > width_) {
    if (space) {
      rows_.emplace_back();
      used_ = 0;
      word_begin_ = 0;
      after_wrap_ = true;
      return;
    }
    Break();
    // A word that fills its new row too.
    if (used_ + columns > width_) Break();
  }
  after_wrap_ = false;
  absl::StrAppend(&rows_.back(), glyph);
  used_ += columns;
  if (space) word_begin_ = rows_.back().size();
}

void WrappedText::Break() {
  std::string& row = rows_.back();
  const size_t end = row.find_last_not_of(' ', word_begin_ > 0 ? word_begin_ - 1 : 0);
  std::string word;
  // A row of nothing but its first spaces would say less than a broken word.
  if (word_begin_ > 0 && end != std::string::npos) {
    word = row.substr(word_begin_);
    row.resize(end + 1);
  }
  used_ = DisplayWidth(word);
  word_begin_ = 0;
  rows_.push_back(std::move(word));
}

}  // namespace chorus::cli
