// The values a template computes with: Python's, as far as Jinja templates can see them.
//
// A Value is small and cheap to copy: scalars lie inside, everything else is a shared object.
// Strings, lists, tuples and dicts never change once made (the sandbox forbids it), so sharing is
// invisible. What does change (namespaces, iterators, `loop`, cycler) belongs to one rendering and
// one thread.
//
// Nesting is limited at construction (`depth`), so that destroying, comparing and printing a value
// never recurse further than that.
#ifndef CHORUS_ENGINE_TEXT_JINJA_VALUE_H_
#define CHORUS_ENGINE_TEXT_JINJA_VALUE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chorus::jinja {

enum class Kind : uint8_t {
  kMissing,    // an empty slot or an argument not given; no expression yields it
  kUndefined,  // Jinja's Undefined
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kView,  // dict.keys(), .values(), .items()
  kRange,
  kIterator,  // generators: walked once
  kNamespace,
  kFunction,  // functions, bound methods, filters' helpers
  kMacro,
  kLoop,
  kCycler,
  kJoiner,
};

struct Object {
  virtual ~Object() = default;
  int depth = 1;  // 1 + the deepest object inside
};

class Value;
struct StringObject;
struct SequenceObject;
struct DictObject;

class Value {
 public:
  Value() = default;  // missing
  static Value None() { return Value(Kind::kNone); }
  static Value Bool(bool value);
  static Value Int(int64_t value);
  static Value Float(double value);
  // `markup`: text that |safe or |escape has marked as HTML.
  static Value String(std::string text, bool markup = false);
  static Value List(std::vector<Value> items);
  static Value Tuple(std::vector<Value> items);
  // `why`: what an operation on it will complain of, such as "'x' is undefined".
  static Value Undefined(std::string why);
  template <class T>
  static Value Of(Kind kind, std::shared_ptr<T> object) {
    Value value(kind);
    value.object_ = std::move(object);
    return value;
  }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool missing() const { return kind_ == Kind::kMissing; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }

  // REQUIRES: the kind each name says.
  bool bool_value() const { return scalar_.integer != 0; }
  int64_t int_value() const { return scalar_.integer; }  // kInt and kBool
  double float_value() const { return scalar_.real; }    // kFloat only
  double number() const;                                 // any number, as a double
  const std::string& text() const;                       // kString
  const StringObject& string() const;                    // kString
  const std::vector<Value>& items() const;               // kList, kTuple
  const DictObject& dict() const;                        // kDict
  template <class T>
  T& as() const {
    return static_cast<T&>(*object_);
  }

  const Object* object() const { return object_.get(); }
  int depth() const { return object_ ? object_->depth : 0; }

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kMissing;
  union {
    int64_t integer;
    double real;
  } scalar_ = {0};
  std::shared_ptr<Object> object_;
};

struct UndefinedObject : Object {
  std::string why;
};

struct StringObject : Object {
  std::string text;    // UTF-8
  int64_t length = 0;  // in code points
  bool markup = false;
  bool ascii() const { return length == static_cast<int64_t>(text.size()); }
};

struct SequenceObject : Object {
  std::vector<Value> items;
  bool group = false;  // a tuple of groupby(): also answers to .grouper and .list
};

struct RangeObject : Object {
  int64_t start = 0;
  int64_t step = 1;
  int64_t length = 0;
  int64_t stop = 0;              // as written, for printing
  int64_t At(int64_t i) const {  // wraps instead of overflowing past the last
    return static_cast<int64_t>(static_cast<uint64_t>(start) +
                                static_cast<uint64_t>(i) * static_cast<uint64_t>(step));
  }
};

// Python's name for the type: "str", "dict", ….
std::string_view TypeName(const Value& value);

// Python's bool(value).
bool Truth(const Value& value);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_VALUE_H_
