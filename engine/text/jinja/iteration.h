// Walking through values, as Python's `for` does.
#ifndef CHORUS_ENGINE_TEXT_JINJA_ITERATION_H_
#define CHORUS_ENGINE_TEXT_JINJA_ITERATION_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/text/jinja/runtime.h"

namespace chorus::jinja {

bool IsIterable(const Value& value);

// Calls `visit` with each item until it answers false. One step is charged for each item.
absl::Status ForEach(Runtime& runtime, const Value& value,
                     absl::FunctionRef<absl::StatusOr<bool>(const Value&)> visit);

absl::StatusOr<std::vector<Value>> ToVector(Runtime& runtime, const Value& value);

// iter(value): an iterator over it; an iterator is its own.
absl::StatusOr<Value> MakeIterator(Runtime& runtime, const Value& value);
// An iterator over a list of our own.
absl::StatusOr<Value> MakeIterator(Runtime& runtime, std::vector<Value> items);
// The generator that jinja2 makes of `filter`: nothing happens, and nothing is refused, before its
// first item is asked for. `filter` gives an iterator.
absl::StatusOr<Value> MakeGenerator(Runtime& runtime, NativeFunction filter, const Value& subject,
                                    const Arguments& arguments);
template <NativeFunction filter>
absl::StatusOr<Value> Generator(Runtime& runtime, const Value& subject,
                                const Arguments& arguments) {
  return MakeGenerator(runtime, filter, subject, arguments);
}
// next(iterator). REQUIRES: a kIterator.
absl::StatusOr<bool> Next(Runtime& runtime, const Value& iterator, Value* item);

// len(value); InvalidArgument for what has no length.
absl::StatusOr<int64_t> Length(const Value& value);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_ITERATION_H_
