#include "server/cli/progress_bar.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/cli/printable.h"
#include "server/cli/units.h"

namespace chorus::cli {
namespace {

constexpr absl::Duration kPeriod = absl::Milliseconds(100);
constexpr int kBar = 30;
constexpr int kMaxTitle = 24;

// Eighths of a cell, from a full one to an empty one.
std::string Bar(double share, int columns) {
  static constexpr const char* kParts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(std::clamp(share, 0.0, 1.0) * columns * 8);
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) bar += "█";
  bar += kParts[eighths % 8];
  const int used = eighths / 8 + (eighths % 8 > 0 ? 1 : 0);
  return bar + std::string(static_cast<size_t>(columns - used), ' ');
}

}  // namespace

std::string ProgressLine(absl::string_view title, uint64_t done, uint64_t total,
                         absl::Duration elapsed, int columns) {
  const double share = total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total);
  const double seconds = absl::ToDoubleSeconds(elapsed);
  const int title_width = std::min(DisplayWidth(title), kMaxTitle);
  std::string line = absl::StrCat(Fitted(title, title_width), "  ", Bar(share, kBar), "  ",
                                  BytesText(done), " of ", BytesText(total));
  // A rate of the first moments says nothing.
  if (seconds >= 0.2 && done > 0) {
    const double rate = static_cast<double>(done) / seconds;
    absl::StrAppend(&line, "  ", BytesText(static_cast<uint64_t>(rate)), "/s");
    if (done < total) {
      const double left = static_cast<double>(total - done) / rate;
      absl::StrAppend(&line, "  ", DurationText(absl::Seconds(left)), " left");
    }
  }
  return DisplayWidth(line) <= columns ? line : Fitted(line, columns);
}

ProgressBar::ProgressBar(Output* out, std::string title, uint64_t total)
    : out_(out), title_(std::move(title)), total_(total), begin_(absl::Now()) {
  Advance(0);
}

ProgressBar::~ProgressBar() {
  if (out_->is_terminal()) out_->Write("\r\x1b[K");
}

void ProgressBar::Advance(uint64_t bytes) {
  done_ += bytes;
  const absl::Time now = absl::Now();
  if (!out_->is_terminal() || (now - drawn_ < kPeriod && done_ < total_)) return;
  drawn_ = now;
  out_->Write(absl::StrCat(
      "\r", ProgressLine(title_, done_, total_, now - begin_, out_->columns() - 1), "\x1b[K"));
}

void ProgressBar::Say(absl::string_view what) {
  if (!out_->is_terminal()) return;
  out_->Write(
      absl::StrCat("\r", Fitted(absl::StrCat(title_, "  ", what), out_->columns() - 1), "\x1b[K"));
}

}  // namespace chorus::cli
