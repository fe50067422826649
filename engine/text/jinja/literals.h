// Number and string literals of templates.
#ifndef CHORUS_ENGINE_TEXT_JINJA_LITERALS_H_
#define CHORUS_ENGINE_TEXT_JINJA_LITERALS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace chorus::jinja {

// Resolves the escapes of a Python string literal, given without its quotes. Lone surrogates and
// \N{…} are refused: the one cannot be written as UTF-8, the other needs the table of names.
absl::StatusOr<std::string> Unescape(std::string_view literal);

// How many bytes at the start of `text` are a float or an integer literal; 0 for none.
size_t FloatLength(std::string_view text);
size_t IntegerLength(std::string_view text);

// The value of what FloatLength or IntegerLength measured; nullopt for one beyond 64 bits.
double FloatValue(std::string_view literal);
std::optional<int64_t> IntegerValue(std::string_view literal);

// int(text, base) of Python: blanks around, a sign, underscores, any script's digits, and with base
// 0, 2, 8 or 16 a prefix. nullopt when it is not a number; *overflow when it is one beyond 64 bits.
std::optional<int64_t> ParsePythonInt(std::string_view text, int base, bool* overflow);
// float(text) of Python.
std::optional<double> ParsePythonFloat(std::string_view text);

}  // namespace chorus::jinja

#endif  // CHORUS_ENGINE_TEXT_JINJA_LITERALS_H_
