// HTML escaping, as markupsafe does it: text marked as HTML stays, all other text is escaped.
#ifndef CHORUS_ENGINE_TEXT_JINJA_MARKUP_H_
#define CHORUS_ENGINE_TEXT_JINJA_MARKUP_H_

#include <string>
#include <string_view>

#include "engine/text/jinja/value.h"

namespace chorus::jinja {

std::string EscapeHtml(std::string_view text);

// The text of a string as it may stand in HTML. REQUIRES: a kString.
std::string EscapedText(const Value& string);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_MARKUP_H_
