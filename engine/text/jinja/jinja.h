// Jinja templates as language models' chat templates use them: the dialect of the sandbox that
// Hugging Face's transformers renders them in (trim_blocks, lstrip_blocks, loop controls,
// `generation` blocks, its own tojson, raise_exception and strftime_now). What it renders equals
// what jinja2 renders there.
//
// Not supported, and refused when parsed: inheritance and inclusion (block, extends, include,
// import), autoescape, recursive loops, the filters pprint, random, striptags, urlize, wordwrap,
// xmlattr. Refused when met: integers beyond 64 bits.
//
// A template cannot harm the process: it reaches nothing but its context, and its depth, steps,
// memory and output are limited.
#ifndef CHORUS_ENGINE_TEXT_JINJA_JINJA_H_
#define CHORUS_ENGINE_TEXT_JINJA_JINJA_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"

namespace chorus::jinja {

using Json = nlohmann::ordered_json;
struct Program;

struct Limits {
  int64_t max_source_bytes = int64_t{4} << 20;
  int max_parse_depth = 200;      // nested expressions and blocks
  int max_call_depth = 1000;      // nested evaluations, macro calls included
  int max_value_depth = 200;      // lists in lists
  int64_t max_steps = 5'000'000;  // expressions evaluated, items visited
  int64_t max_output_bytes = int64_t{16} << 20;
  int64_t max_created_bytes = int64_t{256} << 20;  // of all strings and lists one rendering makes
};

// A parsed template. Immutable, cheap to copy; all methods may be called from many threads at once.
class Template {
 public:
  struct Environment {
    std::function<absl::Time()> now =
        nullptr;  // what strftime_now reads; null: the machine's clock
    absl::TimeZone zone = absl::LocalTimeZone();
  };

  // InvalidArgument "line 12: …" for what is not a template or uses what is not supported.
  static absl::StatusOr<Template> Parse(std::string_view source, const Limits& limits = {});

  // Renders with the members of `context`, an object, as the template's variables. InvalidArgument
  // "line 12: …" when the template refuses (raise_exception, in the template's words) or when what
  // it does with these variables fails; ResourceExhausted when it exceeds a limit.
  absl::StatusOr<std::string> Render(const Json& context, const Environment& environment) const;

 private:
  explicit Template(std::shared_ptr<const Program> program) : program_(std::move(program)) {}

  std::shared_ptr<const Program> program_;  // shared by copies: parsed once, never changed
};

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_JINJA_H_
