#include "server/cli/units.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace chorus::cli {
namespace {

// Three digits that count.
std::string ThreeDigits(double value) {
  return absl::StrFormat(value < 9.995 ? "%.2f" : value < 99.95 ? "%.1f" : "%.0f", value);
}

std::string TwoUnits(int64_t large, const char* large_name, int64_t small, const char* small_name) {
  std::string text = absl::StrCat(large, large_name);
  if (small > 0) absl::StrAppend(&text, " ", small, small_name);
  return text;
}

}  // namespace

std::string BytesText(uint64_t bytes) {
  if (bytes < 1000) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes);
  const char* unit = " B";
  for (const char* larger : {" kB", " MB", " GB", " TB"}) {
    if (value < 999.5) break;
    value /= 1000;
    unit = larger;
  }
  return ThreeDigits(value) + unit;
}

std::string DurationText(absl::Duration duration) {
  const double us = absl::ToDoubleMicroseconds(duration);
  if (us < 999.5) return absl::StrFormat("%.0f µs", us);
  if (us < 999.5e3) return ThreeDigits(us / 1e3) + " ms";
  if (us < 59.95e6) return ThreeDigits(us / 1e6) + " s";
  const auto seconds = static_cast<int64_t>(us / 1e6 + 0.5);
  if (seconds < 3600) return TwoUnits(seconds / 60, " min", seconds % 60, " s");
  const int64_t minutes = seconds / 60;
  if (minutes < 24 * 60) return TwoUnits(minutes / 60, " h", minutes % 60, " min");
  return TwoUnits(minutes / (24 * 60), " d", minutes / 60 % 24, " h");
}

std::string CountText(int64_t count) {
  std::string digits = absl::StrCat(count < 0 ? -count : count);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return count < 0 ? "-" + digits : digits;
}

}  // namespace chorus::cli
