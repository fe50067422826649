#include "engine/json/strict_json.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

// Builds the document from the parser's events. nlohmann's own builder keeps the last of duplicate
// keys silently, and looks at all keys of an ordered object for each new one.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(const JsonLimits& limits) : limits_(limits) {}

  const std::string& problem() const { return problem_; }
  Json Take() { return std::move(root_); }

  bool null() override { return Add(nullptr) != nullptr; }
  bool boolean(bool value) override { return Add(value) != nullptr; }
  bool number_integer(number_integer_t value) override { return Add(value) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return Add(value) != nullptr; }
  bool number_float(number_float_t value, const string_t& written) override {
    // nlohmann hands on what no integer type holds as the nearest double: another number.
    if (written.find_first_of(".eE") == string_t::npos) {
      return Fail(absl::StrCat("the integer ", Quoted(written), " beyond 64 bits"));
    }
    return Add(value) != nullptr;
  }
  bool string(string_t& value) override { return Add(std::move(value)) != nullptr; }
  bool binary(binary_t&) override { return Fail("binary data"); }
  bool start_object(std::size_t) override { return Open(Json::object()); }
  bool start_array(std::size_t) override { return Open(Json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& key) override {
    if (!open_.back().keys.insert(key).second) {
      return Fail(absl::StrCat("the key ", Quoted(key), " stands twice"));
    }
    key_ = std::move(key);
    return true;
  }

  bool parse_error(std::size_t position, const std::string& last,
                   const nlohmann::detail::exception& error) override {
    constexpr int kNumberOverflow = 406;
    return Fail(absl::StrCat(error.id == kNumberOverflow ? "a number out of range" : "not JSON",
                             " at byte ", position, ", after ", Quoted(last)));
  }

 private:
  struct Container {
    Json* json;                             // stays put: its parent grows only after it is closed
    absl::flat_hash_set<std::string> keys;  // of an object
  };

  bool Fail(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }

  // Where the value now lies; null once there are too many.
  Json* Add(Json value) {
    if (++values_ > limits_.max_values) {
      Fail(absl::StrCat("more than ", limits_.max_values, " values"));
      return nullptr;
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back().json;
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    auto* const members = parent.get_ptr<Json::object_t*>();
    members->emplace_back(std::move(key_), std::move(value));  // the vector's: no search
    return &members->back().second;
  }

  bool Open(Json container) {
    if (static_cast<int>(open_.size()) == limits_.max_depth) {
      return Fail(absl::StrCat("nested deeper than ", limits_.max_depth));
    }
    Json* const added = Add(std::move(container));
    if (added == nullptr) return false;
    open_.push_back({added, {}});
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  const JsonLimits limits_;
  Json root_;
  std::vector<Container> open_;
  std::string key_;
  size_t values_ = 0;
  std::string problem_;
};

bool IsIdentifier(std::string_view key) {
  return !key.empty() && key.size() <= 64 && std::all_of(key.begin(), key.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
  });
}

}  // namespace

absl::StatusOr<Json> ParseStrictJson(std::string_view text, std::string_view what,
                                     const JsonLimits& limits) {
  const std::string object(what);
  if (text.size() > limits.max_bytes) {
    return Refuse(limits.reason, object, absl::StrCat("at most ", limits.max_bytes, " bytes"),
                  absl::StrCat(text.size()));
  }
  if (text.starts_with("\xef\xbb\xbf")) {  // nlohmann skips it
    return Refuse(limits.reason, object, "JSON", "a byte-order mark");
  }
  Builder builder(limits);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    return Refuse(limits.reason, object, "JSON", builder.problem());
  }
  return builder.Take();
}

bool JsonValue::truthy() const {
  if (absent()) return false;
  if (value_->is_boolean()) return value_->get<bool>();
  if (value_->is_number()) return value_->get<double>() != 0.0;
  if (value_->is_string()) return !value_->get_ref<const std::string&>().empty();
  return !value_->empty();
}

