// {"String": "…"} or {"Regex": "…"}, as Split and Replace carry it.
#ifndef CHORUS_ENGINE_TEXT_JSON_PATTERN_H_
#define CHORUS_ENGINE_TEXT_JSON_PATTERN_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/json_fields.h"
#include "engine/text/pattern.h"

namespace chorus::engine {

// InvalidArgument naming `owner` when the field is missing, malformed or not supported.
absl::StatusOr<Pattern> PatternField(const Json& object, std::string_view owner);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_TEXT_JSON_PATTERN_H_
