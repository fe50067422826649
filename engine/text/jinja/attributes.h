// object.name and object[key], as the sandbox lets templates see them.
#ifndef CHORUS_ENGINE_TEXT_JINJA_ATTRIBUTES_H_
#define CHORUS_ENGINE_TEXT_JINJA_ATTRIBUTES_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/jinja/runtime.h"

namespace chorus::jinja {

// object.name: the attribute or method, else the item of that name, else undefined. An undefined
// object is an error; what would change a list or dict is undefined and fails when called.
absl::StatusOr<Value> GetAttribute(Runtime& runtime, const Value& object, std::string_view name);

// object[key]: the item, else the attribute or method of that name, else undefined.
absl::StatusOr<Value> GetItem(Runtime& runtime, const Value& object, const Value& key);

// The attribute alone, without falling back to the item; missing when there is none.
absl::StatusOr<Value> FindAttribute(Runtime& runtime, const Value& object, std::string_view name);

// Methods of strings (string_methods.cc) and of containers (container_methods.cc); null: none.
NativeFunction FindStringMethod(std::string_view name);
NativeFunction FindDictMethod(std::string_view name);
NativeFunction FindSequenceMethod(std::string_view name);
NativeFunction FindLoopMethod(std::string_view name);
NativeFunction FindCyclerMethod(std::string_view name);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_ATTRIBUTES_H_
