// How options that are sizes in bytes are read and written, beside those of option_kinds.h.
#ifndef CHORUS_SERVER_CONFIG_OPTION_SIZES_H_
#define CHORUS_SERVER_CONFIG_OPTION_SIZES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/config/byte_size.h"
#include "server/config/option_kinds.h"

namespace chorus::server {

template <class At>
Option BytesOption(OptionText text, At at, int64_t min, int64_t max) {
  const std::string range = absl::StrCat(FormatByteSize(min), " to ", FormatByteSize(max));
  Option option = OptionOf(std::move(text), range, absl::StrCat("a size from ", range));
  option.print = [at](const ServerConfig& config) {
    return FormatByteSize(static_cast<int64_t>(at(config)));
  };
  option.parse = [at](const std::string& value, ServerConfig* config) {
    const std::optional<int64_t> bytes = ParseByteSize(value);
    if (!bytes.has_value()) return false;
    at(*config) = static_cast<std::decay_t<decltype(at(*config))>>(*bytes);
    return true;
  };
  option.in_range = [at, min, max](const ServerConfig& config) {
    const auto bytes = static_cast<int64_t>(at(config));
    return bytes >= min && bytes <= max;
  };
  return option;
}

// A size that may be left open: 0 in the struct, and no value as text.
template <class At>
Option OptionalBytesOption(OptionText text, At at, int64_t min, int64_t max) {
  Option option = BytesOption(std::move(text), at, min, max);
  option.print = [at, print = option.print](const ServerConfig& config) {
    return at(config) == 0 ? "" : print(config);
  };
  option.parse = [parse = option.parse](const std::string& value, ServerConfig* config) {
    return ParseByteSize(value) != 0 && parse(value, config);
  };
  option.in_range = [at, in_range = option.in_range](const ServerConfig& config) {
    return at(config) == 0 || in_range(config);
  };
  return option;
}

}  // namespace chorus::server

#endif  // CHORUS_SERVER_CONFIG_OPTION_SIZES_H_
