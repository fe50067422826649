// The tests behind `is`.
#include <initializer_list>
#include <string>
#include <utility>

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/attributes.h"
#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/compare.h"
#include "engine/text/jinja/iteration.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/jinja/text_form.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

using Result = absl::StatusOr<Value>;

// Tests that only look at the kind of value.
template <bool (*test)(const Value&)>
Result IsKind(Runtime&, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "test", {}, 0).status());
  return Value::Bool(test(self));
}

bool Defined(const Value& v) { return !v.is_undefined(); }
bool Undefined(const Value& v) { return v.is_undefined(); }
bool None(const Value& v) { return v.is_none(); }
bool Boolean(const Value& v) { return v.is(Kind::kBool); }
bool True(const Value& v) { return v.is(Kind::kBool) && v.bool_value(); }
bool False(const Value& v) { return v.is(Kind::kBool) && !v.bool_value(); }
bool Integer(const Value& v) { return v.is(Kind::kInt); }
bool Float(const Value& v) { return v.is(Kind::kFloat); }
bool Number(const Value& v) { return v.is_number(); }
bool String(const Value& v) { return v.is_string(); }
bool Mapping(const Value& v) { return v.is(Kind::kDict); }
bool Escaped(const Value& v) { return v.is_string() && v.string().markup; }
bool Iterable(const Value& v) { return IsIterable(v) || v.is(Kind::kLoop); }
// What has a length and items; an undefined value has both, to jinja2.
bool Sequence(const Value& v) {
  return v.is_string() || v.is_sequence() || v.is(Kind::kDict) || v.is(Kind::kRange) ||
         v.is_undefined();
}
bool Callable(const Value& v) {
  return v.is(Kind::kFunction) || v.is(Kind::kMacro) || v.is(Kind::kJoiner) || v.is_undefined();
}

absl::StatusOr<bool> Divides(Runtime& runtime, const Value& value, const Value& divisor,
                             int64_t rest) {
  CHORUS_ASSIGN_OR_RETURN(const Value mod, Arithmetic(runtime, Op::kMod, value, divisor));
  return Equal(runtime, mod, Value::Int(rest));
}

template <int rest>
Result Parity(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "odd or even", {}, 0).status());
  CHORUS_ASSIGN_OR_RETURN(const bool answer, Divides(runtime, self, Value::Int(2), rest));
  return Value::Bool(answer);
}

Result DivisibleBy(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "divisibleby", {"num"}, 1));
  CHORUS_ASSIGN_OR_RETURN(const bool answer, Divides(runtime, self, args[0], 0));
  return Value::Bool(answer);
}

// "lower" and "upper" ask the text of the value.
template <bool upper>
Result Cased(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(std::string text, Str(runtime, self));
  return FindStringMethod(upper ? "isupper" : "islower")(runtime, Value::String(std::move(text)),
                                                         arguments);
}

template <NativeFunction (*find)(std::string_view)>
Result Exists(Runtime&, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "filter or test", {}, 0).status());
  return Value::Bool(self.is_string() && find(self.text()) != nullptr);
}

// Scalars that Python keeps only once are the same when equal; everything else must be one object.
Result SameAs(Runtime&, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "sameas", {"other"}, 1));
  const Value& other = args[0];
  if (self.kind() != other.kind()) return Value::Bool(false);
  if (self.is_none()) return Value::Bool(true);
  if (self.is_integral()) return Value::Bool(self.int_value() == other.int_value());
  if (self.is(Kind::kFloat)) return Value::Bool(false);
  return Value::Bool(self.object() == other.object());
}

Result In(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "in", {"seq"}, 1));
  CHORUS_ASSIGN_OR_RETURN(const bool answer, Contains(runtime, args[0], self));
  return Value::Bool(answer);
}

template <Comparison comparison>
Result Compare(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_ASSIGN_OR_RETURN(const auto args, Bind(arguments, "comparison", {""}, 1));
  const Value& other = args[0];
  bool answer = false;
  if constexpr (comparison == Comparison::kEq || comparison == Comparison::kNe) {
    CHORUS_ASSIGN_OR_RETURN(answer, Equal(runtime, self, other));
    if (comparison == Comparison::kNe) answer = !answer;
  } else if constexpr (comparison == Comparison::kLt) {
    CHORUS_ASSIGN_OR_RETURN(answer, Less(runtime, self, other));
  } else if constexpr (comparison == Comparison::kLe) {
    CHORUS_ASSIGN_OR_RETURN(answer, LessOrEqual(runtime, self, other));
  } else if constexpr (comparison == Comparison::kGt) {
    CHORUS_ASSIGN_OR_RETURN(answer, Less(runtime, other, self, ">"));
  } else {
    CHORUS_ASSIGN_OR_RETURN(answer, LessOrEqual(runtime, other, self, ">="));
  }
  return Value::Bool(answer);
}

constexpr NamedFunction kTests[] = {
    {"boolean", IsKind<Boolean>},
    {"callable", IsKind<Callable>},
    {"defined", IsKind<Defined>},
    {"divisibleby", DivisibleBy},
    {"escaped", IsKind<Escaped>},
    {"even", Parity<0>},
    {"false", IsKind<False>},
    {"filter", Exists<FindFilter>},
    {"float", IsKind<Float>},
    {"in", In},
    {"integer", IsKind<Integer>},
    {"iterable", IsKind<Iterable>},
    {"lower", Cased<false>},
    {"mapping", IsKind<Mapping>},
    {"none", IsKind<None>},
    {"number", IsKind<Number>},
    {"odd", Parity<1>},
    {"sameas", SameAs},
    {"sequence", IsKind<Sequence>},
    {"string", IsKind<String>},
    {"test", Exists<FindTest>},
    {"true", IsKind<True>},
    {"undefined", IsKind<Undefined>},
    {"upper", Cased<true>},
    {"!=", Compare<Comparison::kNe>},
    {"<", Compare<Comparison::kLt>},
    {"<=", Compare<Comparison::kLe>},
    {"==", Compare<Comparison::kEq>},
    {">", Compare<Comparison::kGt>},
    {">=", Compare<Comparison::kGe>},
    {"eq", Compare<Comparison::kEq>},
    {"equalto", Compare<Comparison::kEq>},
    {"ge", Compare<Comparison::kGe>},
    {"greaterthan", Compare<Comparison::kGt>},
    {"gt", Compare<Comparison::kGt>},
    {"le", Compare<Comparison::kLe>},
    {"lessthan", Compare<Comparison::kLt>},
    {"lt", Compare<Comparison::kLt>},
    {"ne", Compare<Comparison::kNe>},
};

}  // namespace

NativeFunction FindTest(std::string_view name) { return FindIn(kTests, name); }

NativeFunction FindFilter(std::string_view name) {
  for (const auto find : {FindTextFilter, FindMarkupFilter, FindNumberFilter, FindSequenceFilter,
                          FindOrderFilter, FindSelectFilter}) {
    if (const NativeFunction filter = find(name); filter != nullptr) return filter;
  }
  return nullptr;
}

}  // namespace chorus::jinja
