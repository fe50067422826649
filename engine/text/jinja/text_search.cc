#include "engine/text/jinja/text_search.h"

#include <algorithm>

#include "engine/text/jinja/unicode.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {

absl::StatusOr<std::string> ReplaceText(Runtime& runtime, std::string_view text,
                                        std::string_view from, std::string_view to, int64_t count) {
  std::string out;
  if (count < 0) count = INT64_MAX;
  size_t at = 0;
  while (count > 0) {
    // An empty text is found in front of every character and at the end.
    const size_t found = from.empty() ? at : text.find(from, at);
    if (found == text.npos) break;
    CHORUS_RETURN_IF_ERROR(runtime.ChargeBytes(static_cast<int64_t>(to.size() + 1)));
    out.append(text.substr(at, found - at));
    out.append(to);
    --count;
    at = found + from.size();
    if (!from.empty()) continue;
    if (at == text.size()) return out;
    size_t next = at;
    Decode(text, &next);
    out.append(text.substr(at, next - at));
    at = next;
  }
  out.append(text.substr(at));
  return out;
}

std::vector<std::string_view> SplitSpace(std::string_view text, int64_t limit, bool from_right) {
  std::vector<std::string_view> parts;
  if (limit < 0) limit = INT64_MAX;
  if (from_right) {
    text = StripRight(text);
    while (!text.empty()) {
      if (static_cast<int64_t>(parts.size()) == limit) {
        parts.push_back(text);
        break;
      }
      size_t start = text.size();
      while (start > 0) {
        size_t before = start;
        if (IsSpace(DecodeBackward(text, &before))) break;
        start = before;
      }
      parts.push_back(text.substr(start));
      text = StripRight(text.substr(0, start));
    }
    std::reverse(parts.begin(), parts.end());
    return parts;
  }
  text = StripLeft(text);
  while (!text.empty()) {
    if (static_cast<int64_t>(parts.size()) == limit) {
      parts.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size()) {
      size_t next = end;
      if (IsSpace(Decode(text, &next))) break;
      end = next;
    }
    parts.push_back(text.substr(0, end));
    text = StripLeft(text.substr(end));
  }
  return parts;
}

std::vector<std::string_view> SplitBy(std::string_view text, std::string_view separator,
                                      int64_t limit, bool from_right) {
  std::vector<std::string_view> parts;
  if (limit < 0) limit = INT64_MAX;
  while (limit-- > 0) {
    const size_t found = from_right ? text.rfind(separator) : text.find(separator);
    if (found == text.npos) break;
    if (from_right) {
      parts.push_back(text.substr(found + separator.size()));
      text = text.substr(0, found);
    } else {
      parts.push_back(text.substr(0, found));
      text = text.substr(found + separator.size());
    }
  }
  parts.push_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t start = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = at;
    if (!IsLineBreak(Decode(text, &at))) continue;
    if (text[end] == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(start, (keep_ends ? at : end) - start));
    start = at;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

std::string_view StripAny(std::string_view text, std::string_view any, bool left, bool right) {
  std::vector<char32_t> set = ToCodePoints(any);
  std::sort(set.begin(), set.end());
  const auto in = [&set](char32_t code) {
    return std::binary_search(set.begin(), set.end(), code);
  };
  while (left && !text.empty()) {
    size_t next = 0;
    if (!in(Decode(text, &next))) break;
    text.remove_prefix(next);
  }
  while (right && !text.empty()) {
    size_t start = text.size();
    if (!in(DecodeBackward(text, &start))) break;
    text = text.substr(0, start);
  }
  return text;
}

}  // namespace chorus::jinja
