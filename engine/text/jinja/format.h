// Python's two ways to format: "%s" % values and "{}".format(values).
#ifndef CHORUS_ENGINE_TEXT_JINJA_FORMAT_H_
#define CHORUS_ENGINE_TEXT_JINJA_FORMAT_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/text/jinja/arguments.h"
#include "engine/text/jinja/runtime.h"

namespace chorus::jinja {

// format % argument: a tuple holds several arguments, a dict those that "%(name)s" asks for.
absl::StatusOr<Value> PercentFormat(Runtime& runtime, const Value& format, const Value& argument);

// format.format(*arguments, **arguments).
absl::StatusOr<Value> BraceFormat(Runtime& runtime, const Value& format,
                                  const Arguments& arguments);

// What format(value, spec) gives, for numbers and strings.
absl::StatusOr<std::string> FormatValue(Runtime& runtime, const Value& value,
                                        std::string_view spec);

// [[fill]align][sign][#][0][width][,][.precision][type]
struct FormatSpec {
  std::string fill = " ";
  char align = 0;  // '<', '>', '^', '='; 0: the type's own
  char sign = '-';
  bool alternate = false;
  char grouping = 0;  // ',' or '_'
  int64_t width = 0;
  int64_t precision = -1;
  char type = 0;
};
// `of_number`: a 0 in front of the width pads behind the sign.
absl::StatusOr<FormatSpec> ParseFormatSpec(std::string_view text, bool of_number);
// The digits and sign of a number, without padding.
absl::StatusOr<std::string> FormatInteger(int64_t value, const FormatSpec& spec);
absl::StatusOr<std::string> FormatFloat(double value, const FormatSpec& spec);
// Pads to the width; `sign_size` bytes at the front stay there under '='.
absl::StatusOr<std::string> Pad(Runtime& runtime, std::string text, const FormatSpec& spec,
                                char default_align, size_t sign_size);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_FORMAT_H_
