// The methods of str. On text marked as HTML they escape their arguments and give such text again.
#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "engine/text/jinja/attributes.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/iteration.h"
#include "engine/text/jinja/markup.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/text_form.h"
#include "engine/text/jinja/text_search.h"
#include "engine/text/jinja/unicode.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

using Result = absl::StatusOr<Value>;

Result Made(Runtime& runtime, const Value& self, std::string_view text) {
  return runtime.String(std::string(text), self.string().markup);
}

// A string argument as `self` wants it.
absl::StatusOr<std::string> TextArgument(const Value& self, const Value& argument,
                                         std::string_view what) {
  CHORUS_ASSIGN_OR_RETURN(const std::string_view text, AsString(argument, what));
  return self.string().markup ? EscapedText(argument) : std::string(text);
}

absl::Status NoArguments(const Arguments& arguments, std::string_view name) {
  if (arguments.empty()) return absl::OkStatus();
  return TypeError(Cat("str.", name, "() takes no arguments"));
}

template <std::string (*convert)(std::string_view)>
Result Convert(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(NoArguments(arguments, "upper or its like"));
  return Made(runtime, self, convert(self.text()));
}

// True when the text is not empty and every character passes.
template <bool (*test)(char32_t)>
Result All(Runtime&, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(NoArguments(arguments, "is…"));
  const std::string& text = self.text();
  for (size_t at = 0; at < text.size();) {
    if (!test(Decode(text, &at))) return Value::Bool(false);
  }
  return Value::Bool(!text.empty());
}

bool IsAlphaNumeric(char32_t code) { return IsAlpha(code) || IsNumeric(code); }

Result IsAscii(Runtime&, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(NoArguments(arguments, "isascii"));
  return Value::Bool(self.string().ascii());
}

Result IsPrintableMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (self.text().empty()) return Value::Bool(true);
  return All<IsPrintable>(runtime, self, arguments);
}

// islower, isupper: some cased character, and none of the other cases.
template <bool (*wanted)(char32_t)>
Result AllCased(Runtime&, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(NoArguments(arguments, "islower or isupper"));
  const std::string& text = self.text();
  bool some = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t code = Decode(text, &at);
    if (wanted(code)) {
      some = true;
    } else if (IsCased(code)) {
      return Value::Bool(false);
    }
  }
  return Value::Bool(some);
}

Result IsTitleMethod(Runtime&, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(NoArguments(arguments, "istitle"));
  const std::string& text = self.text();
  bool some = false;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t code = Decode(text, &at);
    const bool starts = IsUpper(code) || IsTitle(code);
    if (starts ? inside : IsLower(code) && !inside) return Value::Bool(false);
    inside = starts || IsLower(code);
    some = some || inside;
  }
  return Value::Bool(some);
}

template <bool left, bool right>
Result StripMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "strip", {""}, 0));
  std::string_view text = self.text();
  if (args[0].missing() || args[0].is_none()) {
    if (left) text = StripLeft(text);
    if (right) text = StripRight(text);
    return Made(runtime, self, text);
  }
  CHORUS_ASSIGN_OR_RETURN(const std::string any, TextArgument(self, args[0], "strip arg"));
  return Made(runtime, self, StripAny(text, any, left, right));
}

template <bool from_right>
Result Split(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "split", {"sep", "maxsplit"}, 0));
  CHORUS_ASSIGN_OR_RETURN(const int64_t limit, IntOr(args[1], -1, "maxsplit"));
  std::vector<std::string_view> parts;
  std::string separator;  // outlives the parts' search
  if (args[0].missing() || args[0].is_none()) {
    parts = SplitSpace(self.text(), limit, from_right);
  } else {
    CHORUS_ASSIGN_OR_RETURN(separator, TextArgument(self, args[0], "sep"));
    if (separator.empty()) return TypeError("empty separator");
    parts = SplitBy(self.text(), separator, limit, from_right);
  }
  std::vector<Value> items;
  for (const std::string_view part : parts) {
    CHORUS_ASSIGN_OR_RETURN(Value item, Made(runtime, self, part));
    items.push_back(std::move(item));
  }
  return runtime.List(std::move(items));
}

Result SplitLinesMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "splitlines", {"keepends"}, 0));
  std::vector<Value> items;
  for (const std::string_view line : SplitLines(self.text(), TruthOr(args[0], false))) {
    CHORUS_ASSIGN_OR_RETURN(Value item, Made(runtime, self, line));
    items.push_back(std::move(item));
  }
  return runtime.List(std::move(items));
}

template <bool from_right>
Result Partition(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "partition", {""}, 1));
  CHORUS_ASSIGN_OR_RETURN(const std::string separator, TextArgument(self, args[0], "separator"));
  if (separator.empty()) return TypeError("empty separator");
  const std::string_view text = self.text();
  const size_t found = from_right ? text.rfind(separator) : text.find(separator);
  std::array<std::string_view, 3> parts;
  if (found == text.npos) {
    parts[from_right ? 2 : 0] = text;
  } else {
    parts = {text.substr(0, found), separator, text.substr(found + separator.size())};
  }
  std::vector<Value> items;
  for (const std::string_view part : parts) {
    CHORUS_ASSIGN_OR_RETURN(Value item, Made(runtime, self, part));
    items.push_back(std::move(item));
  }
  return runtime.Tuple(std::move(items));
}

