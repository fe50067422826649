#include "engine/text/jinja/item_path.h"

#include <algorithm>
#include <utility>

#include "engine/text/jinja/attributes.h"
#include "engine/text/jinja/literals.h"
#include "engine/text/jinja/text_search.h"
#include "engine/text/jinja/unicode.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

Value Part(std::string_view text) {
  const auto codes = ToCodePoints(text);
  if (!codes.empty() && std::all_of(codes.begin(), codes.end(), IsDigit)) {
    bool overflow = false;
    if (const auto number = ParsePythonInt(text, 10, &overflow)) return Value::Int(*number);
  }
  return Value::String(std::string(text));
}

}  // namespace

absl::StatusOr<ItemPath> ItemPath::Parse(const Value& attribute) {
  ItemPath path;
  if (attribute.missing() || attribute.is_none()) return path;
  if (attribute.is_string()) {
    for (const std::string_view part : SplitBy(attribute.text(), ".", -1, false)) {
      path.parts_.push_back(Part(part));
    }
  } else {
    path.parts_.push_back(attribute);
  }
  return path;
}

absl::StatusOr<std::vector<ItemPath>> ItemPath::ParseList(const Value& attribute) {
  std::vector<ItemPath> paths;
  if (!attribute.is_string()) {
    CHORUS_ASSIGN_OR_RETURN(ItemPath path, Parse(attribute));
    paths.push_back(std::move(path));
    return paths;
  }
  for (const std::string_view text : SplitBy(attribute.text(), ",", -1, false)) {
    CHORUS_ASSIGN_OR_RETURN(ItemPath path, Parse(Value::String(std::string(text))));
    paths.push_back(std::move(path));
  }
  return paths;
}

absl::StatusOr<Value> ItemPath::Get(Runtime& runtime, const Value& item,
                                    const Value& otherwise) const {
  Value value = item;
  for (const Value& part : parts_) {
    CHORUS_RETURN_IF_ERROR(runtime.Charge(1));
    CHORUS_ASSIGN_OR_RETURN(value, GetItem(runtime, value, part));
    if (value.is_undefined() && !otherwise.missing() && !otherwise.is_none()) value = otherwise;
  }
  return value;
}

Value IgnoreCase(const Value& value) {
  return value.is_string() ? Value::String(ToLower(value.text())) : value;
}

}  // namespace chorus::jinja
