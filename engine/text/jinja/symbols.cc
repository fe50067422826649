#include "engine/text/jinja/symbols.h"

#include <algorithm>
#include <utility>

namespace chorus::jinja {

bool Symbols::Knows(const std::string& name) const {
  return known_.contains(name) || (base_ != nullptr && base_->Knows(name));
}

bool Symbols::Stores(const std::string& name) const {
  return stores_.contains(name) || (base_ != nullptr && base_->Stores(name));
}

std::optional<Slot> Symbols::Find(const std::string& name) const {
  int hops = 0;
  for (const Symbols* scope = this; scope != nullptr; scope = scope->parent_, ++hops) {
    if (scope->Knows(name)) return Slot{.hops = hops, .index = scope->indices_->at(name)};
  }
  return std::nullopt;
}

int Symbols::Define(const std::string& name, std::optional<Load> load) {
  const int next = static_cast<int>(indices_->size());
  const int index = indices_->emplace(name, next).first->second;
  known_.insert(name);
  if (load) load->index = index;
  loads_[index] = std::move(load);
  return index;
}

int Symbols::DeclareParameter(const std::string& name) {
  stores_.insert(name);
  return Define(name, std::nullopt);
}

void Symbols::Read(const std::string& name) {
  if (!Find(name)) Define(name, Load{.from = Load::From::kContext, .name = name});
}

void Symbols::Store(const std::string& name) {
  stores_.insert(name);
  if (Knows(name)) return;
  const auto outer = parent_ != nullptr ? parent_->Find(name) : std::nullopt;
  if (outer) {
    Define(name, Load{.from = Load::From::kOuter, .outer = {outer->hops + 1, outer->index}});
  } else {
    Define(name, Load{.from = Load::From::kNothing});
  }
}

void Symbols::Visit(const Expr& expr) {
  if (expr.op == Op::kName) Read(expr.name);
  for (const ExprPtr& arg : expr.args) {
    if (arg) Visit(*arg);
  }
}

void Symbols::VisitTarget(const Expr& target, bool as_parameter) {
  if (target.op == Op::kNamespaceRef) {
    Read(target.name);
  } else if (target.op == Op::kName) {
    if (as_parameter) {
      DeclareParameter(target.name);
    } else {
      Store(target.name);
    }
  }
  for (const ExprPtr& item : target.args) VisitTarget(*item, as_parameter);
}

void Symbols::Visit(const Block& block) {
  for (const auto& stmt : block) Visit(*stmt);
}

void Symbols::Visit(const Stmt& stmt) {
  if (const auto* print = std::get_if<Print>(&stmt.node)) {
    for (const ExprPtr& value : print->values) Visit(*value);
  } else if (const auto* branch = std::get_if<If>(&stmt.node)) {
    VisitIf(*branch);
  } else if (const auto* loop = std::get_if<For>(&stmt.node)) {
    Visit(*loop->iterable);
  } else if (const auto* set = std::get_if<Set>(&stmt.node)) {
    Visit(*set->value);
    VisitTarget(*set->target, /*as_parameter=*/false);
  } else if (const auto* set_block = std::get_if<SetBlock>(&stmt.node)) {
    VisitTarget(*set_block->target, /*as_parameter=*/false);
  } else if (const auto* macro = std::get_if<Macro>(&stmt.node)) {
    Store(macro->def->name);
  } else if (const auto* call = std::get_if<CallBlock>(&stmt.node)) {
    Visit(*call->call);
  } else if (const auto* filter = std::get_if<FilterBlock>(&stmt.node)) {
    Visit(*filter->filter);
  } else if (const auto* with = std::get_if<With>(&stmt.node)) {
    for (const ExprPtr& value : with->values) Visit(*value);
  }
}

// A name that only some branch assigns starts from the outer scope's or the context's value.
void Symbols::VisitIf(const If& node) {
  std::vector<Symbols> branches;
  const auto visit = [&](const Block& block) {
    Symbols branch(parent_);
    branch.base_ = this;
    branch.indices_ = indices_;
    branch.Visit(block);
    branches.push_back(std::move(branch));
  };
  // An elif's condition belongs to the branches, the first condition to what is around.
  Visit(*node.branches.front().first);
  visit(node.branches.front().second);
  {
    Symbols elifs(parent_);
    elifs.base_ = this;
    elifs.indices_ = indices_;
    for (size_t i = 1; i < node.branches.size(); ++i) {
      elifs.Visit(*node.branches[i].first);
      elifs.Visit(node.branches[i].second);
    }
    branches.push_back(std::move(elifs));
  }
  visit(node.otherwise);

  std::set<std::string> assigned;
  for (const Symbols& branch : branches) {
    for (const std::string& name : branch.stores_) {
      if (!Stores(name)) assigned.insert(name);
    }
  }
  for (Symbols& branch : branches) {
    known_.insert(branch.known_.begin(), branch.known_.end());
    stores_.insert(branch.stores_.begin(), branch.stores_.end());
    for (auto& [slot, load] : branch.loads_) loads_[slot] = load;
  }
  for (const std::string& name : assigned) {
    const auto outer = parent_ != nullptr ? parent_->Find(name) : std::nullopt;
    if (outer) {
      Define(name, Load{.from = Load::From::kOuter, .outer = {outer->hops + 1, outer->index}});
    } else {
      Define(name, Load{.from = Load::From::kContext, .name = name});
    }
  }
}

Scope Symbols::Finish() const {
  Scope scope{.num_slots = static_cast<int>(indices_->size())};
  for (const auto& [slot, load] : loads_) {
    if (load) scope.loads.push_back(*load);
  }
  return scope;
}

}  // namespace chorus::jinja
