// The names a template finds without defining them: filters, tests and global functions.
#ifndef CHORUS_ENGINE_TEXT_JINJA_BUILTINS_H_
#define CHORUS_ENGINE_TEXT_JINJA_BUILTINS_H_

#include <string_view>

#include "engine/text/jinja/objects.h"

namespace chorus::jinja {

// A filter or a test is called with its subject as `self`. Null: there is none of that name.
NativeFunction FindFilter(std::string_view name);
NativeFunction FindTest(std::string_view name);

// range, dict, namespace, cycler, joiner, raise_exception, strftime_now. Missing: no such name.
Value FindGlobal(std::string_view name);

// The files that hold the filters each bring a table of them.
struct NamedFunction {
  std::string_view name;
  NativeFunction function;
};
template <size_t n>
NativeFunction FindIn(const NamedFunction (&table)[n], std::string_view name) {
  for (const NamedFunction& entry : table) {
    if (entry.name == name) return entry.function;
  }
  return nullptr;
}
NativeFunction FindTextFilter(std::string_view name);      // filters_text.cc
NativeFunction FindMarkupFilter(std::string_view name);    // filters_markup.cc
NativeFunction FindNumberFilter(std::string_view name);    // filters_number.cc
NativeFunction FindSequenceFilter(std::string_view name);  // filters_sequence.cc
NativeFunction FindOrderFilter(std::string_view name);     // filters_order.cc
NativeFunction FindSelectFilter(std::string_view name);    // filters_select.cc

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_BUILTINS_H_
