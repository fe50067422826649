// Runs a parsed template once.
//
// A Frame holds the variables of one scope while its code runs. Frames belong to the interpreter: a
// macro may outlive the code that defined it and still reads the frame it was defined in. A frame
// nobody can reach any more is used again.
#ifndef CHORUS_ENGINE_TEXT_JINJA_INTERPRETER_H_
#define CHORUS_ENGINE_TEXT_JINJA_INTERPRETER_H_

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/runtime.h"

namespace chorus::jinja {

struct Frame {
  Frame* parent = nullptr;
  std::vector<Value> slots;
  bool captured = false;  // a macro was defined here or further in
};

class Interpreter : public Runtime {
 public:
  // All three outlive it. `context` is a dict.
  Interpreter(const Program& program, const Value& context,
              const Template::Environment& environment);
  ~Interpreter() override;

  absl::StatusOr<std::string> Run();

 private:
  enum class Flow { kNext, kBreak, kContinue };

  // Statements: interpreter_statements.cc.
  absl::StatusOr<Flow> Execute(const Block& block, Frame& frame);
  absl::StatusOr<Flow> Execute(const Stmt& stmt, Frame& frame);
  absl::StatusOr<Flow> ExecuteIf(const If& node, Frame& frame);
  absl::StatusOr<Flow> ExecuteFor(const For& node, Frame& frame);
  absl::StatusOr<Flow> ExecuteLoop(const For& node, const std::shared_ptr<LoopObject>& loop,
                                   Frame& frame, bool* completed);
  absl::StatusOr<Flow> ExecuteSetBlock(const SetBlock& node, Frame& frame);
  absl::StatusOr<Flow> ExecuteFilterBlock(const FilterBlock& node, Frame& frame);
  absl::StatusOr<Flow> ExecuteWith(const With& node, Frame& frame);
  absl::StatusOr<Flow> ExecuteInner(const Block& block, const Scope& scope, Frame& frame);
  absl::Status ExecuteCallBlock(const CallBlock& node, Frame& frame);
  absl::StatusOr<Value> Filtered(const For& node, Value iterable, Frame& frame);
  absl::Status Assign(const Expr& target, const Value& value, Frame& frame);
  absl::Status CheckNamespaces(const Expr& target, Frame& frame);
  Value MakeMacro(const MacroDef& def, Frame& frame);
  absl::Status Write(std::string_view text);
  absl::Status WriteValue(const Value& value);

  // Macros: interpreter_macros.cc.
  absl::StatusOr<Value> CallMacro(const MacroObject& macro, const Arguments& arguments) override;
  absl::Status BindMacro(const MacroDef& def, const Arguments& arguments, Frame& frame);

  // Expressions: interpreter_expressions.cc.
  absl::StatusOr<Value> Evaluate(const Expr& expr, Frame& frame);
  absl::StatusOr<Value> EvaluateNode(const Expr& expr, Frame& frame);
  absl::StatusOr<Value> EvaluateName(const Expr& expr, Frame& frame);
  absl::StatusOr<std::vector<Value>> EvaluateAll(const Expr& expr, Frame& frame);
  absl::StatusOr<Value> EvaluateDict(const Expr& expr, Frame& frame);
  absl::StatusOr<Value> EvaluateCompare(const Expr& expr, Frame& frame);
  absl::StatusOr<bool> Compare(Comparison comparison, const Value& left, const Value& right);
  absl::StatusOr<Value> EvaluateConcat(const Expr& expr, Frame& frame);
  absl::StatusOr<Value> EvaluateSlice(const Expr& expr, Frame& frame);
  absl::StatusOr<Value> EvaluateCall(const Expr& expr, Frame& frame, const Value* caller);
  absl::StatusOr<Value> EvaluateFilter(const Expr& expr, Frame& frame, const Value* block_text);
  absl::StatusOr<Arguments> EvaluateArguments(const Expr& expr, Frame& frame);
  absl::Status AddKeyword(std::string_view name, Value value, Arguments* arguments);

  // Frames.
  Frame* Enter(const Scope& scope, Frame* parent);
  void FillSlots(const Scope& scope, Frame* frame);  // as the scope starts
  void Leave(Frame* frame);
  static int64_t FrameBytes(const Scope& scope) {
    return static_cast<int64_t>(sizeof(Frame) +
                                static_cast<size_t>(scope.num_slots) * sizeof(Value));
  }
  static Frame& At(Frame& frame, int hops);

  // Runs `body` with output going into the text that is returned.
  template <class Body>
  absl::StatusOr<std::string> Capture(Body body);

  const Program& program_;
  const Value& context_;
  std::deque<Frame> frames_;
  std::vector<Frame*> free_frames_;
  std::string* out_ = nullptr;
  int line_ = 1;  // of what is being run, for messages
};

template <class Body>
absl::StatusOr<std::string> Interpreter::Capture(Body body) {
  std::string text;
  std::string* const outer = std::exchange(out_, &text);
  const absl::Status status = body();
  out_ = outer;
  if (!status.ok()) return status;
  return text;
}

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_INTERPRETER_H_
