// Filters that give text.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "engine/text/jinja/attributes.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/item_path.h"
#include "engine/text/jinja/iteration.h"
#include "engine/text/jinja/json.h"
#include "engine/text/jinja/text_form.h"
#include "engine/text/jinja/text_search.h"
#include "engine/text/jinja/unicode.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

using Result = absl::StatusOr<Value>;

// The text of the subject, whatever it is; text marked as HTML stays so.
absl::StatusOr<Value> SoftString(Runtime& runtime, const Value& value) {
  if (value.is_string()) return value;
  CHORUS_ASSIGN_OR_RETURN(std::string text, Str(runtime, value));
  return runtime.String(std::move(text));
}

template <std::string (*convert)(std::string_view)>
Result Convert(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "upper or its like", {}, 0).status());
  CHORUS_ASSIGN_OR_RETURN(const Value text, SoftString(runtime, self));
  return runtime.String(convert(text.text()), text.string().markup);
}

// Upper case behind blanks, '-' and opening brackets, lower case elsewhere.
std::string TitleWords(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const auto separates = [&](size_t* next) {
      const char32_t code = Decode(text, next);
      return IsSpace(code) || code == '-' || code == '(' || code == '{' || code == '[' ||
             code == '<';
    };
    size_t next = at;
    const bool separator = separates(&next);
    while (at < text.size()) {
      next = at;
      if (separates(&next) != separator) break;
      at = next;
    }
    const std::string_view run = text.substr(start, at - start);
    const size_t first = ByteOffset(run, 1);
    Append(&out, ToUpper(run.substr(0, first)), ToLower(run.substr(first)));
  }
  return out;
}

Result String(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "string", {}, 0).status());
  return SoftString(runtime, self);
}

Result Trim(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "trim", {"chars"}, 0));
  CHORUS_ASSIGN_OR_RETURN(const Value text, SoftString(runtime, self));
  std::string_view trimmed;
  if (args[0].missing() || args[0].is_none()) {
    trimmed = Strip(text.text());
  } else {
    CHORUS_ASSIGN_OR_RETURN(const std::string_view any, AsString(args[0], "trim: chars"));
    trimmed = StripAny(text.text(), any, true, true);
  }
  return runtime.String(std::string(trimmed), text.string().markup);
}

Result Replace(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "replace", {"old", "new", "count"}, 2));
  CHORUS_ASSIGN_OR_RETURN(const std::string text, Str(runtime, self));
  CHORUS_ASSIGN_OR_RETURN(const std::string from, Str(runtime, args[0]));
  CHORUS_ASSIGN_OR_RETURN(const std::string to, Str(runtime, args[1]));
  const Value none;
  CHORUS_ASSIGN_OR_RETURN(const int64_t count,
                          IntOr(args[2].is_none() ? none : args[2], -1, "replace: count"));
  CHORUS_ASSIGN_OR_RETURN(std::string replaced, ReplaceText(runtime, text, from, to, count));
  return runtime.String(std::move(replaced));
}

Result Join(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "join", {"d", "attribute"}, 0));
  CHORUS_ASSIGN_OR_RETURN(const ItemPath path, ItemPath::Parse(args[1]));
  CHORUS_ASSIGN_OR_RETURN(const std::string separator, Str(runtime, args[0]));
  std::string out;
  bool first = true;
  CHORUS_RETURN_IF_ERROR(ForEach(runtime, self, [&](const Value& item) -> absl::StatusOr<bool> {
    CHORUS_ASSIGN_OR_RETURN(const Value part, path.Get(runtime, item));
    CHORUS_ASSIGN_OR_RETURN(const std::string text, Str(runtime, part));
    CHORUS_RETURN_IF_ERROR(
        runtime.ChargeBytes(static_cast<int64_t>(text.size() + separator.size())));
    if (!first) out += separator;
    first = false;
    out += text;
    return true;
  }));
  return Value::String(std::move(out));
}

