// A model's chat template: turns a conversation into the text that the model was trained to go on
// from, as transformers' apply_chat_template does. Tokenise it without adding special tokens: the
// template writes them itself.
#ifndef CHORUS_ENGINE_TEXT_CHAT_TEMPLATE_H_
#define CHORUS_ENGINE_TEXT_CHAT_TEMPLATE_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/text/jinja/jinja.h"
#include "engine/text/tokenizer.h"

namespace chorus::engine {

// JSON that a client sends for a template, keys in their order. InvalidArgument with kJsonInvalid
// that begins with `what` for more than 4 MiB, 100,000 values or 16 levels, keys that stand twice,
// and integers beyond 64 bits, which would silently become another number.
absl::StatusOr<jinja::Json> ParseChatJson(std::string_view text, std::string_view what);

// Immutable: any thread may call any const method.
class ChatTemplate {
 public:
  struct Request {
    jinja::Json messages;              // an array of objects: role, content and what else there is
    std::optional<jinja::Json> tools;  // an array; not given is None to the template
    jinja::Json arguments = jinja::Json::object();  // further variables
    bool add_generation_prompt = true;
  };

  // The template of the model in `model_dir`, or the one in `file` unless that is empty; `now` is
  // what strftime_now reads, in the machine's time zone. NotFound when the model has none;
  // FailedPrecondition "chat_template.jinja, line 12: …" when its own cannot be read or run, both
  // with kChatUnavailable: chat is off, and all else works. InvalidArgument when `file` cannot be:
  // somebody asked for it.
  static absl::StatusOr<ChatTemplate> Load(const std::string& model_dir, const std::string& file,
                                           const Tokenizer& tokenizer,
                                           std::function<absl::Time()> now);

  // InvalidArgument with kChatInvalid and the template's line when the template refuses the
  // conversation, in its words, or fails on it or exceeds a limit; with kConflictingFields when an
  // argument has the name of a field of its own. FailedPrecondition with kChatUnavailable when the
  // model has a template for tools alone and none are given.
  absl::StatusOr<std::string> Render(const Request& request) const;

 private:
  struct Parsed {
    std::string place;
    jinja::Template program;
  };

  ChatTemplate(jinja::Json tokens, std::function<absl::Time()> now)
      : tokens_(std::move(tokens)), now_(std::move(now)) {}

  absl::StatusOr<jinja::Json> Context(const Request& request) const;

  std::optional<Parsed> plain_, tool_use_;  // one at least
  jinja::Json tokens_;                      // "bos_token", …
  std::function<absl::Time()> now_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_CHAT_TEMPLATE_H_
