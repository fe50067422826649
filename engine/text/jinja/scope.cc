#include "engine/text/jinja/scope.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/symbols.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

absl::Status Fail(int line, std::string_view message) {
  return absl::InvalidArgumentError(Cat("line ", line, ": ", message));
}

// Whether `name` is read anywhere inside, scopes inside included.
bool Reads(const Expr& expr, std::string_view name) {
  if (expr.op == Op::kName && expr.name == name) return true;
  return std::any_of(expr.args.begin(), expr.args.end(),
                     [&](const ExprPtr& arg) { return arg != nullptr && Reads(*arg, name); });
}

bool Reads(const Block& block, std::string_view name);

struct ReadsVisitor {
  std::string_view name;

  bool In(const ExprPtr& expr) const { return expr != nullptr && Reads(*expr, name); }
  bool In(const std::vector<ExprPtr>& exprs) const {
    return std::any_of(exprs.begin(), exprs.end(), [this](const ExprPtr& e) { return In(e); });
  }
  bool operator()(const Text&) const { return false; }
  bool operator()(const Break&) const { return false; }
  bool operator()(const Continue&) const { return false; }
  bool operator()(const Print& node) const { return In(node.values); }
  bool operator()(const If& node) const {
    return Reads(node.otherwise, name) ||
           std::any_of(node.branches.begin(), node.branches.end(), [this](const auto& branch) {
             return In(branch.first) || Reads(branch.second, name);
           });
  }
  bool operator()(const For& node) const {
    return In(node.iterable) || In(node.test) || Reads(node.body, name) ||
           Reads(node.otherwise, name);
  }
  bool operator()(const Set& node) const { return In(node.value); }
  bool operator()(const SetBlock& node) const { return In(node.filter) || Reads(node.body, name); }
  bool operator()(const Macro& node) const {
    return In(node.def->defaults) || Reads(node.def->body, name);
  }
  bool operator()(const CallBlock& node) const {
    return In(node.call) || In(node.caller->defaults) || Reads(node.caller->body, name);
  }
  bool operator()(const FilterBlock& node) const {
    return In(node.filter) || Reads(node.body, name);
  }
  bool operator()(const With& node) const { return In(node.values) || Reads(node.body, name); }
  bool operator()(const Generation& node) const { return Reads(node.body, name); }
};

bool Reads(const Block& block, std::string_view name) {
  return std::any_of(block.begin(), block.end(), [name](const auto& stmt) {
    return std::visit(ReadsVisitor{name}, stmt->node);
  });
}

ExprPtr CloneTarget(const Expr& target) {
  auto clone = std::make_unique<Expr>();
  clone->op = target.op;
  clone->line = target.line;
  clone->name = target.name;
  for (const ExprPtr& item : target.args) clone->args.push_back(CloneTarget(*item));
  return clone;
}

// Walks the code of one scope. `soft`: inside a condition, where unknown filters may stand.
class Resolver {
 public:
  explicit Resolver(const Symbols& symbols, int loops) : symbols_(symbols), loops_(loops) {}

  absl::Status Resolve(Block& block, bool soft) {
    for (const auto& stmt : block) {
      line_ = stmt->line;
      soft_ = soft;
      CHORUS_RETURN_IF_ERROR(std::visit(*this, stmt->node));
    }
    return absl::OkStatus();
  }

  absl::Status Resolve(Expr& expr, bool soft) {
    if (expr.op == Op::kName || expr.op == Op::kNamespaceRef) {
      const auto slot = symbols_.Find(expr.name);
      if (!slot) return Fail(expr.line, Cat("cannot resolve '", expr.name, "'"));
      expr.slot = *slot;
    } else if (expr.op == Op::kFilter || expr.op == Op::kTest) {
      const bool is_filter = expr.op == Op::kFilter;
      expr.function = is_filter ? FindFilter(expr.name) : FindTest(expr.name);
      if (expr.function == nullptr && !soft) {
        return Fail(expr.line,
                    Cat("No ", is_filter ? "filter" : "test", " named '", expr.name, "'."));
      }
    }
    soft = soft || expr.op == Op::kCond;
    for (const ExprPtr& arg : expr.args) {
      if (arg) CHORUS_RETURN_IF_ERROR(Resolve(*arg, soft));
    }
    return absl::OkStatus();
  }

  absl::Status ResolveTarget(Expr& target) {
    if (loops_ > 0 && target.op == Op::kName && target.name == "loop") {
      return Fail(target.line, "Can't assign to special loop variable in for-loop target");
    }
    if (target.op != Op::kTuple) return Resolve(target, /*soft=*/false);
    for (const ExprPtr& item : target.args) CHORUS_RETURN_IF_ERROR(ResolveTarget(*item));
    return absl::OkStatus();
  }

  absl::Status operator()(Text&) { return absl::OkStatus(); }
  absl::Status operator()(Break&) { return absl::OkStatus(); }
  absl::Status operator()(Continue&) { return absl::OkStatus(); }

  absl::Status operator()(Print& node) {
    for (const ExprPtr& value : node.values) CHORUS_RETURN_IF_ERROR(Resolve(*value, soft_));
    return absl::OkStatus();
  }

  absl::Status operator()(If& node) {
    for (auto& [condition, body] : node.branches) {
      CHORUS_RETURN_IF_ERROR(Resolve(*condition, /*soft=*/true));
      CHORUS_RETURN_IF_ERROR(Resolve(body, /*soft=*/true));
    }
    return Resolve(node.otherwise, /*soft=*/true);
  }