std::string JsonValue::Shown() const {
  if (value_ == nullptr) return "nothing";
  if (is_string()) return Quoted(value_->get_ref<const std::string&>());
  if (is_array()) return absl::StrCat("an array of ", value_->size());
  if (is_object()) return absl::StrCat("an object of ", value_->size());
  return value_->dump();
}

JsonValue JsonValue::Member(std::string_view key, const Json* value) const {
  const bool plain = IsIdentifier(key);
  const std::string name = plain ? std::string(key) : Quoted(key);
  std::string place = is_root_ ? absl::StrCat(place_, ": ", name)
                      : plain  ? absl::StrCat(place_, ".", name)
                               : absl::StrCat(place_, "[", name, "]");
  return JsonValue(value, std::move(place), reason_, /*is_root=*/false);
}

JsonValue JsonValue::operator[](std::string_view key) const {
  const Json* found = nullptr;
  if (is_object()) {
    for (const auto& [name, value] : value_->get_ref<const Json::object_t&>()) {
      if (name == key) found = &value;
    }
  }
  return Member(key, found);
}

std::vector<std::pair<std::string_view, JsonValue>> JsonValue::Members() const {
  std::vector<std::pair<std::string_view, JsonValue>> members;
  if (!is_object()) return members;
  members.reserve(value_->size());
  for (const auto& [key, value] : value_->get_ref<const Json::object_t&>()) {
    members.emplace_back(key, Member(key, &value));
  }
  return members;
}

std::vector<JsonValue> JsonValue::Elements() const {
  std::vector<JsonValue> elements;
  if (!is_array()) return elements;
  elements.reserve(value_->size());
  for (const Json& value : *value_) {
    elements.push_back(JsonValue(&value, absl::StrCat(place_, "[", elements.size(), "]"), reason_,
                                 /*is_root=*/false));
  }
  return elements;
}

absl::Status JsonValue::Wrong(std::string expected) const {
  return Refuse(reason_, place_, std::move(expected), Shown());
}

absl::StatusOr<int64_t> JsonValue::Integer(int64_t least, int64_t most) const {
  const bool fits = value_ != nullptr && value_->is_number_integer() &&
                    (!value_->is_number_unsigned() ||
                     value_->get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()});
  if (!fits || value_->get<int64_t>() < least || value_->get<int64_t>() > most) {
    return Wrong(absl::StrCat("an integer from ", least, " to ", most));
  }
  return value_->get<int64_t>();
}

absl::StatusOr<uint64_t> JsonValue::Unsigned(uint64_t most) const {
  if (value_ == nullptr || !value_->is_number_unsigned() || value_->get<uint64_t>() > most) {
    return Wrong(absl::StrCat("an integer from 0 to ", most));
  }
  return value_->get<uint64_t>();
}

absl::StatusOr<double> JsonValue::Number() const {
  if (!is_number() || !std::isfinite(value_->get<double>())) return Wrong("a finite number");
  return value_->get<double>();
}

absl::StatusOr<bool> JsonValue::Bool() const {
  if (!is_bool()) return Wrong("true or false");
  return value_->get<bool>();
}

absl::StatusOr<std::string> JsonValue::String(size_t max_bytes) const {
  if (!is_string()) return Wrong("a string");
  const std::string& text = value_->get_ref<const std::string&>();
  if (text.size() > max_bytes) return Wrong(absl::StrCat("at most ", max_bytes, " bytes"));
  return text;
}

absl::StatusOr<std::vector<std::string>> JsonValue::Strings(size_t max_strings,
                                                            size_t max_bytes) const {
  if (!is_array() || value_->size() > max_strings) {
    return Wrong(absl::StrCat("an array of at most ", max_strings, " strings"));
  }
  std::vector<std::string> strings;
  strings.reserve(value_->size());
  for (const JsonValue& element : Elements()) {
    CHORUS_ASSIGN_OR_RETURN(std::string text, element.String(max_bytes));
    strings.push_back(std::move(text));
  }
  return strings;
}

}  // namespace chorus::engine
