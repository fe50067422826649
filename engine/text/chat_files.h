// What a model's directory holds for chats: the text of its templates and the special tokens that
// templates may name. Pure reading; any thread may call.
#ifndef CHORUS_ENGINE_TEXT_CHAT_FILES_H_
#define CHORUS_ENGINE_TEXT_CHAT_FILES_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace chorus::engine {

struct ChatFiles {
  struct Source {
    std::string place;  // for messages: "tokenizer_config.json: chat_template"
    std::string text;
  };
  std::optional<Source> plain;     // "default", or the only one
  std::optional<Source> tool_use;  // for requests with tools, where the model has one of its own
  // ("sep_token", its text), … of tokenizer_config.json.
  std::vector<std::pair<std::string, std::string>> tokens;
};

// Templates come from the first of chat_template.jinja (with
// additional_chat_templates/tool_use.jinja beside it), chat_template.json and tokenizer_config.json
// that has any, as transformers prefers them; neither is set when none has. InvalidArgument for a
// file that is malformed.
absl::StatusOr<ChatFiles> ReadChatFiles(const std::string& model_dir);

// A template in a file of its own. InvalidArgument when it cannot be read.
absl::StatusOr<ChatFiles::Source> ReadChatTemplateFile(const std::string& path);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_CHAT_FILES_H_
