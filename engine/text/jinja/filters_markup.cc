// Filters about HTML.
#include <string>
#include <utility>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/markup.h"
#include "engine/text/jinja/text_form.h"
#include "kernels/status_macros.h"

namespace chorus::jinja {
namespace {

using Result = absl::StatusOr<Value>;

template <bool force>
Result Escape(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "escape", {}, 0).status());
  if (!force && self.is_string()) return runtime.String(EscapedText(self), /*markup=*/true);
  CHORUS_ASSIGN_OR_RETURN(const std::string text, Str(runtime, self));
  return runtime.String(EscapeHtml(text), /*markup=*/true);
}

Result Safe(Runtime& runtime, const Value& self, const Arguments& arguments) {
  CHORUS_RETURN_IF_ERROR(Bind(arguments, "safe", {}, 0).status());
  CHORUS_ASSIGN_OR_RETURN(std::string text, Str(runtime, self));
  return runtime.String(std::move(text), /*markup=*/true);
}

constexpr NamedFunction kFilters[] = {
    {"e", Escape<false>},
    {"escape", Escape<false>},
    {"forceescape", Escape<true>},
    {"safe", Safe},
};

}  // namespace

NativeFunction FindMarkupFilter(std::string_view name) { return FindIn(kFilters, name); }

}  // namespace chorus::jinja