  absl::Status operator()(For& node) {
    CHORUS_RETURN_IF_ERROR(Resolve(*node.iterable, soft_));
    {
      Symbols inner(&symbols_);
      if (Reads(node.body, "loop")) node.loop_slot = inner.DeclareParameter("loop");
      inner.VisitTarget(*node.target, /*as_parameter=*/true);
      inner.Visit(node.body);
      node.body_scope = inner.Finish();
      Resolver resolver(inner, loops_ + 1);
      CHORUS_RETURN_IF_ERROR(resolver.ResolveTarget(*node.target));
      CHORUS_RETURN_IF_ERROR(resolver.Resolve(node.body, /*soft=*/false));
    }
    if (node.test) {
      node.test_target = CloneTarget(*node.target);
      Symbols inner(&symbols_);
      inner.VisitTarget(*node.test_target, /*as_parameter=*/true);
      inner.Visit(*node.test);
      node.test_scope = inner.Finish();
      Resolver resolver(inner, loops_ + 1);
      CHORUS_RETURN_IF_ERROR(resolver.ResolveTarget(*node.test_target));
      CHORUS_RETURN_IF_ERROR(resolver.Resolve(*node.test, /*soft=*/false));
    }
    return ResolveInner(node.otherwise, loops_ + 1, &node.otherwise_scope);
  }

  absl::Status operator()(Set& node) {
    CHORUS_RETURN_IF_ERROR(Resolve(*node.value, soft_));
    return ResolveTarget(*node.target);
  }

  absl::Status operator()(SetBlock& node) {
    Symbols inner(&symbols_);
    inner.Visit(node.body);
    if (node.filter) inner.Visit(*node.filter);
    node.scope = inner.Finish();
    Resolver resolver(inner, loops_);
    CHORUS_RETURN_IF_ERROR(resolver.Resolve(node.body, /*soft=*/false));
    if (node.filter) CHORUS_RETURN_IF_ERROR(resolver.Resolve(*node.filter, /*soft=*/false));
    return ResolveTarget(*node.target);
  }

  absl::Status operator()(Macro& node) {
    node.slot = *symbols_.Find(node.def->name);
    return ResolveMacro(*node.def);
  }

  absl::Status operator()(CallBlock& node) {
    CHORUS_RETURN_IF_ERROR(ResolveMacro(*node.caller));
    return Resolve(*node.call, soft_);
  }

  absl::Status operator()(FilterBlock& node) {
    Symbols inner(&symbols_);
    inner.Visit(*node.filter);
    inner.Visit(node.body);
    node.scope = inner.Finish();
    Resolver resolver(inner, loops_);
    CHORUS_RETURN_IF_ERROR(resolver.Resolve(node.body, /*soft=*/false));
    return resolver.Resolve(*node.filter, /*soft=*/false);
  }

  absl::Status operator()(With& node) {
    for (const ExprPtr& value : node.values) CHORUS_RETURN_IF_ERROR(Resolve(*value, soft_));
    Symbols inner(&symbols_);
    for (const ExprPtr& target : node.targets) inner.VisitTarget(*target, /*as_parameter=*/true);
    inner.Visit(node.body);
    node.scope = inner.Finish();
    Resolver resolver(inner, loops_);
    for (const ExprPtr& target : node.targets) {
      CHORUS_RETURN_IF_ERROR(resolver.Resolve(*target, /*soft=*/false));
    }
    return resolver.Resolve(node.body, /*soft=*/false);
  }

  absl::Status operator()(Generation& node) { return ResolveInner(node.body, loops_, &node.scope); }

 private:
  absl::Status ResolveInner(Block& block, int loops, Scope* scope) {
    Symbols inner(&symbols_);
    inner.Visit(block);
    *scope = inner.Finish();
    return Resolver(inner, loops).Resolve(block, /*soft=*/false);
  }

  absl::Status ResolveMacro(MacroDef& def) {
    Symbols inner(&symbols_);
    for (const std::string& name : def.parameters) {
      def.parameter_slots.push_back(inner.DeclareParameter(name));
    }
    if (Reads(def.body, "caller")) {
      if (!def.explicit_caller) {
        def.caller_slot = inner.DeclareParameter("caller");
      } else if (CallerIndex(def) + def.defaults.size() < def.parameters.size()) {
        return Fail(line_, "the special \"caller\" argument must be omitted or be given a default");
      }
    }
    const auto declare = [&](const char* name) {
      const bool parameter =
          std::find(def.parameters.begin(), def.parameters.end(), name) != def.parameters.end();
      return !parameter && Reads(def.body, name) ? inner.DeclareParameter(name) : -1;
    };
    def.kwargs_slot = declare("kwargs");
    def.varargs_slot = declare("varargs");
    for (const ExprPtr& value : def.defaults) inner.Visit(*value);
    inner.Visit(def.body);
    def.scope = inner.Finish();
    Resolver resolver(inner, loops_);
    for (const ExprPtr& value : def.defaults) {
      CHORUS_RETURN_IF_ERROR(resolver.Resolve(*value, /*soft=*/false));
    }
    return resolver.Resolve(def.body, /*soft=*/false);
  }

  static size_t CallerIndex(const MacroDef& def) {
    return static_cast<size_t>(std::find(def.parameters.begin(), def.parameters.end(), "caller") -
                               def.parameters.begin());
  }

  const Symbols& symbols_;
  const int loops_;  // loops around, for the ban on assigning `loop`
  int line_ = 1;
  bool soft_ = false;
};

}  // namespace

absl::Status ResolveNames(Program* program) {
  Symbols symbols(nullptr);
  symbols.Visit(program->body);
  program->scope = symbols.Finish();
  return Resolver(symbols, 0).Resolve(program->body, /*soft=*/false);
}

}  // namespace chorus::jinja
