#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/cli/answer_view.h"
#include "server/cli/printable.h"
#include "server/cli/wrapped_text.h"

namespace chorus::cli {
namespace {

constexpr int kMaxTitle = 24;
constexpr int kMinText = 20;

class LinesView : public AnswerView {
 public:
  LinesView(Output* out, std::vector<std::string> titles) : out_(out), titles_(std::move(titles)) {
    int width = 0;
    for (const std::string& title : titles_) width = std::max(width, DisplayWidth(title));
    width = std::min(width, kMaxTitle);
    const int room = std::max(out->columns() - width - 2, kMinText);
    for (std::string& title : titles_) {
      title = Fitted(Printable(title), width);
      voices_.push_back({WrappedText(room), 0});
    }
  }

  void Text(size_t voice, absl::string_view text) override {
    voices_[voice].text.Append(text);
    Print(voice, voices_[voice].text.rows().size() - 1);
  }

  void End(size_t voice, absl::string_view problem) override {
    Voice& ended = voices_[voice];
    if (!problem.empty()) {
      ended.text.Append(absl::StrCat(ended.text.rows().back().empty() ? "" : "\n", "✗ ", problem));
    }
    // A newline at the answer's end makes no empty line here.
    const bool empty_end = ended.text.rows().back().empty() && ended.text.rows().size() > 1;
    Print(voice, ended.text.rows().size() - (empty_end ? 1 : 0));
  }

 private:
  struct Voice {
    WrappedText text;
    size_t printed;  // rows
  };

  void Print(size_t voice, size_t end) {
    Voice& speaking = voices_[voice];
    std::string lines;
    for (; speaking.printed < end; ++speaking.printed) {
      absl::StrAppend(&lines, out_->Coloured(static_cast<int>(voice), titles_[voice]),
                      out_->Dim("│"), " ", speaking.text.rows()[speaking.printed], "\n");
    }
    if (!lines.empty()) out_->Write(lines);
  }

  Output* const out_;
  std::vector<std::string> titles_;
  std::vector<Voice> voices_;
};

}  // namespace

std::unique_ptr<AnswerView> MakeLinesView(Output* out, std::vector<std::string> titles) {
  return std::make_unique<LinesView>(out, std::move(titles));
}

}  // namespace chorus::cli
