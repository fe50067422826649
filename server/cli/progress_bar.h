// How much of something is done, on one line of a terminal that is drawn over until it is.
#ifndef CHORUS_SERVER_CLI_PROGRESS_BAR_H_
#define CHORUS_SERVER_CLI_PROGRESS_BAR_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/cli/console.h"

namespace chorus::cli {

// "bert  ███████▌      12.3 MB of 80.1 MB  45.0 MB/s  1.5 s left". `columns` is the line's limit.
std::string ProgressLine(absl::string_view title, uint64_t done, uint64_t total,
                         absl::Duration elapsed, int columns);

// Draws nothing where there is no terminal. One thread at a time.
class ProgressBar {
 public:
  ProgressBar(Output* out, std::string title, uint64_t total);
  ~ProgressBar();  // wipes the line
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // At most ten times a second it draws.
  void Advance(uint64_t bytes);
  // What happens now that all is sent.
  void Say(absl::string_view what);

 private:
  Output* const out_;
  const std::string title_;
  const uint64_t total_;
  const absl::Time begin_;
  uint64_t done_ = 0;
  absl::Time drawn_ = absl::InfinitePast();
};

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_PROGRESS_BAR_H_