Result Indent(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args,
                          Bind(arguments, "indent", {"width", "first", "blank"}, 0));
  CHORUS_ASSIGN_OR_RETURN(const std::string_view text, AsString(self, "indent: the subject"));
  std::string indent;
  if (args[0].is_string()) {
    indent = args[0].text();
  } else {
    CHORUS_ASSIGN_OR_RETURN(const int64_t width, IntOr(args[0], 4, "indent: width"));
    CHORUS_RETURN_IF_ERROR(runtime.ChargeBytes(std::max<int64_t>(width, 0)));
    indent.assign(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  const bool blank = TruthOr(args[2], false);
  const std::string with_end = Cat(text, "\n");
  std::string out = TruthOr(args[1], false) ? indent : "";
  bool first = true;
  for (const std::string_view line : SplitLines(with_end, /*keep_ends=*/false)) {
    CHORUS_RETURN_IF_ERROR(
        runtime.ChargeBytes(static_cast<int64_t>(line.size() + indent.size() + 1)));
    if (!first) {
      out += '\n';
      if (blank || !line.empty()) out += indent;
    }
    first = false;
    out += line;
  }
  return Value::String(std::move(out), self.string().markup);
}

Result Truncate(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args,
                          Bind(arguments, "truncate", {"length", "killwords", "end", "leeway"}, 0));
  CHORUS_ASSIGN_OR_RETURN(const int64_t length, IntOr(args[0], 255, "truncate: length"));
  std::string_view end = "...";
  if (!args[2].missing()) {
    CHORUS_ASSIGN_OR_RETURN(end, AsString(args[2], "truncate: end"));
  }
  const Value none;
  CHORUS_ASSIGN_OR_RETURN(const int64_t leeway,
                          IntOr(args[3].is_none() ? none : args[3], 5, "truncate: leeway"));
  const int64_t kept = length - CodePointCount(end);
  if (kept < 0) return TypeError("truncate: length is shorter than the end mark");
  if (leeway < 0) return TypeError("truncate: leeway must not be negative");
  CHORUS_ASSIGN_OR_RETURN(const int64_t given, Length(self));
  if (given <= length || given - leeway <= length) return self;  // whatever it is
  CHORUS_ASSIGN_OR_RETURN(const std::string_view text, AsString(self, "truncate: the subject"));
  std::string_view cut = text.substr(0, ByteOffset(text, kept));
  if (!TruthOr(args[1], false)) cut = SplitBy(cut, " ", 1, /*from_right=*/true).front();
  return runtime.String(Cat(cut, end), self.string().markup);
}

Result Center(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "center", {"width"}, 0));
  CHORUS_ASSIGN_OR_RETURN(const Value text, SoftString(runtime, self));
  CHORUS_ASSIGN_OR_RETURN(const Value method,
                          runtime.Function("center", FindStringMethod("center"), text));
  return runtime.Call(method, {.positional = {args[0].missing() ? Value::Int(80) : args[0]}});
}

Result WordCount(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "wordcount", {}, 0).status());
  CHORUS_ASSIGN_OR_RETURN(const std::string text, Str(runtime, self));
  int64_t words = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const bool word = IsWord(Decode(text, &at));
    if (word && !inside) ++words;
    inside = word;
  }
  return Value::Int(words);
}

Result Format(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.keyword.empty()) {
    return TypeError("format: can't handle positional and keyword arguments at the same time");
  }
  CHORUS_ASSIGN_OR_RETURN(const Value text, SoftString(runtime, self));
  if (arguments.keyword.empty()) {
    return PercentFormat(runtime, text, Value::Tuple(arguments.positional));
  }
  auto named = std::make_shared<DictObject>();
  for (const auto& [name, value] : arguments.keyword) named->Set(Value::String(name), value);
  CHORUS_ASSIGN_OR_RETURN(const Value dict, runtime.Dict(std::move(named)));
  return PercentFormat(runtime, text, dict);
}

