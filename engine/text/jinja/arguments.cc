#include "engine/text/jinja/arguments.h"

#include <algorithm>

#include "engine/text/jinja/concat.h"

namespace chorus::jinja {

absl::StatusOr<std::vector<Value>> Bind(const Arguments& arguments, std::string_view function,
                                        std::initializer_list<std::string_view> names,
                                        size_t required) {
  if (arguments.positional.size() > names.size()) {
    return TypeError(Cat(function, "() takes at most ", names.size(), " arguments, got ",
                         arguments.positional.size()));
  }
  std::vector<Value> bound = arguments.positional;
  bound.resize(names.size());
  for (const auto& [name, value] : arguments.keyword) {
    const auto* const found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      return TypeError(Cat(function, "() got an unexpected keyword argument '", name, "'"));
    }
    Value& slot = bound[static_cast<size_t>(found - names.begin())];
    if (!slot.missing()) {
      return TypeError(Cat(function, "() got multiple values for argument '", name, "'"));
    }
    slot = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (bound[i].missing()) {
      return TypeError(Cat(function, "() misses its argument '", *(names.begin() + i), "'"));
    }
  }
  return bound;
}

absl::Status TypeError(std::string_view message) {
  return absl::InvalidArgumentError(std::string(message));
}

absl::Status TypeErrorFor(const Value& value, std::string_view message) {
  if (value.is_undefined()) return TypeError(value.as<UndefinedObject>().why);
  return TypeError(message);
}

absl::StatusOr<int64_t> AsInt(const Value& value, std::string_view what) {
  if (value.is_integral()) return value.int_value();
  return TypeErrorFor(value, Cat(what, " must be an integer, got ", TypeName(value)));
}

absl::StatusOr<std::string_view> AsString(const Value& value, std::string_view what) {
  if (value.is_string()) return std::string_view(value.text());
  return TypeErrorFor(value, Cat(what, " must be a string, got ", TypeName(value)));
}

}  // namespace chorus::jinja