Result Replace(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "replace", {"", "", ""}, 2));
  // Unlike its other methods, markup's replace takes what it looks for as it is.
  CHORUS_ASSIGN_OR_RETURN(const std::string_view from, AsString(args[0], "replace argument 1"));
  CHORUS_ASSIGN_OR_RETURN(const std::string to, TextArgument(self, args[1], "replace argument 2"));
  CHORUS_ASSIGN_OR_RETURN(const int64_t count, IntOr(args[2], -1, "count"));
  CHORUS_ASSIGN_OR_RETURN(const std::string text,
                          ReplaceText(runtime, self.text(), from, to, count));
  return Made(runtime, self, text);
}

// text[start:stop] of the optional arguments, as a string value.
Result Part(Runtime& runtime, const Value& self, const Value& start, const Value& stop) {
  if (start.missing() && stop.missing()) return self;
  return Slice(runtime, self, start, stop, Value());
}

template <bool at_end>
Result StartsOrEnds(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args,
                          Bind(arguments, at_end ? "endswith" : "startswith", {"", "", ""}, 1));
  CHORUS_ASSIGN_OR_RETURN(const Value part, Part(runtime, self, args[1], args[2]));
  // Behind the end not even the empty text begins.
  const bool beyond = args[1].is_integral() && args[1].int_value() > self.string().length;
  const std::vector<Value> one = {args[0]};
  const std::vector<Value>& affixes = args[0].is(Kind::kTuple) ? args[0].items() : one;
  for (const Value& affix : affixes) {
    CHORUS_ASSIGN_OR_RETURN(
        const std::string_view text,
        AsString(affix, at_end ? "endswith first arg" : "startswith first arg"));
    const bool matches = at_end ? part.text().ends_with(text) : part.text().starts_with(text);
    if (matches && !beyond) return Value::Bool(true);
  }
  return Value::Bool(false);
}

enum class Where { kFind, kRightFind, kIndex, kRightIndex };

template <Where where>
Result Find(Runtime& runtime, const Value& self, const Arguments& arguments) {
  constexpr bool kRight = where == Where::kRightFind || where == Where::kRightIndex;
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "find", {"", "", ""}, 1));
  CHORUS_ASSIGN_OR_RETURN(const std::string_view needle, AsString(args[0], "find argument"));
  CHORUS_ASSIGN_OR_RETURN(const Value part, Part(runtime, self, args[1], args[2]));
  CHORUS_RETURN_IF_ERROR(runtime.Charge(static_cast<int64_t>(self.text().size() / 64)));
  const size_t found = kRight ? part.text().rfind(needle) : part.text().find(needle);
  CHORUS_ASSIGN_OR_RETURN(int64_t start, IntOr(args[1].is_none() ? Value() : args[1], 0, "start"));
  if (start < 0) start = std::max<int64_t>(start + self.string().length, 0);
  if (found == std::string::npos || start > self.string().length) {  // there not even "" is found
    if (where == Where::kFind || where == Where::kRightFind) return Value::Int(-1);
    return TypeError("substring not found");
  }
  return Value::Int(start + CodePointCount(std::string_view(part.text()).substr(0, found)));
}

Result Count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "count", {"", "", ""}, 1));
  CHORUS_ASSIGN_OR_RETURN(const std::string_view needle, AsString(args[0], "count argument"));
  CHORUS_ASSIGN_OR_RETURN(const Value part, Part(runtime, self, args[1], args[2]));
  if (needle.empty()) {
    const bool beyond = args[1].is_integral() && args[1].int_value() > self.string().length;
    return Value::Int(beyond ? 0 : part.string().length + 1);
  }
  int64_t count = 0;
  for (size_t at = part.text().find(needle); at != std::string::npos;
       at = part.text().find(needle, at + needle.size())) {
    ++count;
  }
  return Value::Int(count);
}

Result Join(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "join", {""}, 1));
  if (!IsIterable(args[0])) return TypeError("can only join an iterable");
  std::string out;
  bool first = true;
  CHORUS_RETURN_IF_ERROR(ForEach(runtime, args[0], [&](const Value& item) -> absl::StatusOr<bool> {
    CHORUS_ASSIGN_OR_RETURN(const std::string text,
                            TextArgument(self, item, "sequence item to join"));
    CHORUS_RETURN_IF_ERROR(
        runtime.ChargeBytes(static_cast<int64_t>(text.size() + self.text().size())));
    if (!first) out += self.text();
    first = false;
    out += text;
    return true;
  }));
  return Made(runtime, self, out);
}

Result Format(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return BraceFormat(runtime, self, arguments);
}

