// The `attribute` argument of filters: "address.city", "items.0", or a number.
#ifndef CHORUS_ENGINE_TEXT_JINJA_ITEM_PATH_H_
#define CHORUS_ENGINE_TEXT_JINJA_ITEM_PATH_H_

#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/jinja/runtime.h"

namespace chorus::jinja {

class ItemPath {
 public:
  // From a string, a number, or nothing: the item itself.
  static absl::StatusOr<ItemPath> Parse(const Value& attribute);
  // From "name,age": one path for each.
  static absl::StatusOr<std::vector<ItemPath>> ParseList(const Value& attribute);

  // item[part][part]…; `otherwise`, unless missing or None, stands for what is undefined on the
  // way.
  absl::StatusOr<Value> Get(Runtime& runtime, const Value& item,
                            const Value& otherwise = Value()) const;

 private:
  std::vector<Value> parts_;
};

// Text in lower case, anything else as it is: how filters sort unless case matters.
Value IgnoreCase(const Value& value);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_ITEM_PATH_H_
