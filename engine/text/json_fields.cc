#include "engine/text/json_fields.h"

#include <utility>

#include "engine/text/str_cat.h"
#include "kernels/status_macros.h"
#include "nlohmann/json.hpp"

namespace chorus::engine {
namespace {

constexpr size_t kMaxLeaves = 64;
constexpr int kMaxLevels = 16;

absl::Status WrongField(const Json& object, const char* key, std::string_view owner,
                        std::string_view want) {
  const Json* const field = FindField(object, key);
  return absl::InvalidArgumentError(StrCat(owner, ": \"", key, "\" is ",
                                           field == nullptr ? "missing" : field->type_name(),
                                           ", want ", want));
}

absl::Status Flatten(const Json& node, const char* list, std::string_view owner, int level,
                     std::vector<const Json*>* leaves) {
  if (!node.is_object()) {
    return absl::InvalidArgumentError(StrCat(owner, ": is ", node.type_name(), ", want an object"));
  }
  CHORUS_ASSIGN_OR_RETURN(const std::string type, StringField(node, "type", owner));
  if (type != "Sequence") {
    leaves->push_back(&node);
    if (leaves->size() <= kMaxLeaves) return absl::OkStatus();
    return absl::InvalidArgumentError(StrCat(owner, ": more than ", kMaxLeaves, " steps"));
  }
  if (level == kMaxLevels) {
    return absl::InvalidArgumentError(StrCat(owner, ": sequences nested too deeply"));
  }
  CHORUS_ASSIGN_OR_RETURN(const Json* const steps, ArrayField(node, list, owner));
  for (const Json& step : *steps) {
    CHORUS_RETURN_IF_ERROR(Flatten(step, list, owner, level + 1, leaves));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Json> ParseJsonObject(const std::string& bytes, std::string_view name) {
  Json json;
  try {
    json = Json::parse(bytes);
  } catch (const nlohmann::json::exception& e) {
    return absl::InvalidArgumentError(StrCat(name, ": ", e.what()));
  }
  if (json.is_object()) return json;
  return absl::InvalidArgumentError(StrCat(name, ": is ", json.type_name(), ", want an object"));
}

const Json* FindField(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

absl::StatusOr<std::string> StringField(const Json& object, const char* key,
                                        std::string_view owner) {
  const Json* const field = FindField(object, key);
  if (field == nullptr || !field->is_string()) return WrongField(object, key, owner, "a string");
  return field->get_ref<const std::string&>();
}

absl::StatusOr<bool> BoolField(const Json& object, const char* key, std::string_view owner,
                               std::optional<bool> otherwise) {
  const Json* const field = FindField(object, key);
  if (field == nullptr && otherwise.has_value()) return *otherwise;
  if (field == nullptr || !field->is_boolean()) return WrongField(object, key, owner, "a boolean");
  return field->get<bool>();
}

absl::StatusOr<int64_t> IntField(const Json& object, const char* key, std::string_view owner) {
  const Json* const field = FindField(object, key);
  const bool fits = field != nullptr && field->is_number_integer() &&
                    !(field->is_number_unsigned() && field->get<uint64_t>() > INT64_MAX);
  if (!fits) return WrongField(object, key, owner, "an integer");
  return field->get<int64_t>();
}

absl::StatusOr<const Json*> ArrayField(const Json& object, const char* key,
                                       std::string_view owner) {
  const Json* const field = FindField(object, key);
  if (field == nullptr || !field->is_array()) return WrongField(object, key, owner, "an array");
  return field;
}

absl::StatusOr<const Json*> ObjectField(const Json& object, const char* key,
                                        std::string_view owner) {
  const Json* const field = FindField(object, key);
  if (field == nullptr || !field->is_object()) return WrongField(object, key, owner, "an object");
  return field;
}

absl::StatusOr<std::vector<const Json*>> FlattenSequence(const Json* node, const char* list,
                                                         std::string_view owner) {
  std::vector<const Json*> leaves;
  if (node != nullptr) CHORUS_RETURN_IF_ERROR(Flatten(*node, list, owner, 0, &leaves));
  return leaves;
}

absl::Status UnsupportedComponent(std::string_view owner, std::string_view type) {
  return absl::InvalidArgumentError(StrCat(owner, ": type ", type, " is not supported"));
}

}  // namespace chorus::engine
