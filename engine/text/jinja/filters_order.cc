// Filters that order and group: sort, dictsort, unique, groupby, min, max.
#include <utility>
#include <vector>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/compare.h"
#include "engine/text/jinja/item_path.h"
#include "engine/text/jinja/iteration.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

using Result = absl::StatusOr<Value>;

Result Sort(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args,
                          Bind(arguments, "sort", {"reverse", "case_sensitive", "attribute"}, 0));
  const bool case_sensitive = TruthOr(args[1], false);
  CHORUS_ASSIGN_OR_RETURN(const std::vector<ItemPath> paths, ItemPath::ParseList(args[2]));
  CHORUS_ASSIGN_OR_RETURN(std::vector<Value> items, ToVector(runtime, self));
  CHORUS_ASSIGN_OR_RETURN(items, Sorted(runtime, std::move(items), TruthOr(args[0], false),
                                        [&](const Value& item) -> absl::StatusOr<Value> {
                                          std::vector<Value> keys;
                                          for (const ItemPath& path : paths) {
                                            CHORUS_ASSIGN_OR_RETURN(Value key,
                                                                    path.Get(runtime, item));
                                            keys.push_back(case_sensitive ? key : IgnoreCase(key));
                                          }
                                          return runtime.List(std::move(keys));
                                        }));
  return runtime.List(std::move(items));
}

Result DictSort(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args,
                          Bind(arguments, "dictsort", {"case_sensitive", "by", "reverse"}, 0));
  std::string_view by = "key";
  if (!args[1].missing()) {
    CHORUS_ASSIGN_OR_RETURN(by, AsString(args[1], "dictsort: by"));
  }
  if (by != "key" && by != "value") {
    return TypeError("You can only sort by either \"key\" or \"value\"");
  }
  if (!self.is(Kind::kDict)) return TypeErrorFor(self, "dictsort: the subject must be a dict");
  std::vector<Value> pairs;
  for (const auto& [key, value] : self.dict().entries) {
    CHORUS_ASSIGN_OR_RETURN(Value pair, runtime.Tuple({key, value}));
    pairs.push_back(std::move(pair));
  }
  const size_t position = by == "key" ? 0 : 1;
  const bool case_sensitive = TruthOr(args[0], false);
  CHORUS_ASSIGN_OR_RETURN(pairs, Sorted(runtime, std::move(pairs), TruthOr(args[2], false),
                                        [&](const Value& pair) -> absl::StatusOr<Value> {
                                          const Value& key = pair.items()[position];
                                          return case_sensitive ? key : IgnoreCase(key);
                                        }));
  return runtime.List(std::move(pairs));
}

Result Unique(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args,
                          Bind(arguments, "unique", {"case_sensitive", "attribute"}, 0));
  CHORUS_ASSIGN_OR_RETURN(const ItemPath path, ItemPath::Parse(args[1]));
  const bool case_sensitive = TruthOr(args[0], false);
  DictObject seen;
  std::vector<Value> unique;
  CHORUS_RETURN_IF_ERROR(ForEach(runtime, self, [&](const Value& item) -> absl::StatusOr<bool> {
    CHORUS_ASSIGN_OR_RETURN(Value key, path.Get(runtime, item));
    if (!case_sensitive) key = IgnoreCase(key);
    if (!Hashable(key)) return TypeError("unique: items cannot be hashed");
    if (seen.Find(key) != nullptr) return true;
    seen.Set(std::move(key), Value::None());
    unique.push_back(item);
    return true;
  }));
  return MakeIterator(runtime, std::move(unique));
}

Result GroupBy(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(
      const auto args, Bind(arguments, "groupby", {"attribute", "default", "case_sensitive"}, 1));
  CHORUS_ASSIGN_OR_RETURN(const ItemPath path, ItemPath::Parse(args[0]));
  const bool case_sensitive = TruthOr(args[2], false);
  const auto key_of = [&](const Value& item) -> absl::StatusOr<Value> {
    CHORUS_ASSIGN_OR_RETURN(Value key, path.Get(runtime, item, args[1]));
    return case_sensitive ? key : IgnoreCase(key);
  };
  CHORUS_ASSIGN_OR_RETURN(std::vector<Value> items, ToVector(runtime, self));
  CHORUS_ASSIGN_OR_RETURN(items, Sorted(runtime, std::move(items), /*reverse=*/false, key_of));
  std::vector<Value> groups;
  for (size_t i = 0; i < items.size();) {
    CHORUS_ASSIGN_OR_RETURN(const Value key, key_of(items[i]));
    // The group's name keeps the case of its first item.
    CHORUS_ASSIGN_OR_RETURN(const Value grouper, path.Get(runtime, items[i], args[1]));
    std::vector<Value> members;
    while (i < items.size()) {
      CHORUS_ASSIGN_OR_RETURN(const Value other, key_of(items[i]));
      CHORUS_ASSIGN_OR_RETURN(const bool equal, Equal(runtime, key, other));
      if (!equal && !members.empty()) break;
      members.push_back(items[i++]);
    }
    CHORUS_ASSIGN_OR_RETURN(const Value list, runtime.List(std::move(members)));
    CHORUS_ASSIGN_OR_RETURN(const Value group, runtime.Tuple({grouper, list}));
    group.as<SequenceObject>().group = true;
    groups.push_back(group);
  }
  return runtime.List(std::move(groups));
}

template <bool largest>
Result Extreme(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, largest ? "max" : "min",
                                                {"case_sensitive", "attribute"}, 0));
  CHORUS_ASSIGN_OR_RETURN(const ItemPath path, ItemPath::Parse(args[1]));
  const bool case_sensitive = TruthOr(args[0], false);
  Value best;
  Value best_key;
  CHORUS_RETURN_IF_ERROR(ForEach(runtime, self, [&](const Value& item) -> absl::StatusOr<bool> {
    CHORUS_ASSIGN_OR_RETURN(Value key, path.Get(runtime, item));
    if (!case_sensitive) key = IgnoreCase(key);
    bool better = best.missing();
    if (!better) {
      CHORUS_ASSIGN_OR_RETURN(
          better, largest ? Less(runtime, best_key, key) : Less(runtime, key, best_key));
    }
    if (better) {
      best = item;
      best_key = std::move(key);
    }
    return true;
  }));
  return best.missing() ? Value::Undefined("No aggregated item, sequence was empty.") : best;
}

constexpr NamedFunction kFilters[] = {
    {"dictsort", DictSort},  {"groupby", GroupBy}, {"max", Extreme<true>},
    {"min", Extreme<false>}, {"sort", Sort},       {"unique", Generator<Unique>},
};

}  // namespace

NativeFunction FindOrderFilter(std::string_view name) { return FindIn(kFilters, name); }

}  // namespace chorus::jinja
