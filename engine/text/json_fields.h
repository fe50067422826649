// Typed fields of the tokenizer's JSON files. Each error names the object, what was wanted and what
// was there. Pure functions; any thread may call.
#ifndef CHORUS_ENGINE_TEXT_JSON_FIELDS_H_
#define CHORUS_ENGINE_TEXT_JSON_FIELDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"

namespace chorus::engine {

using Json = nlohmann::json;

// Parses `bytes`; InvalidArgument naming `name` when they are not a JSON object.
absl::StatusOr<Json> ParseJsonObject(const std::string& bytes, std::string_view name);

// The member `key`, or null when it is absent or JSON null. REQUIRES: an object.
const Json* FindField(const Json& object, const char* key);

// `owner` names the object in errors, as "normalizer Replace". Each is InvalidArgument when the
// field has another type, and, where no default is given, when it is missing.
absl::StatusOr<std::string> StringField(const Json& object, const char* key,
                                        std::string_view owner);
absl::StatusOr<bool> BoolField(const Json& object, const char* key, std::string_view owner,
                               std::optional<bool> otherwise = std::nullopt);
absl::StatusOr<int64_t> IntField(const Json& object, const char* key, std::string_view owner);
absl::StatusOr<const Json*> ArrayField(const Json& object, const char* key, std::string_view owner);
absl::StatusOr<const Json*> ObjectField(const Json& object, const char* key,
                                        std::string_view owner);

// {"type": "Sequence", <list>: [a, {"type": "Sequence", …}, b]} as its leaves in order; one leaf
// when it is none; none for null. Each leaf has a "type". InvalidArgument above 64 leaves or 16
// levels.
absl::StatusOr<std::vector<const Json*>> FlattenSequence(const Json* node, const char* list,
                                                         std::string_view owner);

// The error for a component of a kind that is not supported.
absl::Status UnsupportedComponent(std::string_view owner, std::string_view type);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_JSON_FIELDS_H_
