#include "engine/text/word_border.h"

namespace chorus::engine {

std::string BlanksForBorders(std::string_view token) {
  std::string result;
  for (size_t border; (border = token.find(kWordBorder)) != std::string_view::npos;) {
    result.append(token.substr(0, border));
    result.push_back(' ');
    token.remove_prefix(border + kWordBorder.size());
  }
  result.append(token);
  return result;
}

}  // namespace chorus::engine
