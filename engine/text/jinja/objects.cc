#include "engine/text/jinja/objects.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/text/jinja/concat.h"

namespace chorus::jinja {
namespace {

constexpr size_t kLinearSearch = 8;  // up to so many entries a scan beats the index

// A text that two keys share exactly when Python calls them equal.
std::string KeyOf(const Value& key) {
  switch (key.kind()) {
    case Kind::kString:
      return Cat("s", key.text());
    case Kind::kBool:
    case Kind::kInt:
      return Cat("i", key.int_value());
    case Kind::kFloat: {
      const double real = key.float_value();
      if (real == std::floor(real) && std::abs(real) < 9e18) {
        return Cat("i", static_cast<int64_t>(real));
      }
      uint64_t bits;
      std::memcpy(&bits, &real, sizeof(bits));
      return Cat("f", bits);
    }
    case Kind::kTuple: {
      std::string text = "t";
      for (const Value& item : key.items()) {
        const std::string part = KeyOf(item);
        Append(&text, part.size(), ":", part);
      }
      return text;
    }
    case Kind::kNone:
      return "n";
    case Kind::kMissing:
    case Kind::kUndefined:
      return "u";
    default:
      return Cat("o", reinterpret_cast<uintptr_t>(key.object()));
  }
}

}  // namespace

bool Hashable(const Value& key) {
  switch (key.kind()) {
    case Kind::kList:
    case Kind::kDict:
    case Kind::kView:
      return false;
    case Kind::kTuple:
      return std::all_of(key.items().begin(), key.items().end(), [](const Value& item) {
        return !item.is(Kind::kTuple) && Hashable(item);
      });
    default:
      return true;
  }
}

const Value* DictObject::Find(std::string_view key) const {
  if (entries.size() <= kLinearSearch) {
    for (const auto& [name, value] : entries) {
      if (name.is_string() && name.text() == key) return &value;
    }
    return nullptr;
  }
  const auto it = index_.find(Cat("s", key));
  return it == index_.end() ? nullptr : &entries[it->second].second;
}

const Value* DictObject::Find(const Value& key) const {
  if (key.is_string()) return Find(key.text());
  if (!Hashable(key)) return nullptr;
  const std::string wanted = KeyOf(key);
  if (entries.size() <= kLinearSearch) {
    for (const auto& [name, value] : entries) {
      if (!name.is_string() && KeyOf(name) == wanted) return &value;
    }
    return nullptr;
  }
  const auto it = index_.find(wanted);
  return it == index_.end() ? nullptr : &entries[it->second].second;
}

void DictObject::Set(Value key, Value value) {
  depth = std::max({depth, key.depth() + 1, value.depth() + 1});
  if (const Value* found = Find(key)) {
    *const_cast<Value*>(found) = std::move(value);
    return;
  }
  entries.emplace_back(std::move(key), std::move(value));
  if (entries.size() <= kLinearSearch) return;
  if (index_.empty()) {
    for (size_t i = 0; i < entries.size(); ++i) index_.emplace(KeyOf(entries[i].first), i);
  } else {
    index_.emplace(KeyOf(entries.back().first), entries.size() - 1);
  }
}

Value ViewObject::At(size_t i) const {
  const auto& [key, value] = dict.dict().entries[i];
  switch (part) {
    case Part::kKeys:
      return key;
    case Part::kValues:
      return value;
    case Part::kItems:
      break;
  }
  return Value::Tuple({key, value});
}

const Value* NamespaceObject::Find(std::string_view name) const {
  for (const auto& [attribute, value] : attributes) {
    if (attribute == name) return &value;
  }
  return nullptr;
}

void NamespaceObject::Set(std::string_view name, Value value) {
  for (auto& [attribute, held] : attributes) {
    if (attribute == name) {
      held = std::move(value);
      return;
    }
  }
  attributes.emplace_back(std::string(name), std::move(value));
}

}  // namespace chorus::jinja
