// JSON in and out: the context a template gets, and the tojson filter.
#ifndef CHORUS_ENGINE_TEXT_JINJA_JSON_H_
#define CHORUS_ENGINE_TEXT_JINJA_JSON_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/text/jinja/jinja.h"
#include "engine/text/jinja/runtime.h"

namespace chorus::jinja {

// The value of a JSON document. InvalidArgument for text that is not UTF-8, integers beyond 64 bits
// and nesting beyond `max_depth`.
absl::StatusOr<Value> FromJson(const Json& json, int max_depth);

// As Python's json.dumps takes them.
struct DumpOptions {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  // of one level; none: all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
absl::StatusOr<std::string> DumpJson(Runtime& runtime, const Value& value,
                                     const DumpOptions& options);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_JSON_H_