absl::StatusOr<std::string> UrlQuote(Runtime& runtime, const Value& value, bool query) {
  CHORUS_ASSIGN_OR_RETURN(const std::string text, Str(runtime, value));
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || c == '_' || c == '.' || c == '-' || c == '~' ||
        (c == '/' && !query)) {
      out += c;
    } else if (c == ' ' && query) {
      out += '+';
    } else {
      static constexpr char kHex[] = "0123456789ABCDEF";
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

Result UrlEncode(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "urlencode", {}, 0).status());
  if (self.is_string() || !IsIterable(self)) {
    CHORUS_ASSIGN_OR_RETURN(std::string text, UrlQuote(runtime, self, /*query=*/false));
    return runtime.String(std::move(text));
  }
  std::string out;
  const auto append = [&](const Value& key, const Value& value) -> absl::StatusOr<bool> {
    CHORUS_ASSIGN_OR_RETURN(const std::string name, UrlQuote(runtime, key, /*query=*/true));
    CHORUS_ASSIGN_OR_RETURN(const std::string text, UrlQuote(runtime, value, /*query=*/true));
    if (!out.empty()) out += '&';
    Append(&out, name, "=", text);
    return true;
  };
  if (self.is(Kind::kDict)) {
    for (const auto& [key, value] : self.dict().entries) {
      CHORUS_RETURN_IF_ERROR(append(key, value).status());
    }
  } else {
    CHORUS_RETURN_IF_ERROR(ForEach(runtime, self, [&](const Value& pair) -> absl::StatusOr<bool> {
      CHORUS_ASSIGN_OR_RETURN(const std::vector<Value> parts, ToVector(runtime, pair));
      if (parts.size() != 2) return TypeError("urlencode: items must be pairs");
      return append(parts[0], parts[1]);
    }));
  }
  return runtime.String(std::move(out));
}

// Transformers' own: json.dumps with its arguments.
Result ToJson(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(
      const auto args,
      Bind(arguments, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, 0));
  DumpOptions options{.ensure_ascii = TruthOr(args[0], false),
                      .sort_keys = TruthOr(args[3], false)};
  if (args[1].is_string()) {
    options.indent = args[1].text();
  } else if (!args[1].missing() && !args[1].is_none()) {
    CHORUS_ASSIGN_OR_RETURN(const int64_t width, AsInt(args[1], "tojson: indent"));
    if (width > 64) return TypeError("tojson: indent is more than 64");
    options.indent = std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  if (options.indent) options.item_separator = ',';
  if (!args[2].missing() && !args[2].is_none()) {
    CHORUS_ASSIGN_OR_RETURN(const std::vector<Value> parts, ToVector(runtime, args[2]));
    if (parts.size() != 2) return TypeError("tojson: separators must be a pair");
    CHORUS_ASSIGN_OR_RETURN(options.item_separator, AsString(parts[0], "tojson: separator"));
    CHORUS_ASSIGN_OR_RETURN(options.key_separator, AsString(parts[1], "tojson: separator"));
  }
  CHORUS_ASSIGN_OR_RETURN(std::string text, DumpJson(runtime, self, options));
  return Value::String(std::move(text));
}

constexpr NamedFunction kFilters[] = {
    {"capitalize", Convert<Capitalize>},
    {"center", Center},
    {"format", Format},
    {"indent", Indent},
    {"join", Join},
    {"lower", Convert<ToLower>},
    {"replace", Replace},
    {"string", String},
    {"title", Convert<TitleWords>},
    {"tojson", ToJson},
    {"trim", Trim},
    {"truncate", Truncate},
    {"upper", Convert<ToUpper>},
    {"urlencode", UrlEncode},
    {"wordcount", WordCount},
};

}  // namespace

NativeFunction FindTextFilter(std::string_view name) { return FindIn(kFilters, name); }

}  // namespace chorus::jinja
