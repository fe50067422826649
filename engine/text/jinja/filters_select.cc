// map, select, reject, selectattr, rejectattr. As in jinja2 they are generators: nothing happens
// before somebody reads them, and they can be read once.
#include <string>
#include <utility>
#include <vector>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/item_path.h"
#include "engine/text/jinja/iteration.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

using Result = absl::StatusOr<Value>;

// What is done with each item: a filter with its arguments, or an attribute looked up.
struct Mapping {
  NativeFunction filter = nullptr;
  Arguments arguments;
  ItemPath path;
  Value otherwise;
};

absl::StatusOr<Mapping> MakeMapping(const Arguments& arguments) {
  Mapping mapping;
  const bool by_attribute = arguments.positional.empty() && !arguments.keyword.empty();
  if (by_attribute) {
    CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "map", {"attribute", "default"}, 1));
    CHORUS_ASSIGN_OR_RETURN(mapping.path, ItemPath::Parse(args[0]));
    mapping.otherwise = args[1];
    return mapping;
  }
  if (arguments.positional.empty()) return TypeError("map requires a filter argument");
  CHORUS_ASSIGN_OR_RETURN(const std::string_view name,
                          AsString(arguments.positional[0], "map: the filter's name"));
  mapping.filter = FindFilter(name);
  if (mapping.filter == nullptr) return TypeError(Cat("No filter named '", name, "'."));
  mapping.arguments = arguments;
  mapping.arguments.positional.erase(mapping.arguments.positional.begin());
  return mapping;
}

Result Map(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!Truth(self)) return MakeIterator(runtime, std::vector<Value>());
  CHORUS_ASSIGN_OR_RETURN(const Mapping mapping, MakeMapping(arguments));
  CHORUS_ASSIGN_OR_RETURN(const Value source, MakeIterator(runtime, self));
  const auto next = [source, mapping](Runtime& r, Value* item) -> absl::StatusOr<bool> {
    CHORUS_ASSIGN_OR_RETURN(const bool some, Next(r, source, item));
    if (!some) return false;
    if (mapping.filter != nullptr) {
      CHORUS_ASSIGN_OR_RETURN(*item, mapping.filter(r, *item, mapping.arguments));
    } else {
      CHORUS_ASSIGN_OR_RETURN(*item, mapping.path.Get(r, *item, mapping.otherwise));
    }
    return true;
  };
  return runtime.Iterator(next, source.depth());
}

// What an item is asked: a test with its arguments, or whether it is true; of the item or a part of
// it.
struct Question {
  ItemPath path;
  NativeFunction test = nullptr;
  Arguments arguments;

  absl::StatusOr<bool> Ask(Runtime& runtime, const Value& item) const {
    CHORUS_ASSIGN_OR_RETURN(const Value part, path.Get(runtime, item));
    if (test == nullptr) return Truth(part);
    CHORUS_ASSIGN_OR_RETURN(const Value answer, test(runtime, part, arguments));
    return Truth(answer);
  }
};

absl::StatusOr<Question> MakeQuestion(const Arguments& arguments, bool of_attribute) {
  Question question;
  auto positional = arguments.positional;
  if (of_attribute) {
    if (positional.empty()) return TypeError("Missing parameter for attribute name");
    CHORUS_ASSIGN_OR_RETURN(question.path, ItemPath::Parse(positional.front()));
    positional.erase(positional.begin());
  }
  if (positional.empty()) return question;
  CHORUS_ASSIGN_OR_RETURN(const std::string_view name,
                          AsString(positional.front(), "select: the test's name"));
  question.test = FindTest(name);
  if (question.test == nullptr) return TypeError(Cat("No test named '", name, "'."));
  positional.erase(positional.begin());
  question.arguments = {.positional = std::move(positional), .keyword = arguments.keyword};
  return question;
}

template <bool wanted, bool of_attribute>
Result Select(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!Truth(self)) return MakeIterator(runtime, std::vector<Value>());
  CHORUS_ASSIGN_OR_RETURN(const Question question, MakeQuestion(arguments, of_attribute));
  CHORUS_ASSIGN_OR_RETURN(const Value source, MakeIterator(runtime, self));
  const auto next = [source, question](Runtime& r, Value* item) -> absl::StatusOr<bool> {
    while (true) {
      CHORUS_ASSIGN_OR_RETURN(const bool some, Next(r, source, item));
      if (!some) return false;
      CHORUS_ASSIGN_OR_RETURN(const bool answer, question.Ask(r, *item));
      if (answer == wanted) return true;
    }
  };
  return runtime.Iterator(next, source.depth());
}

constexpr NamedFunction kFilters[] = {
    {"map", Generator<Map>},
    {"reject", Generator<Select<false, false>>},
    {"rejectattr", Generator<Select<false, true>>},
    {"select", Generator<Select<true, false>>},
    {"selectattr", Generator<Select<true, true>>},
};

}  // namespace

NativeFunction FindSelectFilter(std::string_view name) { return FindIn(kFilters, name); }

}  // namespace chorus::jinja
