#include <memory>
#include <string>
#include <utility>

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/concat.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/jinja.h"
#include "engine/text/jinja/json.h"
#include "engine/text/jinja/parser.h"
#include "engine/text/jinja/scope.h"
#include "engine/text/jinja/unicode.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {

absl::StatusOr<Template> Template::Parse(std::string_view source, const Limits& limits) {
  if (static_cast<int64_t>(source.size()) > limits.max_source_bytes) {
    return absl::InvalidArgumentError(
        Cat("line 1: template has ", source.size(), " bytes, at most ", limits.max_source_bytes));
  }
  if (!IsValidUtf8(source)) {
    return absl::InvalidArgumentError("line 1: template is not valid UTF-8");
  }
  auto program = std::make_shared<Program>();
  program->limits = limits;
  CHORUS_ASSIGN_OR_RETURN(program->body, Parser(source, limits).Parse());
  CHORUS_RETURN_IF_ERROR(ResolveNames(program.get()));
  return Template(std::move(program));
}

absl::StatusOr<std::string> Template::Render(const Json& context,
                                             const Environment& environment) const {
  if (!context.is_object()) {
    return absl::InvalidArgumentError("a template's context must be an object");
  }
  CHORUS_ASSIGN_OR_RETURN(const Value variables,
                          FromJson(context, program_->limits.max_value_depth));
  return Interpreter(*program_, variables, environment).Run();
}

}  // namespace chorus::jinja
