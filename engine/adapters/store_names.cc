#include "engine/adapters/store_names.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "kernels/check.h"

namespace chorus::engine {
namespace {

constexpr size_t kMaxName = 128;
constexpr char kDigits[] = "0123456789abcdef";

}  // namespace

bool IsValidName(std::string_view name) {
  if (name.empty() || name.size() > kMaxName || !absl::ascii_isalnum(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  });
}

std::string FileNameOf(std::string_view name) {
  CHORUS_CHECK(IsValidName(name));
  std::string file_name;
  std::string mask((name.size() + 3) / 4, '0');  // most significant digit last
  for (size_t i = 0; i < name.size(); ++i) {
    file_name.push_back(absl::ascii_tolower(name[i]));
    if (!absl::ascii_isupper(name[i])) continue;
    char& digit = mask[i / 4];
    const auto value = std::string_view(kDigits).find(digit) | (size_t{1} << (i % 4));
    digit = kDigits[value];
  }
  while (!mask.empty() && mask.back() == '0') mask.pop_back();
  if (!mask.empty()) {
    std::reverse(mask.begin(), mask.end());
    file_name += "+" + mask;
  }
  return file_name;
}

std::optional<std::string> NameOfFile(std::string_view file_name) {
  const size_t plus = file_name.find('+');
  std::string name(file_name.substr(0, plus));
  const std::string_view mask = plus == std::string_view::npos ? "" : file_name.substr(plus + 1);
  if (mask.size() > (kMaxName + 3) / 4) return std::nullopt;
  for (size_t i = 0; i < mask.size() * 4; ++i) {
    const size_t value = std::string_view(kDigits).find(mask[mask.size() - 1 - i / 4]);
    if (value == std::string_view::npos) return std::nullopt;
    if ((value >> (i % 4) & 1) == 0) continue;
    if (i >= name.size()) return std::nullopt;
    name[i] = absl::ascii_toupper(name[i]);
  }
  // Only the one spelling that FileNameOf gives.
  if (!IsValidName(name) || FileNameOf(name) != file_name) return std::nullopt;
  return name;
}

}  // namespace chorus::engine
