// What filters, methods and operators need of a rendering in progress: its budget, its environment,
// and a way to call back into the template. One Runtime serves one rendering on one thread.
#ifndef CHORUS_ENGINE_TEXT_JINJA_RUNTIME_H_
#define CHORUS_ENGINE_TEXT_JINJA_RUNTIME_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/text/jinja/arguments.h"
#include "engine/text/jinja/jinja.h"
#include "engine/text/jinja/objects.h"

namespace chorus::jinja {

class Runtime {
 public:
  Runtime(const Limits& limits, const Template::Environment& environment)
      : limits_(limits), environment_(environment) {}
  virtual ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // ResourceExhausted when the rendering has used up what the limit allows.
  absl::Status Charge(int64_t steps);
  absl::Status ChargeBytes(int64_t bytes);  // before that much is made

  // New values, charged for; lists and tuples also for their nesting.
  absl::StatusOr<Value> String(std::string text, bool markup = false);
  absl::StatusOr<Value> List(std::vector<Value> items);
  absl::StatusOr<Value> Tuple(std::vector<Value> items);
  absl::StatusOr<Value> Dict(std::shared_ptr<DictObject> dict);
  absl::StatusOr<Value> Iterator(decltype(IteratorObject::next) next, int source_depth);
  absl::StatusOr<Value> Function(std::string name, NativeFunction call, Value self = Value());
  absl::StatusOr<Value> Namespace();  // empty
  absl::Status CheckDepth(int depth) const;

  // Calls whatever can be called.
  absl::StatusOr<Value> Call(const Value& callee, const Arguments& arguments);

  // Counts nested evaluations: every recursion that a template can drive holds one of these.
  class Nesting {
   public:
    explicit Nesting(Runtime* runtime) : runtime_(runtime) { ++runtime_->depth_; }
    ~Nesting() { --runtime_->depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    absl::Status Check() const;

   private:
    Runtime* const runtime_;
  };

  const Limits& limits() const { return limits_; }
  const Template::Environment& environment() const { return environment_; }

 protected:
  virtual absl::StatusOr<Value> CallMacro(const MacroObject& macro, const Arguments& arguments) = 0;

 private:
  const Limits limits_;
  const Template::Environment& environment_;
  int64_t steps_ = 0;
  int64_t created_bytes_ = 0;
  int depth_ = 0;
  // Namespaces can hold each other in circles; they are emptied when the rendering ends.
  std::vector<std::shared_ptr<NamespaceObject>> namespaces_;
};

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_RUNTIME_H_
