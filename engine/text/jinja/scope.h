// Decides where each name of a template lives, the way jinja2's compiler does, because templates
// show the difference: an assignment inside a loop, macro or capturing block is local to it and
// starts from the outer value; an `if` has no scope of its own; a name that a scope assigns before
// it reads it never means the context's variable of that name.
#ifndef CHORUS_ENGINE_TEXT_JINJA_SCOPE_H_
#define CHORUS_ENGINE_TEXT_JINJA_SCOPE_H_

#include "absl/status/status.h"
#include "engine/text/jinja/ast.h"

namespace chorus::jinja {

// Fills in the slots, scopes, filters and tests of a freshly parsed program. InvalidArgument
// "line N: …" for an unknown filter or test outside of a condition (inside one it is an error only
// when it runs) and for an assignment to `loop` in a loop.
absl::Status ResolveNames(Program* program);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_SCOPE_H_
