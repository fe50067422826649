#include "engine/text/chat_files.h"

#include "engine/text/file_bytes.h"
#include "engine/text/json_fields.h"
#include "engine/text/str_cat.h"
#include "kernels/status_macros.h"
#include "nlohmann/json.hpp"

namespace chorus::engine {
namespace {

constexpr int64_t kMaxTemplateBytes = 4 << 20;
constexpr int64_t kMaxConfigBytes = 64 << 20;
constexpr char kTokenizerConfig[] = "tokenizer_config.json";

// Nullopt when there is no such file.
absl::StatusOr<std::optional<std::string>> ReadIfThere(const std::string& path, int64_t max_bytes) {
  absl::StatusOr<std::string> bytes = ReadFileBytes(path, max_bytes);
  if (absl::IsNotFound(bytes.status())) return std::nullopt;
  if (!bytes.ok()) return bytes.status();
  return std::optional<std::string>(*std::move(bytes));
}

// An empty object when there is no such file.
absl::StatusOr<Json> ReadObject(const std::string& model_dir, const std::string& file) {
  CHORUS_ASSIGN_OR_RETURN(const std::optional<std::string> bytes,
                          ReadIfThere(StrCat(model_dir, "/", file), kMaxConfigBytes));
  if (!bytes.has_value()) return Json::object();
  return ParseJsonObject(*bytes, file);
}

absl::Status ReadNamed(const Json& list, const std::string& place, ChatFiles* files) {
  for (const Json& entry : list) {
    if (!entry.is_object()) {
      return absl::InvalidArgumentError(
          StrCat(place, ": holds ", entry.type_name(), ", want objects of name and template"));
    }
    CHORUS_ASSIGN_OR_RETURN(const std::string name, StringField(entry, "name", place));
    CHORUS_ASSIGN_OR_RETURN(std::string text, StringField(entry, "template", place));
    ChatFiles::Source source{StrCat(place, " \"", name, "\""), std::move(text)};
    if (name == "default") files->plain = std::move(source);
    if (name == "tool_use") files->tool_use = std::move(source);
  }
  return absl::OkStatus();
}

// "chat_template": a string, or a list of {"name", "template"}.
absl::Status ReadFromConfig(const Json& config, const std::string& file, ChatFiles* files) {
  const Json* const field = FindField(config, "chat_template");
  if (field == nullptr) return absl::OkStatus();
  const std::string place = StrCat(file, ": chat_template");
  if (field->is_string()) {
    files->plain = ChatFiles::Source{place, field->get<std::string>()};
    return absl::OkStatus();
  }
  if (field->is_array()) return ReadNamed(*field, place, files);
  return absl::InvalidArgumentError(
      StrCat(place, ": is ", field->type_name(), ", want a string or a list"));
}

absl::Status ReadTemplates(const std::string& model_dir, const Json& config, ChatFiles* files) {
  const auto read =
      [&](const std::string& file) -> absl::StatusOr<std::optional<ChatFiles::Source>> {
    CHORUS_ASSIGN_OR_RETURN(std::optional<std::string> text,
                            ReadIfThere(StrCat(model_dir, "/", file), kMaxTemplateBytes));
    if (!text.has_value()) return std::nullopt;
    return ChatFiles::Source{file, *std::move(text)};
  };
  CHORUS_ASSIGN_OR_RETURN(files->plain, read("chat_template.jinja"));
  if (files->plain.has_value()) {
    CHORUS_ASSIGN_OR_RETURN(files->tool_use, read("additional_chat_templates/tool_use.jinja"));
    return absl::OkStatus();
  }
  const std::string processor_file = "chat_template.json";
  CHORUS_ASSIGN_OR_RETURN(const Json processor, ReadObject(model_dir, processor_file));
  CHORUS_RETURN_IF_ERROR(ReadFromConfig(processor, processor_file, files));
  if (files->plain.has_value() || files->tool_use.has_value()) return absl::OkStatus();
  return ReadFromConfig(config, kTokenizerConfig, files);
}

// The names that transformers gives a template beside the messages. Values of another shape are the
// tokenizer's to refuse.
void ReadTokens(const Json& config, ChatFiles* files) {
  const auto add = [&](const std::string& name, const Json& value) {
    const Json& text = value.is_object() && value.contains("content") ? value["content"] : value;
    if (text.is_string()) files->tokens.emplace_back(name, text.get<std::string>());
  };
  for (const char* name : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                           "cls_token", "mask_token"}) {
    if (const Json* const value = FindField(config, name)) add(name, *value);
  }
  // "image_token" and the like, which the model's class does not know by itself.
  const Json* const more = FindField(config, "extra_special_tokens");
  if (more == nullptr || !more->is_object()) return;
  for (const auto& [name, value] : more->items()) add(name, value);
}

}  // namespace

absl::StatusOr<ChatFiles> ReadChatFiles(const std::string& model_dir) {
  ChatFiles files;
  CHORUS_ASSIGN_OR_RETURN(const Json config, ReadObject(model_dir, kTokenizerConfig));
  CHORUS_RETURN_IF_ERROR(ReadTemplates(model_dir, config, &files));
  ReadTokens(config, &files);
  return files;
}

absl::StatusOr<ChatFiles::Source> ReadChatTemplateFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFileBytes(path, kMaxTemplateBytes);
  if (!text.ok()) return absl::InvalidArgumentError(text.status().message());
  return ChatFiles::Source{path, *std::move(text)};
}

}  // namespace chorus::engine
