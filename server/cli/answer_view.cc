#include "server/cli/answer_view.h"

#include "server/cli/printable.h"

namespace chorus::cli {
namespace {

class PlainView : public AnswerView {
 public:
  explicit PlainView(Output* out) : out_(out) {}

  void Text(size_t, absl::string_view text) override {
    if (text.empty()) return;
    // Into a file or a pipe goes what the model said, byte for byte.
    out_->Write(out_->is_terminal() ? Printable(text) : std::string(text));
    ends_line_ = text.back() == '\n';
  }

  void End(size_t, absl::string_view) override {
    if (!ends_line_) out_->Write("\n");
  }

 private:
  Output* const out_;
  bool ends_line_ = true;
};

}  // namespace

std::unique_ptr<AnswerView> MakePlainView(Output* out) { return std::make_unique<PlainView>(out); }

std::unique_ptr<AnswerView> MakeAnswerView(Output* out, std::vector<std::string> titles) {
  if (titles.size() == 1) return MakePlainView(out);
  if (FitsColumns(*out, titles.size())) return MakeColumnsView(out, std::move(titles));
  return MakeLinesView(out, std::move(titles));
}

}  // namespace chorus::cli
