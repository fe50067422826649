#include "tests/engine/text/jinja/template_maker.h"

#include <algorithm>

namespace chorus::jinja {
namespace {

constexpr const char* kTokens[] = {
    "{%",    "%}",         "{{",        "}}",      "{#",        "#}",        "{%-",      "-%}",
    "{{-",   "-}}",        "{%+",       "+%}",     "if",        "elif",      "else",     "endif",
    "for",   "in",         "endfor",    "set",     "endset",    "macro",     "endmacro", "call",
    "with",  "raw",        "endraw",    "endcall", "endwith",   "filter",    "break",    "continue",
    "is",    "not",        "and",       "or",      "endfilter", "loop",      "caller",   "items",
    "map",   "text",       "n",         "x",       "i",         "namespace", "range",    "upper",
    "join",  "tojson",     "default",   "first",   "sort",      "'a'",       "\"b\"",    "1",
    "2.5",   "0x1f",       "true",      "none",    "[",         "]",         "(",        ")",
    "{",     "}",          ",",         ":",       ".",         "|",         "~",        "+",
    "-",     "*",          "**",        "/",       "//",        "%",         "==",       "!=",
    "<",     ">=",         "=",         "'",       "\\",        "\n",        " ",        "é",
    "print", "generation", "recursive", "defined", "varargs"};

constexpr const char* kAtoms[] = {"items",
                                  "map",
                                  "text",
                                  "n",
                                  "x",
                                  "users",
                                  "nested",
                                  "word",
                                  "missing",
                                  "none",
                                  "true",
                                  "1",
                                  "-3",
                                  "1e9",
                                  "2.5",
                                  "''",
                                  "'abc'",
                                  "'%s %d'",
                                  "[]",
                                  "{}",
                                  "(1, 2)",
                                  "[n, [x]]",
                                  "{'a': [n]}",
                                  "range(50)",
                                  "ns.v",
                                  "i",
                                  "f",
                                  "loop",
                                  "namespace(a=1)",
                                  "'{} {a}'"};

constexpr const char* kTails[] = {" | upper",
                                  " | join(x)",
                                  " | sort",
                                  " | list",
                                  " | first",
                                  " | tojson(indent=1)",
                                  " | map('upper')",
                                  " | select",
                                  " | length",
                                  " | batch(3, n)",
                                  " | default(items)",
                                  " | string",
                                  " | int",
                                  " | reverse",
                                  " | unique",
                                  " | replace('', x)",
                                  " | indent(n)",
                                  " | slice(4)",
                                  " | center(n)",
                                  " | items",
                                  " | groupby('age')",
                                  " | sum(start=[])",
                                  " | round(n)",
                                  " | truncate(9)",
                                  " | urlencode",
                                  " | map(attribute='name')",
                                  " | dictsort",
                                  " | format(n, x)",
                                  " | e",
                                  " | title",
                                  " * n",
                                  " * 1000",
                                  " + items",
                                  " + text",
                                  " ~ nested",
                                  " % n",
                                  " % (n, x)",
                                  " ** n",
                                  " // x",
                                  " - 1",
                                  " == items",
                                  " in nested",
                                  " is defined",
                                  " is divisibleby(n)",
                                  " and n",
                                  " if x else text",
                                  "[0]",
                                  "[-1]",
                                  "[1:]",
                                  "[::-1]",
                                  "[n]",
                                  ".a",
                                  ".name",
                                  ".items()",
                                  ".split('a')",
                                  ".upper()",
                                  ".format(n, a=x)",
                                  ".join(items)",
                                  ".replace('a', text)",
                                  ".get(n)",
                                  ".center(99)",
                                  ".index",
                                  "(n)",
                                  "(*items)",
                                  "(**map)",
                                  ".zfill(n)",
                                  ".partition('b')",
                                  ".splitlines()",
                                  ".nextitem",
                                  ".append(1)"};

}  // namespace

std::string TemplateMaker::Bytes() {
  std::string text(Below(200), '\0');
  for (char& c : text) {
    c = static_cast<char>(Below(4) == 0 ? Below(256) : "{}%#-+ \n'\"\\a1.|()[]"[Below(20)]);
  }
  return text;
}

std::string TemplateMaker::Soup() {
  std::string text;
  for (size_t left = 1 + Below(40); left > 0; --left) {
    text += Pick(kTokens);
    if (Below(3) != 0) text += ' ';
  }
  return text;
}

std::string TemplateMaker::Mutant() {
  std::string text = seeds_[Below(seeds_.size())];
  for (size_t left = 1 + Below(4); left > 0; --left) {
    const size_t from = Below(text.size() + 1);
    const size_t size = std::min(Below(12), text.size() - from);
    const std::string& other = seeds_[Below(seeds_.size())];
    const size_t there = Below(other.size() + 1);
    switch (Below(5)) {
      case 0:
        text.erase(from, size);
        break;
      case 1:
        text.insert(Below(text.size() + 1), text.substr(from, size));
        break;
      case 2:
        text.insert(from, Pick(kTokens));
        break;
      case 3:
        text.replace(from, size, other.substr(there, Below(20)));
        break;
      default:
        text.insert(from, other.substr(there));
        break;
    }
  }
  return text;
}

std::string TemplateMaker::Expression(int depth) {
  std::string text = depth > 0 && Below(3) == 0 ? "(" + Expression(depth - 1) + ")" : Pick(kAtoms);
  for (size_t left = Below(4); left > 0; --left) {
    text = "(" + text + ")" + Pick(kTails);
  }
  return text;
}

std::string TemplateMaker::Body(int depth) {
  std::string text;
  for (size_t left = Below(4); left > 0; --left) text += Statement(depth);
  return text;
}

std::string TemplateMaker::Statement(int depth) {
  const std::string value = "(" + Expression(2) + ")";
  if (depth == 0) return "{{ " + value + " }}";
  const std::string body = Body(depth - 1);
  switch (Below(9)) {
    case 0:
      return "{% set i = " + value + " %}";
    case 1:
      return "{% set ns.v = " + value + " %}";
    case 2:
      return "{% if " + value + " %}" + body + "{% else %}" + Body(depth - 1) + "{% endif %}";
    case 3:
      return "{% for i in " + value + " %}" + body + "{{ loop.length }}{% endfor %}";
    case 4:
      return "{% for i, x in " + value + " if x %}" + body + "{% break %}{% endfor %}";
    case 5:
      return "{% macro f(i, x=" + value + ") %}" + body + "{% endmacro %}{{ f(f) }}";
    case 6:
      return "{% call f(" + value + ") %}" + body + "{% endcall %}";
    case 7:
      return "{% set i | upper %}" + body + "{% endset %}";
    default:
      return "{{ " + value + " }}" + body;
  }
}

std::string TemplateMaker::Written() {
  return "{% set ns = namespace(v=1) %}{% macro f(i) %}{{ i }}{{ caller() }}{% endmacro %}" +
         Body(3) + Statement(3);
}

}  // namespace chorus::jinja
