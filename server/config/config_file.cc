#include "server/config/config_file.h"

#include <cerrno>
#include <fstream>
#include <iterator>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/refusal.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/json_util.h"
#include "kernels/check.h"
#include "server/config/options.h"

namespace chorus::server {
namespace {

namespace pb = google::protobuf;

constexpr size_t kMaxFileBytes = size_t{1} << 20;

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content;
  char buffer[4096];
  while (file.read(buffer, sizeof buffer) || file.gcount() > 0) {
    content.append(buffer, static_cast<size_t>(file.gcount()));
    if (content.size() > kMaxFileBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("--config: expected at most ", kMaxFileBytes, " bytes in ", path));
    }
  }
  if (!file.is_open() || file.bad()) {
    return absl::ErrnoToStatus(errno, absl::StrCat("--config: ", path));
  }
  return content;
}

// Keeps where text parsing failed; the parser's own log would go to standard error.
class FirstError : public pb::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (message_.empty()) message_ = absl::StrCat(line + 1, ":", column + 1, ": ", message);
  }
  const std::string& message() const { return message_; }

 private:
  std::string message_;
};

std::string FieldText(const v1::Config& file, const pb::FieldDescriptor* field) {
  const pb::Reflection* reflection = file.GetReflection();
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_STRING:
      return reflection->GetString(file, field);
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetBool(file, field) ? "true" : "false";
    case pb::FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(reflection->GetInt32(file, field));
    case pb::FieldDescriptor::CPPTYPE_DOUBLE: {
      std::ostringstream text;
      text.precision(17);
      text << reflection->GetDouble(file, field);
      return text.str();
    }
    default:
      CHORUS_CHECK(false);  // the proto has no other types; a test walks them all
  }
  return "";
}

void SetField(const std::string& text, const pb::FieldDescriptor* field, v1::Config* file) {
  const pb::Reflection* reflection = file->GetReflection();
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_STRING:
      return reflection->SetString(file, field, text);
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return reflection->SetBool(file, field, text == "true");
    case pb::FieldDescriptor::CPPTYPE_INT32: {
      int32_t number = 0;
      CHORUS_CHECK(absl::SimpleAtoi(text, &number));
      return reflection->SetInt32(file, field, number);
    }
    case pb::FieldDescriptor::CPPTYPE_DOUBLE: {
      double number = 0;
      CHORUS_CHECK(absl::SimpleAtod(text, &number));
      return reflection->SetDouble(file, field, number);
    }
    default:
      CHORUS_CHECK(false);
  }
}

const pb::FieldDescriptor* FieldOf(const Option& option) {
  const pb::FieldDescriptor* field = v1::Config::descriptor()->FindFieldByName(option.name);
  CHORUS_CHECK(field != nullptr);
  return field;
}

}  // namespace

absl::StatusOr<v1::Config> ReadConfigFile(const std::string& path) {
  absl::StatusOr<std::string> content = ReadFile(path);
  if (!content.ok()) return content.status();
  v1::Config file;
  const size_t first = content->find_first_not_of(" \t\r\n");
  if (first != std::string::npos && (*content)[first] == '{') {
    const auto status = pb::util::JsonStringToMessage(*content, &file);
    if (status.ok()) return file;
    absl::string_view reason(status.message().data(), status.message().size());
    absl::ConsumePrefix(&reason, ": ");
    return absl::InvalidArgumentError(absl::StrCat(path, ": as JSON: ", reason));
  }
  FirstError error;
  pb::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (parser.ParseFromString(*content, &file)) return file;
  return absl::InvalidArgumentError(absl::StrCat(path, ":", error.message()));
}

void ApplyConfig(const v1::Config& file, const std::string& source, ServerConfig* config,
                 std::vector<std::string>* problems) {
  for (const Option& option : AllOptions()) {
    const pb::FieldDescriptor* field = FieldOf(option);
    if (!file.GetReflection()->HasField(file, field)) continue;
    const std::string text = FieldText(file, field);
    if (option.parse(text, config)) continue;
    problems->emplace_back(engine::Refuse(engine::Reason::kValueOutOfRange,
                                          absl::StrCat(source, ": ", option.name), option.expected,
                                          engine::Quoted(text))
                               .message());
  }
}

v1::Config ToConfigProto(const ServerConfig& config) {
  v1::Config file;
  for (const Option& option : AllOptions()) {
    const std::string text = option.print(config);
    if (!text.empty()) SetField(text, FieldOf(option), &file);
  }
  return file;
}

std::string ToConfigText(const ServerConfig& config) {
  std::string text;
  CHORUS_CHECK(pb::TextFormat::PrintToString(ToConfigProto(config), &text));
  return text;
}

}  // namespace chorus::server
