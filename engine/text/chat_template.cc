#include "engine/text/chat_template.h"

#include "engine/json/strict_json.h"
#include "engine/refusal.h"
#include "engine/text/chat_files.h"
#include "engine/text/str_cat.h"
#include "engine/text/tokenizer_config.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

// What a template says goes back in gRPC trailers, which are small.
constexpr size_t kMaxSaid = 1000;

std::string Shortened(std::string_view text) {
  if (text.size() <= kMaxSaid) return std::string(text);
  size_t end = kMaxSaid;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return StrCat(text.substr(0, end), "…");
}

// "line 12: …" of the template at `place` as a refusal of its own.
absl::Status AtPlace(const absl::Status& status, absl::StatusCode code, Reason reason,
                     std::string place) {
  std::string_view said(status.message().data(), status.message().size());
  const size_t colon = said.find(": ");
  if (said.starts_with("line ") && colon != std::string_view::npos) {
    StrAppend(&place, ", ", said.substr(0, colon));
    said.remove_prefix(colon + 2);
  }
  return MakeRefusal(code, {.reason = reason, .object = std::move(place), .got = Shortened(said)});
}

absl::Status Unavailable(absl::StatusCode code, std::string problem) {
  return MakeRefusal(
      code,
      {.reason = Reason::kChatUnavailable, .object = "chat template", .got = std::move(problem)});
}

// transformers' special_tokens_map; the tokenizer's word goes before its file's.
jinja::Json TokenVariables(const ChatFiles& files, const Tokenizer& tokenizer,
                           const TokenizerConfig& config) {
  jinja::Json variables = jinja::Json::object();
  for (const auto& [name, text] : files.tokens) variables[name] = text;
  const auto add = [&](const char* name, const std::optional<NamedToken>& token) {
    if (token.has_value()) variables[name] = token->text;
  };
  const SpecialTokens& special = tokenizer.special_tokens();
  add("bos_token", special.bos);
  add("eos_token", special.eos);
  add("unk_token", special.unk);
  add("pad_token", special.pad);
  if (!config.additional_special.empty()) {
    variables["additional_special_tokens"] = config.additional_special;
  }
  return variables;
}

absl::Status CheckMessages(const jinja::Json& messages) {
  if (!messages.is_array() || messages.empty()) {
    return Refuse(Reason::kChatInvalid, "chat: messages", "at least one message",
                  messages.is_array() ? "none" : messages.type_name());
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].is_object()) continue;
    return Refuse(Reason::kChatInvalid, StrCat("chat: messages[", i, "]"), "an object",
                  messages[i].type_name());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<jinja::Json> ParseChatJson(std::string_view text, std::string_view what) {
  return ParseStrictJson(text, what,
                         {.max_bytes = size_t{4} << 20, .max_depth = 16, .max_values = 100'000});
}

absl::StatusOr<ChatTemplate> ChatTemplate::Load(const std::string& model_dir,
                                                const std::string& file, const Tokenizer& tokenizer,
                                                std::function<absl::Time()> now) {
  const absl::StatusCode broken =
      file.empty() ? absl::StatusCode::kFailedPrecondition : absl::StatusCode::kInvalidArgument;
  absl::StatusOr<ChatFiles> files = ReadChatFiles(model_dir);
  absl::StatusOr<TokenizerConfig> config = TokenizerConfig::Read(model_dir);
  for (const absl::Status& status : {files.status(), config.status()}) {
    if (!status.ok()) return Unavailable(broken, std::string(status.message()));
  }
  if (!file.empty()) {
    absl::StatusOr<ChatFiles::Source> source = ReadChatTemplateFile(file);
    if (!source.ok()) return Unavailable(broken, std::string(source.status().message()));
    files->plain = *std::move(source);
    files->tool_use.reset();
  }
  if (!files->plain.has_value() && !files->tool_use.has_value()) {
    return Unavailable(absl::StatusCode::kNotFound, "the model has none");
  }

  ChatTemplate loaded(TokenVariables(*files, tokenizer, *config), std::move(now));
  for (const auto& [source, parsed] :
       {std::pair(&files->plain, &loaded.plain_), std::pair(&files->tool_use, &loaded.tool_use_)}) {
    if (!source->has_value()) continue;
    absl::StatusOr<jinja::Template> program = jinja::Template::Parse((*source)->text);
    if (!program.ok()) {
      return AtPlace(program.status(), broken, Reason::kChatUnavailable, (*source)->place);
    }
    *parsed = Parsed{(*source)->place, *std::move(program)};
  }
  return loaded;
}

absl::StatusOr<jinja::Json> ChatTemplate::Context(const Request& request) const {
  // The arguments first: there may be many, and each name that is set afterwards is searched for.
  jinja::Json context = request.arguments;
  for (const char* name : {"messages", "tools", "add_generation_prompt"}) {
    if (!context.contains(name)) continue;
    return Refuse(Reason::kConflictingFields, StrCat("chat: template argument ", Quoted(name)),
                  "a name without a field of its own", "");
  }
  for (const auto& [name, value] : tokens_.items()) {
    if (!context.contains(name)) context[name] = value;
  }
  if (!context.contains("documents")) context["documents"] = nullptr;
  context["messages"] = request.messages;
  context["tools"] = request.tools.value_or(nullptr);
  context["add_generation_prompt"] = request.add_generation_prompt;
  return context;
}

absl::StatusOr<std::string> ChatTemplate::Render(const Request& request) const {
  CHORUS_RETURN_IF_ERROR(CheckMessages(request.messages));
  const bool for_tools = request.tools.has_value() && tool_use_.has_value();
  const std::optional<Parsed>& parsed = for_tools ? tool_use_ : plain_;
  if (!parsed.has_value()) {
    return Unavailable(absl::StatusCode::kFailedPrecondition,
                       "the model has one for requests with tools alone");
  }
  CHORUS_ASSIGN_OR_RETURN(const jinja::Json context, Context(request));
  absl::StatusOr<std::string> text = parsed->program.Render(context, {.now = now_});
  if (text.ok()) return text;
  return AtPlace(text.status(), absl::StatusCode::kInvalidArgument, Reason::kChatInvalid,
                 parsed->place);
}

}  // namespace chorus::engine
