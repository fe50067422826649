// How options of each type are read and written. `at` is a generic lambda that says where in a
// ServerConfig the value lies, for reading and for writing: [](auto& c) -> auto& { return c.x; }
#ifndef CHORUS_SERVER_CONFIG_OPTION_KINDS_H_
#define CHORUS_SERVER_CONFIG_OPTION_KINDS_H_

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/config/options.h"

namespace chorus::server {

// What a row of the table says in words.
struct OptionText {
  std::string name;
  std::string group;
  std::string value;
  std::string help;
  std::string fallback;
};

inline Option OptionOf(OptionText text, std::string range, std::string expected) {
  Option option;
  option.name = std::move(text.name);
  option.group = std::move(text.group);
  option.value = std::move(text.value);
  option.help = std::move(text.help);
  option.fallback = std::move(text.fallback);
  option.range = std::move(range);
  option.expected = std::move(expected);
  return option;
}

template <class At>
Option StringOption(OptionText text, At at) {
  Option option = OptionOf(std::move(text), "", "text without zero bytes");
  option.print = [at](const ServerConfig& config) { return at(config); };
  option.parse = [at](const std::string& value, ServerConfig* config) {
    if (value.find('\0') != std::string::npos) return false;
    at(*config) = value;
    return true;
  };
  option.in_range = [](const ServerConfig&) { return true; };
  return option;
}

// Text of a form that `forms` lists.
template <class At>
Option FormOption(OptionText text, At at, const std::string& forms,
                  bool (*is_form)(std::string_view)) {
  Option option = OptionOf(std::move(text), forms, "one of " + forms);
  option.print = [at](const ServerConfig& config) { return at(config); };
  option.parse = [at, is_form](const std::string& value, ServerConfig* config) {
    if (!is_form(value)) return false;
    at(*config) = value;
    return true;
  };
  option.in_range = [at, is_form](const ServerConfig& config) { return is_form(at(config)); };
  return option;
}

template <class At>
Option SwitchOption(OptionText text, At at) {
  Option option = OptionOf(std::move(text), "", "true or false");
  option.print = [at](const ServerConfig& config) { return at(config) ? "true" : "false"; };
  option.parse = [at](const std::string& value, ServerConfig* config) {
    if (value != "true" && value != "false") return false;
    at(*config) = value == "true";
    return true;
  };
  option.in_range = [](const ServerConfig&) { return true; };
  return option;
}

template <class At>
Option IntOption(OptionText text, At at, int64_t min, int64_t max) {
  const std::string range = absl::StrCat(min, " to ", max);
  Option option = OptionOf(std::move(text), range, "an integer from " + range);
  option.print = [at](const ServerConfig& config) { return absl::StrCat(at(config)); };
  option.parse = [at](const std::string& value, ServerConfig* config) {
    using T = std::decay_t<decltype(at(*config))>;
    T number = 0;
    const char* const end = value.data() + value.size();
    const auto [rest, error] = std::from_chars(value.data(), end, number);
    if (error != std::errc() || rest != end) return false;
    at(*config) = number;
    return true;
  };
  option.in_range = [at, min, max](const ServerConfig& config) {
    return at(config) >= min && at(config) <= max;
  };
  return option;
}

// The shortest form that reads back the same.
inline std::string NumberText(double number) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  return std::string(digits, end);
}

// The range is for in_range to say.
template <class At>
Option AnyNumberOption(OptionText text, At at, const std::string& range) {
  Option option = OptionOf(std::move(text), range, "a number from " + range);
  option.print = [at](const ServerConfig& config) { return NumberText(at(config)); };
  option.parse = [at](const std::string& value, ServerConfig* config) {
    double number = 0.0;
    if (!absl::SimpleAtod(value, &number) || !std::isfinite(number)) return false;
    at(*config) = number;
    return true;
  };
  return option;
}

template <class At>
Option NumberOption(OptionText text, At at, double min, double max) {
  Option option = AnyNumberOption(std::move(text), at, absl::StrCat(min, " to ", max));
  option.in_range = [at, min, max](const ServerConfig& config) {
    return at(config) >= min && at(config) <= max;
  };
  return option;
}

// A share: from 0 to below 1.
template <class At>
Option ShareOption(OptionText text, At at) {
  Option option = AnyNumberOption(std::move(text), at, "0 to below 1");
  option.in_range = [at](const ServerConfig& c) { return at(c) >= 0.0 && at(c) < 1.0; };
  return option;
}

// A map from names to weights: "acme=2,trial=0.5". A name has neither '=' nor ','.
template <class At>
Option WeightsOption(OptionText text, At at) {
  constexpr double kMin = 0.001, kMax = 1000.0;
  const std::string range = absl::StrCat("weights ", kMin, " to ", kMax);
  Option option = OptionOf(std::move(text), range, "NAME=WEIGHT,… with each name once, " + range);
  option.print = [at](const ServerConfig& config) {
    std::vector<std::string> parts;
    for (const auto& [name, weight] : at(config)) {
      parts.push_back(absl::StrCat(name, "=", NumberText(weight)));
    }
    return absl::StrJoin(parts, ",");
  };
  option.parse = [at](const std::string& value, ServerConfig* config) {
    std::decay_t<decltype(at(*config))> weights;
    for (const std::string& part : std::vector<std::string>(absl::StrSplit(value, ','))) {
      const std::pair<std::string, std::string> sides =
          absl::StrSplit(part, absl::MaxSplits('=', 1));
      double weight = 0.0;
      if (sides.first.empty() || sides.first.find('\0') != std::string::npos ||
          !absl::SimpleAtod(sides.second, &weight) || !std::isfinite(weight) ||
          !weights.emplace(sides.first, weight).second) {
        return false;
      }
    }
    at(*config) = std::move(weights);
    return true;
  };
  option.in_range = [at](const ServerConfig& config) {
    return std::all_of(at(config).begin(), at(config).end(), [](const auto& entry) {
      return entry.second >= kMin && entry.second <= kMax;
    });
  };
  return option;
}

// `names[i]` is the word for the enumerator with the number i.
template <class At>
Option ChoiceOption(OptionText text, At at, std::vector<std::string> names) {
  const std::string range = absl::StrJoin(names, ", ");
  Option option = OptionOf(std::move(text), range, "one of " + range);
  option.print = [at, names](const ServerConfig& config) {
    return names[static_cast<size_t>(at(config))];
  };
  option.parse = [at, names](const std::string& value, ServerConfig* config) {
    const auto it = std::find(names.begin(), names.end(), value);
    if (it == names.end()) return false;
    at(*config) = static_cast<std::decay_t<decltype(at(*config))>>(it - names.begin());
    return true;
  };
  option.in_range = [](const ServerConfig&) { return true; };
  return option;
}

}  // namespace chorus::server

#endif  // CHORUS_SERVER_CONFIG_OPTION_KINDS_H_
