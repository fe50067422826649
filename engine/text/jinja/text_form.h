// How values are printed: Python's str() and repr().
#ifndef CHORUS_ENGINE_TEXT_JINJA_TEXT_FORM_H_
#define CHORUS_ENGINE_TEXT_JINJA_TEXT_FORM_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/jinja/runtime.h"

namespace chorus::jinja {

absl::StatusOr<std::string> Str(Runtime& runtime, const Value& value);
absl::StatusOr<std::string> Repr(Runtime& runtime, const Value& value);

// repr(float): the shortest digits that read back as the same number.
std::string FloatRepr(double value);
// With everything but ASCII written as escapes, as Python's ascii() does to a repr.
std::string EscapeNonAscii(std::string_view text);
std::string StringRepr(std::string_view text);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_TEXT_FORM_H_
