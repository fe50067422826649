// Arithmetic, subscripts and slices, as Python has them. Integers beyond 64 bits are refused.
#ifndef CHORUS_ENGINE_TEXT_JINJA_OPERATORS_H_
#define CHORUS_ENGINE_TEXT_JINJA_OPERATORS_H_

#include "absl/status/statusor.h"
#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/runtime.h"

namespace chorus::jinja {

// REQUIRES: op is one of kAdd … kPow.
absl::StatusOr<Value> Arithmetic(Runtime& runtime, Op op, const Value& left, const Value& right);
absl::StatusOr<Value> Negative(const Value& value);
absl::StatusOr<Value> Positive(const Value& value);

// object[start:stop:step]; missing where left out.
absl::StatusOr<Value> Slice(Runtime& runtime, const Value& object, const Value& start,
                            const Value& stop, const Value& step);

// Text number `index` of a string, from the end where negative. REQUIRES: in range.
std::string_view CharacterAt(const StringObject& string, int64_t index);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_OPERATORS_H_