Result FormatMap(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "format_map", {""}, 1));
  if (!args[0].is(Kind::kDict)) return TypeError("format_map() argument must be a mapping");
  Arguments named;
  for (const auto& [key, value] : args[0].dict().entries) {
    if (key.is_string()) named.keyword.emplace_back(key.text(), value);
  }
  return BraceFormat(runtime, self, named);
}

template <bool prefix>
Result RemoveAffix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "removeprefix", {""}, 1));
  CHORUS_ASSIGN_OR_RETURN(const std::string affix, TextArgument(self, args[0], "argument"));
  std::string_view text = self.text();
  if (prefix && text.starts_with(affix)) text.remove_prefix(affix.size());
  if (!prefix && text.ends_with(affix)) text.remove_suffix(affix.size());
  return Made(runtime, self, text);
}

template <char align>
Result Justify(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "justify", {"", ""}, 1));
  FormatSpec spec{.align = align};
  CHORUS_ASSIGN_OR_RETURN(spec.width, AsInt(args[0], "width"));
  if (!args[1].missing()) {
    CHORUS_ASSIGN_OR_RETURN(spec.fill, TextArgument(self, args[1], "fill character"));
    if (CodePointCount(spec.fill) != 1) {
      return TypeError("The fill character must be exactly one character long");
    }
  }
  std::string text = self.text();
  if (align == '^') {
    // str.center puts the odd blank on the left when the width is odd, unlike format's '^'.
    const int64_t missing = spec.width - self.string().length;
    if (missing > 0 && missing % 2 == 1 && spec.width % 2 == 1) {
      text.insert(0, spec.fill);
    }
  }
  CHORUS_ASSIGN_OR_RETURN(text, Pad(runtime, std::move(text), spec, align, 0));
  return Made(runtime, self, text);
}

Result ZeroFill(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "zfill", {""}, 1));
  FormatSpec spec{.fill = "0", .align = '='};
  CHORUS_ASSIGN_OR_RETURN(spec.width, AsInt(args[0], "width"));
  const std::string& text = self.text();
  const size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  CHORUS_ASSIGN_OR_RETURN(const std::string filled, Pad(runtime, text, spec, '=', sign));
  return Made(runtime, self, filled);
}

Result ExpandTabs(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "expandtabs", {"tabsize"}, 0));
  CHORUS_ASSIGN_OR_RETURN(const int64_t size, IntOr(args[0], 8, "tabsize"));
  std::string out;
  int64_t column = 0;
  for (const char c : self.text()) {
    if (c == '\t') {
      const int64_t blanks = size > 0 ? size - column % size : 0;
      CHORUS_RETURN_IF_ERROR(runtime.ChargeBytes(blanks));
      out.append(static_cast<size_t>(blanks), ' ');
      column += blanks;
      continue;
    }
    out += c;
    if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) ++column;
    if (c == '\n' || c == '\r') column = 0;
  }
  return Made(runtime, self, out);
}

constexpr NamedFunction kMethods[] = {
    {"capitalize", Convert<Capitalize>},
    {"casefold", Convert<CaseFold>},
    {"center", Justify<'^'>},
    {"count", Count},
    {"endswith", StartsOrEnds<true>},
    {"expandtabs", ExpandTabs},
    {"find", Find<Where::kFind>},
    {"format", Format},
    {"format_map", FormatMap},
    {"index", Find<Where::kIndex>},
    {"isalnum", All<IsAlphaNumeric>},
    {"isalpha", All<IsAlpha>},
    {"isascii", IsAscii},
    {"isdecimal", All<IsDecimal>},
    {"isdigit", All<IsDigit>},
    {"islower", AllCased<IsLower>},
    {"isnumeric", All<IsNumeric>},
    {"isprintable", IsPrintableMethod},
    {"isspace", All<IsSpace>},
    {"istitle", IsTitleMethod},
    {"isupper", AllCased<IsUpper>},
    {"join", Join},
    {"ljust", Justify<'<'>},
    {"lower", Convert<ToLower>},
    {"lstrip", StripMethod<true, false>},
    {"partition", Partition<false>},
    {"removeprefix", RemoveAffix<true>},
    {"removesuffix", RemoveAffix<false>},
    {"replace", Replace},
    {"rfind", Find<Where::kRightFind>},
    {"rindex", Find<Where::kRightIndex>},
    {"rjust", Justify<'>'>},
    {"rpartition", Partition<true>},
    {"rsplit", Split<true>},
    {"rstrip", StripMethod<false, true>},
    {"split", Split<false>},
    {"splitlines", SplitLinesMethod},
    {"startswith", StartsOrEnds<false>},
    {"strip", StripMethod<true, true>},
    {"swapcase", Convert<SwapCase>},
    {"title", Convert<ToTitle>},
    {"upper", Convert<ToUpper>},
    {"zfill", ZeroFill},
};

}  // namespace

NativeFunction FindStringMethod(std::string_view name) { return FindIn(kMethods, name); }

}  // namespace chorus::jinja
