// Names of tenants and adapters, and the file names made from them.
//
//   name      := [A-Za-z0-9] [A-Za-z0-9._-]{0,127}
//   file name := name in lower case ["+" mask]
//   mask      := lower-case hexadecimal number whose bit i says that letter i was a capital;
//                left out when none was
//
// So two names that differ in case alone are two files wherever the file system folds case, no file
// name begins with a dot, and each stays readable.
#ifndef CHORUS_ENGINE_ADAPTERS_STORE_NAMES_H_
#define CHORUS_ENGINE_ADAPTERS_STORE_NAMES_H_

#include <optional>
#include <string>
#include <string_view>

namespace chorus::engine {

bool IsValidName(std::string_view name);

// REQUIRES: IsValidName(name).
std::string FileNameOf(std::string_view name);
// The name whose FileNameOf is `file_name`; nullopt when there is none.
std::optional<std::string> NameOfFile(std::string_view file_name);

}  // namespace chorus::engine

#endif  // CHORUS_ENGINE_ADAPTERS_STORE_NAMES_H_
