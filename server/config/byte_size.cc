#include "server/config/byte_size.h"

#include <cctype>
#include <limits>

#include "absl/strings/str_cat.h"

namespace chorus::server {
namespace {

constexpr size_t kMaxDigits = 19;

struct Unit {
  std::string_view name;
  int64_t bytes;
};

// Largest first, so that the first unit that divides a size gives its shortest form.
constexpr Unit kUnits[] = {
    {"TiB", int64_t{1} << 40},
    {"TB", 1'000'000'000'000},
    {"GiB", int64_t{1} << 30},
    {"GB", 1'000'000'000},
    {"MiB", int64_t{1} << 20},
    {"MB", 1'000'000},
    {"KiB", int64_t{1} << 10},
    {"kB", 1'000},
    {"B", 1},
};

std::optional<int64_t> UnitBytes(std::string_view name) {
  if (name.empty()) return 1;
  for (const Unit& unit : kUnits) {
    if (unit.name == name) return unit.bytes;
  }
  return std::nullopt;
}

std::string_view TakeDigits(std::string_view* text) {
  size_t count = 0;
  while (count < text->size() && std::isdigit(static_cast<unsigned char>((*text)[count]))) ++count;
  const std::string_view digits = text->substr(0, count);
  text->remove_prefix(count);
  return digits;
}

__int128 Number(std::string_view digits) {
  __int128 number = 0;
  for (char c : digits) number = number * 10 + (c - '0');
  return number;
}

}  // namespace

std::optional<int64_t> ParseByteSize(std::string_view text) {
  const std::string_view whole = TakeDigits(&text);
  if (whole.empty()) return std::nullopt;
  std::string_view fraction;
  if (!text.empty() && text.front() == '.') {
    text.remove_prefix(1);
    fraction = TakeDigits(&text);
    if (fraction.empty()) return std::nullopt;
  }
  if (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  const std::optional<int64_t> unit = UnitBytes(text);
  if (!unit.has_value()) return std::nullopt;

  // In 128 bits: 19 digits of each part times a unit of at most 2^40 fit.
  if (whole.size() > kMaxDigits || fraction.size() > kMaxDigits) return std::nullopt;
  __int128 bytes = Number(whole) * *unit;
  __int128 scale = 1;
  for (size_t i = 0; i < fraction.size(); ++i) scale *= 10;
  bytes += Number(fraction) * *unit / scale;
  if (bytes > std::numeric_limits<int64_t>::max()) return std::nullopt;
  return static_cast<int64_t>(bytes);
}

std::string FormatByteSize(int64_t bytes) {
  for (const Unit& unit : kUnits) {
    if (unit.bytes > 1 && bytes != 0 && bytes % unit.bytes == 0) {
      return absl::StrCat(bytes / unit.bytes, std::string(unit.name));
    }
  }
  return absl::StrCat(bytes);
}

}  // namespace chorus::server
