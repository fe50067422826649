#include "server/model/plain_special.h"

#include <algorithm>
#include <string_view>

#include "engine/text/utf8.h"

namespace chorus::server {
namespace {

// U+FDD0, a noncharacter: Unicode keeps it for uses like this, inside one program.
constexpr std::string_view kMark = "\xEF\xB7\x90";

}  // namespace

PlainSpecial::PlainSpecial(const engine::Tokenizer& tokenizer) {
  for (int32_t id = 0; id < tokenizer.size(); ++id) {
    if (!tokenizer.IsSpecial(id)) continue;
    const std::optional<std::string> text = tokenizer.TokenText(id);
    if (text.has_value() && !text->empty()) texts_.push_back(*text);
  }
  std::ranges::sort(texts_, [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
}

void PlainSpecial::Mark(jinja::Json* value) const {
  if (value->is_object() || value->is_array()) {
    for (jinja::Json& member : *value) Mark(&member);
    return;
  }
  if (!value->is_string()) return;
  auto& text = value->get_ref<std::string&>();
  // Whoever writes the mark itself means nothing by it that a model could know.
  for (size_t at = text.find(kMark); at != std::string::npos; at = text.find(kMark, at)) {
    text.replace(at, kMark.size(), engine::kReplacementCharacter);
  }
  for (size_t at = 0; at < text.size(); ++at) {
    for (const std::string& special : texts_) {
      if (text.compare(at, special.size(), special) != 0) continue;
      text.insert(at + engine::Utf8Length(special[0]), kMark);
      break;
    }
  }
}

PlainSpecial::Unmarked PlainSpecial::Unmark(const std::string& rendered) {
  Unmarked result;
  for (size_t at = 0; at < rendered.size();) {
    const size_t mark = std::min(rendered.find(kMark, at), rendered.size());
    result.text.append(rendered, at, mark - at);
    if (mark < rendered.size() && !result.text.empty()) {
      result.plain_bytes.push_back(result.text.size() - 1);
    }
    at = mark + kMark.size();
  }
  return result;
}

}  // namespace chorus::server
