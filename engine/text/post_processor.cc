#include "engine/text/post_processor.h"

#include <string>

#include "engine/text/str_cat.h"
#include "kernels/status_macros.h"
#include "nlohmann/json.hpp"

namespace chorus::engine {
namespace {

constexpr std::string_view kOwner = "post_processor TemplateProcessing";

absl::StatusOr<std::vector<int32_t>> IdsOf(const Json& special_tokens, const char* name) {
  CHORUS_ASSIGN_OR_RETURN(const Json* const entry, ObjectField(special_tokens, name, kOwner));
  CHORUS_ASSIGN_OR_RETURN(const Json* const ids, ArrayField(*entry, "ids", kOwner));
  std::vector<int32_t> result;
  for (const Json& id : *ids) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX) {
      return absl::InvalidArgumentError(
          StrCat(kOwner, ": the id of ", name, " is ", id.dump(), ", want a token id"));
    }
    result.push_back(id.get<int32_t>());
  }
  return result;
}

// The template for one text: special tokens, the text (sequence A) once, special tokens.
absl::StatusOr<PostProcessor> FromTemplate(const Json& json) {
  CHORUS_ASSIGN_OR_RETURN(const Json* const pieces, ArrayField(json, "single", kOwner));
  CHORUS_ASSIGN_OR_RETURN(const Json* const special_tokens,
                          ObjectField(json, "special_tokens", kOwner));
  PostProcessor result;
  bool seen = false;
  for (const Json& piece : *pieces) {
    if (!piece.is_object()) {
      return absl::InvalidArgumentError(
          StrCat(kOwner, ": a piece is ", piece.type_name(), ", want an object"));
    }
    if (FindField(piece, "Sequence") != nullptr) {
      CHORUS_ASSIGN_OR_RETURN(const Json* const sequence, ObjectField(piece, "Sequence", kOwner));
      CHORUS_ASSIGN_OR_RETURN(const std::string id, StringField(*sequence, "id", kOwner));
      if (id != "A" || seen) {
        return absl::InvalidArgumentError(
            StrCat(kOwner, ": \"single\" uses sequence ", id, ", want A once"));
      }
      seen = true;
      continue;
    }
    CHORUS_ASSIGN_OR_RETURN(const Json* const token, ObjectField(piece, "SpecialToken", kOwner));
    CHORUS_ASSIGN_OR_RETURN(const std::string name, StringField(*token, "id", kOwner));
    CHORUS_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, IdsOf(*special_tokens, name.c_str()));
    std::vector<int32_t>& side = seen ? result.after : result.before;
    side.insert(side.end(), ids.begin(), ids.end());
  }
  if (seen) return result;
  return absl::InvalidArgumentError(StrCat(kOwner, ": \"single\" leaves out the text"));
}

}  // namespace

absl::StatusOr<PostProcessor> PostProcessor::FromJson(const Json* json) {
  CHORUS_ASSIGN_OR_RETURN(const std::vector<const Json*> leaves,
                          FlattenSequence(json, "processors", "post_processor"));
  PostProcessor result;
  for (const Json* const leaf : leaves) {
    CHORUS_ASSIGN_OR_RETURN(const std::string type, StringField(*leaf, "type", "post_processor"));
    if (type == "ByteLevel") continue;  // trims offsets only
    if (type != "TemplateProcessing") return UnsupportedComponent("post_processor", type);
    CHORUS_ASSIGN_OR_RETURN(const PostProcessor outer, FromTemplate(*leaf));
    result.before.insert(result.before.begin(), outer.before.begin(), outer.before.end());
    result.after.insert(result.after.end(), outer.after.begin(), outer.after.end());
  }
  return result;
}

}  // namespace chorus::engine
