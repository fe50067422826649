// The objects behind the less common kinds of Value: dicts and their views, and everything that
// changes while a template runs. See value.h for who shares what.
#ifndef CHORUS_ENGINE_TEXT_JINJA_OBJECTS_H_
#define CHORUS_ENGINE_TEXT_JINJA_OBJECTS_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "engine/text/jinja/value.h"

namespace chorus::jinja {

class Runtime;
struct Arguments;
struct MacroDef;
struct Frame;

// In insertion order, as Python's. Keys that compare equal are one key: 1, 1.0 and True.
struct DictObject : Object {
  std::vector<std::pair<Value, Value>> entries;

  // Null when there is none, or when the key cannot be hashed.
  const Value* Find(const Value& key) const;
  const Value* Find(std::string_view key) const;
  // Adds or overwrites. REQUIRES: Hashable(key), and that nobody else holds the dict yet.
  void Set(Value key, Value value);

 private:
  absl::flat_hash_map<std::string, size_t> index_;  // by KeyOf(), once there are more than a few
};

// False for lists and dicts and what holds them, and for tuples of tuples, which share their parts
// and could be endless work to hash.
bool Hashable(const Value& key);

struct ViewObject : Object {
  enum class Part { kKeys, kValues, kItems };
  Value dict;
  Part part = Part::kKeys;
  Value At(size_t i) const;
};

struct IteratorObject : Object {
  // Puts the next value into *next, or answers false at the end.
  std::function<absl::StatusOr<bool>(Runtime&, Value* next)> next;
};

struct NamespaceObject : Object {
  std::vector<std::pair<std::string, Value>> attributes;
  const Value* Find(std::string_view name) const;
  void Set(std::string_view name, Value value);
};

using NativeFunction = absl::StatusOr<Value> (*)(Runtime&, const Value& self, const Arguments&);

struct FunctionObject : Object {
  std::string name;
  NativeFunction call = nullptr;
  Value self;  // what a method is bound to; missing for a plain function
};

// A macro with the frame it was defined in; the frame belongs to the rendering.
struct MacroObject : Object {
  const MacroDef* def = nullptr;
  Frame* closure = nullptr;
};

// `loop`. Reads ahead by one item where a template asks for what comes next.
struct LoopObject : Object {
  Value iterable;
  Value iterator;
  int64_t index0 = -1;
  std::optional<int64_t> length;
  bool peeked = false;
  Value ahead;  // valid while peeked; missing at the end
  Value current;
  Value previous;
  Value last_changed;
  bool closed = false;  // the loop has ended: holds nothing any more, nor ever will

  absl::StatusOr<bool> Next(Runtime& runtime, Value* item);
  absl::StatusOr<Value> Peek(Runtime& runtime);
  absl::StatusOr<int64_t> Length(Runtime& runtime);
  void Close();  // drops what it holds when the loop has ended
};

struct CyclerObject : Object {
  std::vector<Value> items;
  size_t position = 0;
};

struct JoinerObject : Object {
  Value separator;
  bool used = false;
};

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_OBJECTS_H_
