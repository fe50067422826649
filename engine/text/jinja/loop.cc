// What `loop` knows: jinja2's LoopContext.
#include <utility>
#include <vector>

#include "engine/text/jinja/iteration.h"
#include "engine/text/jinja/objects.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {

absl::StatusOr<Value> LoopObject::Peek(Runtime& runtime) {
  if (!peeked) {
    ahead = Value();
    if (!iterator.missing())
      CHORUS_RETURN_IF_ERROR(jinja::Next(runtime, iterator, &ahead).status());
    peeked = true;
  }
  return ahead;
}

absl::StatusOr<bool> LoopObject::Next(Runtime& runtime, Value* item) {
  CHORUS_ASSIGN_OR_RETURN(*item, Peek(runtime));
  if (item->missing()) return false;
  peeked = false;
  ahead = Value();
  ++index0;
  previous = std::exchange(current, *item);
  return true;
}

absl::StatusOr<int64_t> LoopObject::Length(Runtime& runtime) {
  if (length) return *length;
  if (const auto known = jinja::Length(iterable); known.ok()) {
    length = *known;
    return *length;
  }
  // A generator: what is left is read into a list.
  CHORUS_ASSIGN_OR_RETURN(std::vector<Value> rest, ToVector(runtime, iterator));
  length = static_cast<int64_t>(rest.size()) + index0 + 1 + (peeked && !ahead.missing() ? 1 : 0);
  CHORUS_ASSIGN_OR_RETURN(iterator, MakeIterator(runtime, std::move(rest)));
  return *length;
}

void LoopObject::Close() {
  closed = true;
  iterable = iterator = ahead = current = previous = last_changed = Value();
  peeked = false;
}

}  // namespace chorus::jinja
