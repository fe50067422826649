#!/usr/bin/env python3
"""Writes unicode_tables.inc: what Python's str knows about code points beyond utf8proc.

Every table is made by asking Python about each code point, so it is Python's own Unicode version.
Run: python3 unicode_tables.py > unicode_tables.inc
"""

import unicodedata

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def ranges(codes):
    result = []
    for code in codes:
        if result and result[-1][1] == code - 1:
            result[-1][1] = code
        else:
            result.append([code, code])
    return result


def emit(kind, name, comment, items):
    print(f"\n// {comment}\nconstexpr {kind} {name}[] = {{")
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > 98:
            print(line)
            line = "   "
        line += f" {item},"
    print(line + "\n};")


def mapping(method):
    rows = []
    for code in CODES:
        mapped = method(chr(code))
        if len(mapped) > 1:
            rows.append(f"{{{code:#x}, {{{', '.join(f'{ord(c):#x}' for c in mapped)}}}}}")
    return rows


def category(code):
    return unicodedata.category(chr(code))


def pairs(predicate):
    return [f"{{{a:#x}, {b:#x}}}" for a, b in ranges(c for c in CODES if predicate(c))]


print(f"// Made by unicode_tables.py from Unicode {unicodedata.unidata_version}; do not edit.")
print("// clang-format off")
emit("Expansion", "kUpper", "str.upper: one code point becomes several.", mapping(str.upper))
emit("Expansion", "kTitle", "Title case: one code point becomes several.", mapping(str.title))
emit("Range", "kOtherLower", "islower without being a lower-case letter (Ll).",
     pairs(lambda c: chr(c).islower() and category(c) != "Ll"))
emit("Range", "kOtherUpper", "isupper without being an upper-case letter (Lu).",
     pairs(lambda c: chr(c).isupper() and category(c) != "Lu"))
emit("Range", "kOtherDigit", "isdigit without being a decimal digit (Nd).",
     pairs(lambda c: chr(c).isdigit() and category(c) != "Nd"))
emit("Range", "kOtherNumeric", "isnumeric without being a number (N*).",
     pairs(lambda c: chr(c).isnumeric() and category(c)[0] != "N"))
print("// clang-format on")
