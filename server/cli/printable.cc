#include "server/cli/printable.h"

#include <utf8proc.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace chorus::cli {
namespace {

struct Decoded {
  utf8proc_int32_t code_point = -1;  // -1: not UTF-8
  size_t bytes = 1;
};

Decoded DecodeFirst(absl::string_view text) {
  Decoded decoded;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const utf8proc_ssize_t length =
      utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size()), &decoded.code_point);
  if (length > 0) {
    decoded.bytes = static_cast<size_t>(length);
  } else {
    decoded.code_point = -1;
  }
  return decoded;
}

// Besides C0 and C1: the marks that reverse the direction of what follows can make a line read as
// something else.
bool IsControl(utf8proc_int32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

std::string Printable(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Decoded decoded = DecodeFirst(text);
    const utf8proc_int32_t c = decoded.code_point;
    if (c == '\n' || c == '\t' || (c >= 0 && !IsControl(c))) {
      absl::StrAppend(&out, text.substr(0, decoded.bytes));
    } else if (c >= 0 && c < 0x20) {
      // The pictures of control characters begin at U+2400.
      out.append("\xE2\x90").push_back(static_cast<char>(0x80 + c));
    } else {
      out.append("\xEF\xBF\xBD");  // U+FFFD
    }
    text.remove_prefix(decoded.bytes);
  }
  return out;
}

std::string Quoted(absl::string_view bytes) {
  std::string out = "\"";
  while (!bytes.empty()) {
    const Decoded decoded = DecodeFirst(bytes);
    const absl::string_view part = bytes.substr(0, decoded.bytes);
    if (part == "\n") {
      out += "\\n";
    } else if (part == "\t") {
      out += "\\t";
    } else if (part == "\"" || part == "\\") {
      absl::StrAppend(&out, "\\", part);
    } else if (decoded.code_point < 0 || IsControl(decoded.code_point)) {
      for (const char byte : part) {
        absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned char>(byte));
      }
    } else {
      absl::StrAppend(&out, part);
    }
    bytes.remove_prefix(decoded.bytes);
  }
  return out + "\"";
}

Glyph FirstGlyph(absl::string_view text) {
  const Decoded decoded = DecodeFirst(text);
  const int columns = decoded.code_point < 0 ? 1 : utf8proc_charwidth(decoded.code_point);
  return {text.substr(0, decoded.bytes), std::max(columns, 0)};
}

int DisplayWidth(absl::string_view text) {
  int columns = 0;
  while (!text.empty()) {
    const Glyph glyph = FirstGlyph(text);
    columns += glyph.columns;
    text.remove_prefix(glyph.bytes.size());
  }
  return columns;
}

std::string Fitted(absl::string_view text, int columns) {
  const int width = DisplayWidth(text);
  if (width <= columns)
    return std::string(text) + std::string(static_cast<size_t>(columns - width), ' ');
  std::string out;
  int used = 0;
  while (!text.empty()) {
    const Glyph glyph = FirstGlyph(text);
    if (used + glyph.columns > columns - 1) break;
    absl::StrAppend(&out, glyph.bytes);
    used += glyph.columns;
    text.remove_prefix(glyph.bytes.size());
  }
  out.append("…");
  return out + std::string(static_cast<size_t>(std::max(columns - used - 1, 0)), ' ');
}

}  // namespace chorus::cli
