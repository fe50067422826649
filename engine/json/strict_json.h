// JSON from strangers: bounded in size, depth and number of values; no duplicate keys, byte-order
// mark or trailing bytes. Objects keep the order of their keys, because PEFT's patterns depend on
// it.
#ifndef CHORUS_ENGINE_JSON_STRICT_JSON_H_
#define CHORUS_ENGINE_JSON_STRICT_JSON_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace chorus::engine {

using Json = nlohmann::ordered_json;

struct JsonLimits {
  size_t max_bytes = size_t{1} << 20;
  int max_depth = 16;
  size_t max_values = 200000;
};

// InvalidArgument that begins with `what` ("adapter_config.json") and says what is wrong.
absl::StatusOr<Json> ParseStrictJson(std::string_view text, std::string_view what,
                                     const JsonLimits& limits = {});

// A value with the place it came from, for checked reading. Borrows the document.
class JsonValue {
 public:
  JsonValue(const Json* value, std::string place) : value_(value), place_(std::move(place)) {}

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

  // Absent when this is no object or has no such key.
  JsonValue operator[](const std::string& key) const;

  // InvalidArgument naming the place, what was expected and what came. An integer is written
  // without point or exponent; a number is finite.
  absl::StatusOr<int64_t> Integer(int64_t least, int64_t most) const;
  absl::StatusOr<double> Number() const;
  absl::StatusOr<bool> Bool() const;
  absl::StatusOr<std::string> String() const;

 private:
  absl::Status Wrong(std::string expected) const;

  const Json* value_;
  std::string place_;
};

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_JSON_STRICT_JSON_H_
