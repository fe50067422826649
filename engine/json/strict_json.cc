#include "engine/json/strict_json.h"

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/refusal.h"

namespace chorus::engine {
namespace {

// Refuses what nlohmann's parser would accept; keeps nothing.
class RulesHandler : public nlohmann::json_sax<Json> {
 public:
  explicit RulesHandler(const JsonLimits& limits) : limits_(limits) {}
  const std::string& problem() const { return problem_; }

  bool null() override { return Count(); }
  bool boolean(bool) override { return Count(); }
  bool number_integer(number_integer_t) override { return Count(); }
  bool number_unsigned(number_unsigned_t) override { return Count(); }
  bool number_float(number_float_t, const string_t&) override { return Count(); }
  bool string(string_t&) override { return Count(); }
  bool binary(binary_t&) override { return Count(); }
  bool start_object(std::size_t) override { return Open(); }
  bool start_array(std::size_t) override { return Open(); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& key) override {
    if (keys_.back().insert(key).second) return true;
    problem_ = absl::StrCat("the key ", Quoted(key), " stands twice");
    return false;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    problem_ = absl::StrCat("not JSON at byte ", position);
    return false;
  }

 private:
  bool Count() {
    if (++values_ <= limits_.max_values) return true;
    problem_ = absl::StrCat("more than ", limits_.max_values, " values");
    return false;
  }
  bool Open() {
    keys_.emplace_back();
    if (static_cast<int>(keys_.size()) > limits_.max_depth) {
      problem_ = absl::StrCat("nested deeper than ", limits_.max_depth);
      return false;
    }
    return Count();
  }
  bool Close() {
    keys_.pop_back();
    return true;
  }

  const JsonLimits limits_;
  size_t values_ = 0;
  std::vector<std::set<std::string>> keys_;  // of the open objects (arrays have none)
  std::string problem_;
};

absl::Status Refused(std::string_view what, const std::string& problem) {
  return Refuse(Reason::kAdapterConfigInvalid, std::string(what), "", problem);
}

}  // namespace

absl::StatusOr<Json> ParseStrictJson(std::string_view text, std::string_view what,
                                     const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return Refused(what, absl::StrCat("at most ", limits.max_bytes, " bytes, got ", text.size()));
  }
  if (text.starts_with("\xef\xbb\xbf")) return Refused(what, "starts with a byte-order mark");
  RulesHandler rules(limits);
  if (!Json::sax_parse(text.begin(), text.end(), &rules)) return Refused(what, rules.problem());
  Json value = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return Refused(what, "not JSON");
  return value;
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
  // Depth is bounded by the parser, so dump cannot overflow the stack.
  const std::string text = value_->dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= 64 ? text : absl::StrCat(text.substr(0, 64), "…");
}

JsonValue JsonValue::operator[](const std::string& key) const {
  const std::string place = absl::StrCat(place_, ": ", key);
  if (!is_object()) return JsonValue(nullptr, place);
  const auto found = value_->find(key);
  return JsonValue(found == value_->end() ? nullptr : &*found, place);
}

absl::Status JsonValue::Wrong(std::string expected) const {
  return Refuse(Reason::kValueOutOfRange, place_, std::move(expected), Shown());
}

absl::StatusOr<int64_t> JsonValue::Integer(int64_t least, int64_t most) const {
  const bool integer = value_ != nullptr && value_->is_number_integer();
  const bool fits =
      integer && (!value_->is_number_unsigned() ||
                  value_->get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()});
  if (!fits || value_->get<int64_t>() < least || value_->get<int64_t>() > most) {
    return Wrong(absl::StrCat("an integer from ", least, " to ", most));
  }
  return value_->get<int64_t>();
}

absl::StatusOr<double> JsonValue::Number() const {
  if (!is_number() || !std::isfinite(value_->get<double>())) return Wrong("a finite number");
  return value_->get<double>();
}

absl::StatusOr<bool> JsonValue::Bool() const {
  if (!is_bool()) return Wrong("true or false");
  return value_->get<bool>();
}

absl::StatusOr<std::string> JsonValue::String() const {
  if (!is_string()) return Wrong("a string");
  return value_->get<std::string>();
}

}  // namespace chorus::engine
