// The parsed template. Expressions are one kind of node whose operands lie in `args`, as listed
// with each Op; statements are a variant. The parser makes the nodes, the scoping pass (scope.h)
// fills in where each name lives and which filter or test is meant; after that nothing changes.
//
// `depth` of an expression is limited by the parser, and so is the nesting of statements: passes
// over the tree may recurse.
#ifndef CHORUS_ENGINE_TEXT_JINJA_AST_H_
#define CHORUS_ENGINE_TEXT_JINJA_AST_H_

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/jinja.h"
#include "engine/text/jinja/value.h"

namespace chorus::jinja {

enum class Op {
  kConst,    // constant
  kName,     // name
  kTuple,    // items…
  kList,     // items…
  kDict,     // key, value, key, value…
  kCond,     // then, condition, otherwise (null: undefined)
  kOr,       // left, right
  kAnd,      // left, right
  kNot,      // operand
  kCompare,  // first, then one operand for each of `compares`
  kAdd,      // left, right; likewise the five below
  kSub,
  kMul,
  kDiv,
  kFloorDiv,
  kMod,
  kPow,
  kConcat,        // parts…
  kNegative,      // operand
  kPositive,      // operand
  kAttribute,     // object; name
  kItem,          // object, subscript
  kSlice,         // object, start, stop, step (null where left out)
  kCall,          // callee, then arguments
  kFilter,        // subject (null: the block's text), then arguments; name
  kTest,          // subject, then arguments; name
  kNamespaceRef,  // only as a target: name.attribute
};

enum class Comparison { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

// Where a variable lives: `hops` frames up from the frame of the code that names it.
struct Slot {
  int hops = 0;
  int index = -1;
};

struct Expr {
  Op op = Op::kConst;
  int line = 1;
  int depth = 1;
  std::string name;
  std::string attribute;
  Value constant;
  std::vector<ExprPtr> args;
  std::vector<Comparison> compares;

  // kCall, kFilter, kTest. The arguments are: positional ones, one for each of `keywords`, then
  // `*star` and `**double_star` where given.
  std::vector<std::string> keywords;
  bool star = false;
  bool double_star = false;

  Slot slot;                          // kName, kNamespaceRef; filled in by the scoping pass
  NativeFunction function = nullptr;  // kFilter, kTest; null: not known, an error when it runs

  size_t num_positional() const {
    return args.size() - 1 - keywords.size() - (star ? 1 : 0) - (double_star ? 1 : 0);
  }
};

struct Stmt;
using Block = std::vector<std::unique_ptr<Stmt>>;

// How a frame's slots are filled when its code is entered.
struct Load {
  enum class From { kContext, kOuter, kNothing };
  From from = From::kNothing;
  int index = 0;
  std::string name;  // kContext
  Slot outer;        // kOuter: hops counted from the frame itself
};

// The variables of one frame: of the template, a loop's body, a macro, ….
struct Scope {
  int num_slots = 0;
  std::vector<Load> loads;
};

struct Text {
  std::string data;
};
struct Print {
  std::vector<ExprPtr> values;
};
struct If {
  std::vector<std::pair<ExprPtr, Block>> branches;
  Block otherwise;
};
struct For {
  ExprPtr target;
  ExprPtr iterable;
  ExprPtr test;  // may be null
  Block body;
  Block otherwise;
  Scope body_scope;
  Scope test_scope;
  Scope otherwise_scope;
  // The targets again, resolved in test_scope.
  ExprPtr test_target;
  int loop_slot = -1;  // of `loop` in body_scope
};
struct Set {
  ExprPtr target;
  ExprPtr value;
};
struct SetBlock {
  ExprPtr target;
  ExprPtr filter;  // a chain that starts at a null subject; may be null
  Block body;
  Scope scope;
};
struct MacroDef {
  std::string name;  // empty for the caller of a call block
  std::vector<std::string> parameters;
  std::vector<ExprPtr> defaults;  // of the last parameters
  Block body;
  Scope scope;
  std::vector<int> parameter_slots;
  // Slots of the names a body gets only when it uses them; -1: it does not.
  int caller_slot = -1;
  int kwargs_slot = -1;
  int varargs_slot = -1;
  bool explicit_caller = false;  // `caller` is among the parameters
};
struct Macro {
  std::unique_ptr<MacroDef> def;
  Slot slot;
};
struct CallBlock {
  ExprPtr call;
  std::unique_ptr<MacroDef> caller;
};
struct FilterBlock {
  ExprPtr filter;
  Block body;
  Scope scope;
};
struct With {
  std::vector<ExprPtr> targets;
  std::vector<ExprPtr> values;
  Block body;
  Scope scope;
};
struct Generation {  // transformers' mark around what the assistant says
  Block body;
  Scope scope;
};
struct Break {};
struct Continue {};

struct Stmt {
  int line = 1;
  std::variant<Text, Print, If, For, Set, SetBlock, Macro, CallBlock, FilterBlock, With, Generation,
               Break, Continue>
      node;
};

struct Program {
  Block body;
  Scope scope;
  Limits limits;
};

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_AST_H_
