// A terminal as far as the client uses one: text, newline, carriage return, cursor up, erase to the
// end of the line, scrolling. A cursor that would leave the screen at its top is an error.
#ifndef CHORUS_TESTS_SERVER_CLI_SCREEN_H_
#define CHORUS_TESTS_SERVER_CLI_SCREEN_H_

#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "server/cli/printable.h"

namespace chorus::cli {

class Screen {
 public:
  explicit Screen(size_t rows) : rows_(rows) {}

  void Show(absl::string_view text) {
    while (!text.empty()) {
      const Glyph glyph = FirstGlyph(text);
      text.remove_prefix(glyph.bytes.size());
      if (glyph.bytes == "\n") {
        column_ = 0;
        if (++row_ == lines_.size()) lines_.emplace_back();
      } else if (glyph.bytes == "\r") {
        column_ = 0;
      } else if (glyph.bytes == "\x1b") {
        Escape(&text);
      } else {
        auto& line = lines_[row_];
        if (line.size() <= column_) line.resize(column_ + 1, " ");
        line[column_++] = std::string(glyph.bytes);
        for (int extra = 1; extra < glyph.columns; ++extra) {
          if (line.size() <= column_) line.resize(column_ + 1);
          line[column_++] = "";
        }
      }
    }
  }

  // All lines that were ever shown, those that scrolled away included, without spaces at the end.
  std::vector<std::string> Lines() const {
    std::vector<std::string> lines;
    for (const auto& cells : lines_) {
      std::string line = absl::StrJoin(cells, "");
      line.resize(line.find_last_not_of(' ') + 1);
      lines.push_back(std::move(line));
    }
    while (!lines.empty() && lines.back().empty()) lines.pop_back();
    return lines;
  }

 private:
  void Escape(absl::string_view* text) {
    ASSERT_EQ((*text)[0], '[');
    const size_t end = text->find_first_not_of("0123456789", 1);
    ASSERT_NE(end, absl::string_view::npos);
    size_t count = 0;
    (void)absl::SimpleAtoi(text->substr(1, end - 1), &count);
    const char command = (*text)[end];
    text->remove_prefix(end + 1);
    if (command == 'K') {
      if (lines_[row_].size() > column_) lines_[row_].resize(column_);
    } else if (command == 'A') {
      ASSERT_LT(count, rows_) << "the cursor left the screen";
      ASSERT_LE(count, row_);
      row_ -= count;
    } else {
      FAIL() << "unknown escape " << command;
    }
  }

  const size_t rows_;
  std::vector<std::vector<std::string>> lines_ = {{}};
  size_t row_ = 0;
  size_t column_ = 0;
};

}  // namespace chorus::cli

#endif  // CHORUS_TESTS_SERVER_CLI_SCREEN_H_
