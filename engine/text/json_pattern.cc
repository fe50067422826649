#include "engine/text/json_pattern.h"

#include <string>

#include "engine/text/str_cat.h"
#include "kernels/status_macros.h"
#include "nlohmann/json.hpp"

namespace chorus::engine {

absl::StatusOr<Pattern> PatternField(const Json& object, std::string_view owner) {
  CHORUS_ASSIGN_OR_RETURN(const Json* const pattern, ObjectField(object, "pattern", owner));
  if (FindField(*pattern, "String") != nullptr) {
    CHORUS_ASSIGN_OR_RETURN(const std::string text, StringField(*pattern, "String", owner));
    return Pattern::Literal(text);
  }
  CHORUS_ASSIGN_OR_RETURN(const std::string expression, StringField(*pattern, "Regex", owner));
  absl::StatusOr<Pattern> result = Pattern::Regex(expression);
  if (result.ok()) return result;
  return absl::Status(result.status().code(), StrCat(owner, ": ", result.status().message()));
}

}  // namespace chorus::engine
