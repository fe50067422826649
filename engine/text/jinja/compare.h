// Equality, order and membership, as Python has them.
#ifndef CHORUS_ENGINE_TEXT_JINJA_COMPARE_H_
#define CHORUS_ENGINE_TEXT_JINJA_COMPARE_H_

#include <compare>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "engine/text/jinja/runtime.h"

namespace chorus::jinja {

// Charged for: lists that share their parts can take very long to compare.
absl::StatusOr<bool> Equal(Runtime& runtime, const Value& left, const Value& right);

// left < right; InvalidArgument for what Python does not order. `op` is for the message.
absl::StatusOr<bool> Less(Runtime& runtime, const Value& left, const Value& right,
                          std::string_view op = "<");
absl::StatusOr<bool> LessOrEqual(Runtime& runtime, const Value& left, const Value& right,
                                 std::string_view op = "<=");

// item in container.
absl::StatusOr<bool> Contains(Runtime& runtime, const Value& container, const Value& item);

// sorted(): stable, also when reversed. `key` gives what an item is ordered by.
absl::StatusOr<std::vector<Value>> Sorted(
    Runtime& runtime, std::vector<Value> items, bool reverse,
    absl::FunctionRef<absl::StatusOr<Value>(const Value&)> key);
absl::Status SortByKey(Runtime& runtime, std::vector<std::pair<Value, Value>>* entries);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_COMPARE_H_
