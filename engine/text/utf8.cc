#include "engine/text/utf8.h"

#include <cstdint>
#include <cstring>

#include "engine/text/str_cat.h"

namespace chorus::engine {
namespace {

struct Scan {
  size_t length;  // bytes that belong to the character or to the ill-formed part, at least 1
  bool valid;
  bool incomplete;  // not valid only because the text ends
};

struct SecondByte {
  unsigned char low, high;
};

// What may follow `lead` in place two; the later places take 80..BF.
SecondByte SecondByteOf(unsigned char lead) {
  switch (lead) {
    case 0xE0:
      return {0xA0, 0xBF};
    case 0xED:
      return {0x80, 0x9F};
    case 0xF0:
      return {0x90, 0xBF};
    case 0xF4:
      return {0x80, 0x8F};
    default:
      return {0x80, 0xBF};
  }
}

Scan ScanCharacter(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return {1, true, false};
  if (lead < 0xC2 || lead > 0xF4) return {1, false, false};
  const size_t length = Utf8Length(text[at]);
  SecondByte allowed = SecondByteOf(lead);
  for (size_t i = 1; i < length; ++i) {
    if (at + i == text.size()) return {i, false, true};
    if (byte(at + i) < allowed.low || byte(at + i) > allowed.high) return {i, false, false};
    allowed = {0x80, 0xBF};
  }
  return {length, true, false};
}

}  // namespace

size_t FindInvalidUtf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    uint64_t word;
    while (at + sizeof word <= text.size()) {
      std::memcpy(&word, text.data() + at, sizeof word);
      if (word & 0x8080808080808080u) break;
      at += sizeof word;
    }
    if (at == text.size()) break;
    const Scan scan = ScanCharacter(text, at);
    if (!scan.valid) return at;
    at += scan.length;
  }
  return std::string_view::npos;
}

absl::Status CheckUtf8(std::string_view text, std::string_view name) {
  const size_t at = FindInvalidUtf8(text);
  if (at == std::string_view::npos) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat(name, ": want UTF-8, got an invalid byte 0x",
             absl::Hex(static_cast<unsigned char>(text[at]), absl::kZeroPad2), " at offset ", at));
}

char32_t DecodeUtf8(std::string_view text, size_t* at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[*at + i]); };
  const unsigned char lead = byte(0);
  char32_t code_point = lead;
  size_t length = 1;
  if (lead >= 0xF0) {
    code_point = (lead & 7u) << 18 | (byte(1) & 63u) << 12 | (byte(2) & 63u) << 6 | (byte(3) & 63u);
    length = 4;
  } else if (lead >= 0xE0) {
    code_point = (lead & 15u) << 12 | (byte(1) & 63u) << 6 | (byte(2) & 63u);
    length = 3;
  } else if (lead >= 0x80) {
    code_point = (lead & 31u) << 6 | (byte(1) & 63u);
    length = 2;
  }
  *at += length;
  return code_point;
}

void AppendUtf8(char32_t code_point, std::string* out) {
  const auto tail = [&](int shift) {
    return static_cast<char>(0x80u | ((code_point >> shift) & 63u));
  };
  if (code_point < 0x80) {
    out->push_back(static_cast<char>(code_point));
  } else if (code_point < 0x800) {
    out->append({static_cast<char>(0xC0u | code_point >> 6), tail(0)});
  } else if (code_point < 0x10000) {
    out->append({static_cast<char>(0xE0u | code_point >> 12), tail(6), tail(0)});
  } else {
    out->append({static_cast<char>(0xF0u | code_point >> 18), tail(12), tail(6), tail(0)});
  }
}

std::u32string ToCodePoints(std::string_view valid_text) {
  std::u32string result;
  result.reserve(valid_text.size());
  for (size_t at = 0; at < valid_text.size();) result.push_back(DecodeUtf8(valid_text, &at));
  return result;
}

std::string ToUtf8(std::u32string_view code_points) {
  std::string result;
  result.reserve(code_points.size());
  for (const char32_t code_point : code_points) AppendUtf8(code_point, &result);
  return result;
}

size_t IncompleteUtf8Suffix(std::string_view bytes) {
  for (size_t length = 1; length <= 3 && length <= bytes.size(); ++length) {
    const size_t at = bytes.size() - length;
    if ((static_cast<unsigned char>(bytes[at]) & 0xC0u) == 0x80) continue;
    const Scan scan = ScanCharacter(bytes, at);
    return scan.incomplete && scan.length == length ? length : 0;
  }
  return 0;
}

void AppendLossyUtf8(std::string_view bytes, std::string* out) {
  while (!bytes.empty()) {
    const size_t valid = FindInvalidUtf8(bytes);
    out->append(bytes.substr(0, valid));
    if (valid == std::string_view::npos) return;
    out->append(kReplacementCharacter);
    bytes.remove_prefix(valid + ScanCharacter(bytes, valid).length);
  }
}

}  // namespace chorus::engine
