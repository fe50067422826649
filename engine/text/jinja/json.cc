#include "engine/text/jinja/json.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "engine/text/jinja/compare.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/text_form.h"
#include "engine/text/jinja/unicode.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

absl::StatusOr<Value> StringFromJson(const std::string& text) {
  if (!IsValidUtf8(text)) return TypeError("text in the context is not valid UTF-8");
  return Value::String(text);
}

class Dumper {
 public:
  Dumper(Runtime& runtime, const DumpOptions& options) : runtime_(runtime), options_(options) {}

  absl::Status Dump(const Value& value) {
    CHORUS_RETURN_IF_ERROR(runtime_.Charge(1));
    const size_t before = out_.size();
    switch (value.kind()) {
      case Kind::kList:
      case Kind::kTuple:
        return List(value.items());
      case Kind::kDict:
        return Dict(value.dict());
      case Kind::kString:
        Quote(value.text());
        break;
      default: {
        CHORUS_ASSIGN_OR_RETURN(const std::string text, Scalar(value));
        out_ += text;
      }
    }
    return runtime_.ChargeBytes(static_cast<int64_t>(out_.size() - before));
  }

  std::string Take() { return std::move(out_); }

 private:
  absl::StatusOr<std::string> Scalar(const Value& value) {
    switch (value.kind()) {
      case Kind::kNone:
        return std::string("null");
      case Kind::kBool:
        return std::string(value.bool_value() ? "true" : "false");
      case Kind::kInt:
        return Cat(value.int_value());
      case Kind::kFloat: {
        const double real = value.float_value();
        if (std::isnan(real)) return std::string("NaN");
        if (std::isinf(real)) return std::string(real < 0 ? "-Infinity" : "Infinity");
        return FloatRepr(real);
      }
      default:
        return TypeError(Cat("Object of type ", TypeName(value), " is not JSON serializable"));
    }
  }

  // The break before an item at the current level, or before the closing bracket.
  void Break() {
    if (!options_.indent) return;
    out_ += '\n';
    for (int i = 0; i < level_; ++i) out_ += *options_.indent;
  }

  absl::Status List(const std::vector<Value>& items) {
    if (items.empty()) {
      out_ += "[]";
      return absl::OkStatus();
    }
    out_ += '[';
    ++level_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += options_.item_separator;
      Break();
      CHORUS_RETURN_IF_ERROR(Dump(items[i]));
    }
    --level_;
    Break();
    out_ += ']';
    return absl::OkStatus();
  }

  absl::Status Dict(const DictObject& dict) {
    if (dict.entries.empty()) {
      out_ += "{}";
      return absl::OkStatus();
    }
    std::vector<std::pair<Value, Value>> entries = dict.entries;
    if (options_.sort_keys) {
      CHORUS_RETURN_IF_ERROR(SortByKey(runtime_, &entries));
    }
    out_ += '{';
    ++level_;
    bool first = true;
    for (const auto& [key, value] : entries) {
      if (!first) out_ += options_.item_separator;
      first = false;
      Break();
      if (key.is_string()) {
        Quote(key.text());
      } else if (key.is_none() || key.is_number()) {
        CHORUS_ASSIGN_OR_RETURN(const std::string text, Scalar(key));
        Quote(text);
      } else {
        return TypeError(Cat("keys must be str, int, float, bool or None, not ", TypeName(key)));
      }
      out_ += options_.key_separator;
      CHORUS_RETURN_IF_ERROR(Dump(value));
    }
    --level_;
    Break();
    out_ += '}';
    return absl::OkStatus();
  }

  void Escape(char32_t unit) {
    char escape[12];
    std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned>(unit));
    out_ += escape;
  }

  void Quote(std::string_view text) {
    static constexpr std::string_view kShort = "\"\\\n\r\t\f\b";
    static constexpr std::string_view kNames = "\"\\nrtfb";
    out_ += '"';
    for (size_t at = 0; at < text.size();) {
      const size_t start = at;
      const char32_t code = Decode(text, &at);
      const size_t found = code < 0x80 ? kShort.find(static_cast<char>(code)) : kShort.npos;
      if (found != kShort.npos) {
        out_ += '\\';
        out_ += kNames[found];
      } else if (code < 0x20 || (options_.ensure_ascii && code >= 0x7f && code <= 0xffff)) {
        Escape(code);
      } else if (options_.ensure_ascii && code > 0xffff) {
        Escape(0xd800 + ((code - 0x10000) >> 10));
        Escape(0xdc00 + ((code - 0x10000) & 0x3ff));
      } else {
        out_.append(text.substr(start, at - start));
      }
    }
    out_ += '"';
  }

  Runtime& runtime_;
  const DumpOptions& options_;
  int level_ = 0;
  std::string out_;
};

}  // namespace

absl::StatusOr<Value> FromJson(const Json& json, int max_depth) {
  if (max_depth <= 0) return absl::ResourceExhaustedError("the context nests too deeply");
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value::Bool(json.get<bool>());
    case Json::value_t::number_integer:
      return Value::Int(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return TypeError(Cat("integer ", number, " in the context does not fit 64 bits"));
      }
      return Value::Int(static_cast<int64_t>(number));
    }
    case Json::value_t::number_float:
      return Value::Float(json.get<double>());
    case Json::value_t::string:
      return StringFromJson(json.get_ref<const std::string&>());
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const Json& item : json) {
        CHORUS_ASSIGN_OR_RETURN(Value value, FromJson(item, max_depth - 1));
        items.push_back(std::move(value));
      }
      return Value::List(std::move(items));
    }
    case Json::value_t::object: {
      auto dict = std::make_shared<DictObject>();
      for (auto it = json.begin(); it != json.end(); ++it) {
        CHORUS_ASSIGN_OR_RETURN(Value key, StringFromJson(it.key()));
        CHORUS_ASSIGN_OR_RETURN(Value value, FromJson(it.value(), max_depth - 1));
        dict->Set(std::move(key), std::move(value));
      }
      return Value::Of(Kind::kDict, std::move(dict));
    }
    default:
      return Value::None();
  }
}

absl::StatusOr<std::string> DumpJson(Runtime& runtime, const Value& value,
                                     const DumpOptions& options) {
  Dumper dumper(runtime, options);
  CHORUS_RETURN_IF_ERROR(dumper.Dump(value));
  return dumper.Take();
}

}  // namespace chorus::jinja
