// Cuts a template into tokens, with the white space control of trim_blocks and lstrip_blocks:
//   the newline behind a block or comment tag goes (unless the tag ends in +),
//   the blanks in front of a block or comment tag that starts a line go (unless it starts with +),
//   a minus inside a tag's edge takes all white space on that side;
//   one newline at the end of the template goes; every kind of newline becomes \n.
#ifndef CHORUS_ENGINE_TEXT_JINJA_LEXER_H_
#define CHORUS_ENGINE_TEXT_JINJA_LEXER_H_

#include <string_view>
#include <vector>

#include "engine/text/jinja/token.h"

namespace chorus::jinja {

// Always ends in kEnd or, at the first thing that is no token, in kError: a parser that stumbles
// earlier reports what it stumbled over, as jinja2 does. `source` is valid UTF-8.
std::vector<Token> Tokenize(std::string_view source);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_LEXER_H_
