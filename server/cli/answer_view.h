// How answers are shown while they stream: alone as they are, or several side by side.
#ifndef CHORUS_SERVER_CLI_ANSWER_VIEW_H_
#define CHORUS_SERVER_CLI_ANSWER_VIEW_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/cli/console.h"

namespace chorus::cli {

// One thread at a time. Each voice is one answer.
class AnswerView {
 public:
  virtual ~AnswerView() = default;

  // The next complete characters of an answer.
  virtual void Text(size_t voice, absl::string_view text) = 0;
  // No more comes of it; `problem` is one line about why, or empty.
  virtual void End(size_t voice, absl::string_view problem) = 0;
};

// One answer, as it is.
std::unique_ptr<AnswerView> MakePlainView(Output* out);
// Columns with their titles, redrawn as they grow. REQUIRES: FitsColumns.
std::unique_ptr<AnswerView> MakeColumnsView(Output* out, std::vector<std::string> titles);
// "title│ line", each line when it is complete.
std::unique_ptr<AnswerView> MakeLinesView(Output* out, std::vector<std::string> titles);

// Whether the output can move its cursor and has room for so many columns.
bool FitsColumns(const Output& out, size_t voices);

// What suits the output and the number of voices.
std::unique_ptr<AnswerView> MakeAnswerView(Output* out, std::vector<std::string> titles);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_ANSWER_VIEW_H_
