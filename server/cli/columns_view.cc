// Columns are drawn row by row. The rows that may still change stand in a window at the bottom of
// the terminal, which is redrawn in place; a row that is final in every column may scroll away. A
// column that is more than the window ahead of the slowest one is held back until that one follows.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/cli/answer_view.h"
#include "server/cli/printable.h"
#include "server/cli/wrapped_text.h"

namespace chorus::cli {
namespace {

constexpr int kMinColumn = 20;
constexpr int kMaxColumn = 60;
constexpr int kGap = 3;  // " │ "

// One column stays free: terminals differ in what they do after a character in the last one.
int ColumnWidth(const Output& out, size_t voices) {
  const int count = static_cast<int>(voices);
  return std::min((out.columns() - 1 - (count - 1) * kGap) / count, kMaxColumn);
}

class ColumnsView : public AnswerView {
 public:
  ColumnsView(Output* out, std::vector<std::string> titles)
      : out_(out),
        width_(ColumnWidth(*out, titles.size())),
        window_(static_cast<size_t>(std::max(out->rows() - 2, 3))) {
    std::string head;
    std::string rule;
    for (size_t i = 0; i < titles.size(); ++i) {
      const std::string title = Fitted(Printable(titles[i]), width_);
      absl::StrAppend(&head, i == 0 ? "" : out->Dim(" │ "),
                      out->Coloured(static_cast<int>(i), title));
      absl::StrAppend(&rule, i == 0 ? "" : "─┼─");
      for (int column = 0; column < width_; ++column) absl::StrAppend(&rule, "─");
      voices_.push_back({WrappedText(width_), false});
    }
    out->Write(absl::StrCat(head, "\n", out->Dim(rule), "\n"));
  }

  void Text(size_t voice, absl::string_view text) override {
    voices_[voice].text.Append(text);
    Draw();
  }

  void End(size_t voice, absl::string_view problem) override {
    Voice& ended = voices_[voice];
    if (!problem.empty()) {
      ended.text.Append(absl::StrCat(ended.text.rows().back().empty() ? "" : "\n", "✗ ", problem));
    }
    ended.ended = true;
    Draw();
  }

 private:
  struct Voice {
    WrappedText text;
    bool ended;
  };

  std::string Line(size_t row) const {
    std::string line;
    for (size_t i = 0; i < voices_.size(); ++i) {
      const std::vector<std::string>& rows = voices_[i].text.rows();
      absl::StrAppend(&line, i == 0 ? "" : out_->Dim(" │ "),
                      Fitted(row < rows.size() ? rows[row] : "", width_));
    }
    return line;
  }

  size_t RowsWanted() const {
    size_t rows = 0;
    for (const Voice& voice : voices_) {
      const std::vector<std::string>& own = voice.text.rows();
      rows = std::max(rows, own.size() - (own.back().empty() ? 1 : 0));
    }
    return rows;
  }

  bool IsFinal(size_t row) const {
    return std::all_of(voices_.begin(), voices_.end(), [row](const Voice& voice) {
      return voice.ended || voice.text.rows().size() > row + 1;
    });
  }

  void Draw() {
    const size_t wanted = RowsWanted();
    std::string text;
    for (;;) {
      DrawWindow(std::min(wanted, top_ + window_), &text);
      if (top_ + window_ >= wanted || shown_.empty() || !IsFinal(top_)) break;
      shown_.erase(shown_.begin());
      ++top_;
    }
    if (!text.empty()) out_->Write(text);
  }

  // Rewrites the window from its first line that changed.
  void DrawWindow(size_t end, std::string* text) {
    std::vector<std::string> lines;
    for (size_t row = top_; row < end; ++row) lines.push_back(Line(row));
    const auto [changed, old] =
        std::mismatch(lines.begin(), lines.end(), shown_.begin(), shown_.end());
    if (changed == lines.end()) return;
    const auto up = shown_.end() - old;
    if (up > 0) absl::StrAppend(text, "\x1b[", up, "A");
    for (auto line = changed; line != lines.end(); ++line) {
      absl::StrAppend(text, "\r", *line, "\x1b[K\n");
    }
    shown_ = std::move(lines);
  }

  Output* const out_;
  const int width_;
  const size_t window_;  // rows that can be redrawn
  std::vector<Voice> voices_;
  size_t top_ = 0;                  // the window's first row
  std::vector<std::string> shown_;  // the window's lines
};

}  // namespace

bool FitsColumns(const Output& out, size_t voices) {
  return out.is_terminal() && ColumnWidth(out, voices) >= kMinColumn;
}

std::unique_ptr<AnswerView> MakeColumnsView(Output* out, std::vector<std::string> titles) {
  return std::make_unique<ColumnsView>(out, std::move(titles));
}

}  // namespace chorus::cli
