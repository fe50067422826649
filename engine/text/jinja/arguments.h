// The arguments of a call, and how functions take them apart.
#ifndef CHORUS_ENGINE_TEXT_JINJA_ARGUMENTS_H_
#define CHORUS_ENGINE_TEXT_JINJA_ARGUMENTS_H_

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/text/jinja/value.h"

namespace chorus::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keyword;

  bool empty() const { return positional.empty() && keyword.empty(); }
};

// Binds `arguments` to parameters as Python does: one value for each name, missing where neither
// position nor keyword gave one. InvalidArgument for too many, unknown, doubled, or when one of the
// first `required` is missing.
absl::StatusOr<std::vector<Value>> Bind(const Arguments& arguments, std::string_view function,
                                        std::initializer_list<std::string_view> names,
                                        size_t required);

// What is wrong with a value: "replace: count must be an integer, got str".
absl::Status TypeError(std::string_view message);
// An operation on an undefined value; other values give TypeError(message).
absl::Status TypeErrorFor(const Value& value, std::string_view message);

absl::StatusOr<int64_t> AsInt(const Value& value, std::string_view what);
absl::StatusOr<std::string_view> AsString(const Value& value, std::string_view what);
inline absl::StatusOr<int64_t> IntOr(const Value& value, int64_t otherwise, std::string_view what) {
  if (value.missing()) return otherwise;
  return AsInt(value, what);
}
inline bool TruthOr(const Value& value, bool otherwise) {
  return value.missing() ? otherwise : Truth(value);
}

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_ARGUMENTS_H_
