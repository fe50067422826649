// The names one scope knows while it is compiled, after jinja2's idtracking: see scope.h.
#ifndef CHORUS_ENGINE_TEXT_JINJA_SYMBOLS_H_
#define CHORUS_ENGINE_TEXT_JINJA_SYMBOLS_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/text/jinja/ast.h"

namespace chorus::jinja {

class Symbols {
 public:
  // `parent`: of the enclosing scope, or null; outlives this.
  explicit Symbols(const Symbols* parent)
      : parent_(parent), indices_(std::make_shared<absl::flat_hash_map<std::string, int>>()) {}

  // Reads `block` as the code of this scope, without the scopes inside it.
  void Visit(const Block& block);
  void Visit(const Expr& expr);  // every name it reads
  void VisitTarget(const Expr& target, bool as_parameter);

  void Store(const std::string& name);
  void Read(const std::string& name);
  int DeclareParameter(const std::string& name);  // its slot

  // Where code of this scope finds `name`; nullopt when no scope around knows it.
  std::optional<Slot> Find(const std::string& name) const;

  Scope Finish() const;

 private:
  void Visit(const Stmt& stmt);
  void VisitIf(const If& node);
  bool Knows(const std::string& name) const;
  bool Stores(const std::string& name) const;
  int Define(const std::string& name, std::optional<Load> load);

  const Symbols* parent_ = nullptr;
  const Symbols* base_ = nullptr;  // for a branch of an `if`: what was known before it
  std::shared_ptr<absl::flat_hash_map<std::string, int>>
      indices_;  // one slot a name; branches share
  std::set<std::string> known_;
  std::set<std::string> stores_;
  std::map<int, std::optional<Load>> loads_;  // by slot; nullopt: a parameter
};

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_SYMBOLS_H_
