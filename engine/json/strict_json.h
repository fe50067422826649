// JSON from strangers: bounded in size, depth and number of values; no duplicate keys, byte-order
// mark or trailing bytes. Objects keep the order of their keys, because PEFT's patterns depend on
// it. Nothing here keeps state: any thread.
#ifndef CHORUS_ENGINE_JSON_STRICT_JSON_H_
#define CHORUS_ENGINE_JSON_STRICT_JSON_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/refusal.h"
#include "nlohmann/json.hpp"

namespace chorus::engine {

using Json = nlohmann::ordered_json;

struct JsonLimits {
  size_t max_bytes = size_t{1} << 20;
  int max_depth = 16;
  size_t max_values = 200000;
  Reason reason = Reason::kJsonInvalid;  // of the refusal
};

// InvalidArgument that begins with `what` ("adapter_config.json") and says what is wrong. Time and
// memory grow with the size of the text and no faster.
absl::StatusOr<Json> ParseStrictJson(std::string_view text, std::string_view what,
                                     const JsonLimits& limits = {});

// A value with the place it came from, for checked reading. Borrows the document. The readers
// refuse with the place, what was expected and what came, and with `reason`, which members inherit.
class JsonValue {
 public:
  JsonValue(const Json* value, std::string place, Reason reason = Reason::kValueOutOfRange)
      : JsonValue(value, std::move(place), reason, /*is_root=*/true) {}

  const std::string& place() const { return place_; }
  // Null, or not there at all.
  bool absent() const { return value_ == nullptr || value_->is_null(); }
  bool is_string() const { return !absent() && value_->is_string(); }
  bool is_array() const { return !absent() && value_->is_array(); }
  bool is_object() const { return !absent() && value_->is_object(); }
  bool is_number() const { return !absent() && value_->is_number(); }
  bool is_bool() const { return !absent() && value_->is_boolean(); }
  // null, false, 0, "", [] and {} change nothing; all else does.
  bool truthy() const;
  const Json& json() const { return *value_; }
  // What came, short and escaped, for a message.
  std::string Shown() const;

  // Absent when this is no object or has no such key. Looks at one key after the other: walk large
  // objects with Members().
  JsonValue operator[](std::string_view key) const;
  // Of an object, in the order of the text; empty for anything else.
  std::vector<std::pair<std::string_view, JsonValue>> Members() const;
  // Of an array; empty for anything else.
  std::vector<JsonValue> Elements() const;

  // An integer is written without point or exponent: 8.0, 1e3 and true are none.
  absl::StatusOr<int64_t> Integer(int64_t least, int64_t most) const;
  absl::StatusOr<uint64_t> Unsigned(uint64_t most) const;
  absl::StatusOr<double> Number() const;  // finite; integers too
  absl::StatusOr<bool> Bool() const;
  absl::StatusOr<std::string> String(size_t max_bytes = SIZE_MAX) const;
  absl::StatusOr<std::vector<std::string>> Strings(size_t max_strings, size_t max_bytes) const;

 private:
  JsonValue(const Json* value, std::string place, Reason reason, bool is_root)
      : value_(value), place_(std::move(place)), reason_(reason), is_root_(is_root) {}

  JsonValue Member(std::string_view key, const Json* value) const;
  absl::Status Wrong(std::string expected) const;

  const Json* value_;
  std::string place_;
  Reason reason_;
  bool is_root_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_JSON_STRICT_JSON_H_
