#include "server/cli/prompt.h"

#include "absl/strings/match.h"

namespace chorus::cli {
namespace {

// More than the server takes in one message.
constexpr size_t kMaxPromptBytes = size_t{16} << 20;

}  // namespace

absl::StatusOr<std::string> ReadPrompt(const Args& words, const Console& console) {
  if (!words.empty() && words[0] != "-") return words[0];
  if (words.empty() && console.in_is_terminal) {
    return absl::InvalidArgumentError("PROMPT is missing (\"-\" reads standard input)");
  }
  absl::StatusOr<std::string> text = ReadAll(console.in_fd, kMaxPromptBytes);
  if (text.ok() && absl::EndsWith(*text, "\n")) text->pop_back();
  return text;
}

v1::Chat MakeChat(const std::string& system, const std::string& text) {
  v1::Chat chat;
  const auto add = [&chat](const char* role, const std::string& content) {
    v1::ChatMessage* message = chat.add_messages();
    message->set_role(role);
    message->set_content(content);
  };
  if (!system.empty()) add("system", system);
  add("user", text);
  return chat;
}

}  // namespace chorus::cli
