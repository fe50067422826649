// What the model is asked, from the command line or from standard input.
#ifndef CHORUS_SERVER_CLI_PROMPT_H_
#define CHORUS_SERVER_CLI_PROMPT_H_

#include <string>

#include "absl/status/statusor.h"
#include "chorus/v1/inference.pb.h"
#include "server/cli/console.h"
#include "server/cli/options.h"

namespace chorus::cli {

// The only word, or what standard input holds (without its last newline) when the word is "-" or
// there is none. InvalidArgument when there is neither a word nor anything behind standard input.
absl::StatusOr<std::string> ReadPrompt(const Args& words, const Console& console);

// `text` as the user's message, after the system's when there is one.
v1::Chat MakeChat(const std::string& system, const std::string& text);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_PROMPT_H_
