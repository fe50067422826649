"""Filters that give text or numbers."""

EXPRESSIONS = [
    "text | upper", "text | lower", "text | capitalize", "text | title", "word | title", "'hello-world (foo) [bar] <baz> {q} it\\'s' | title", "'a\\u2003b' | title", "42 | upper", "none | lower", "true | title", "[1] | upper", "word | capitalize",
    "'  a ' | trim", "'xax' | trim('x')", "42 | trim", "'\\n a \\n' | trim", "none | trim", "'  a ' | trim(none)", "'\\u00a0a' | trim",
    "'aaa' | replace('a', 'b')", "'aaa' | replace('a', 'b', 2)", "123 | replace(2, 'x')", "'abc' | replace('', '.')", "'a' | replace('a', none)",
    "items | join", "items | join(', ')", "users | join(', ', attribute='name')", "users | join('|', 'city.name')", "mixed | join(' ')", "'abc' | join('-')", "map | join(',')", "[] | join(',')", "items | join(1)", "[none, missing] | join('-')", "range(4) | join",
    "lines | indent", "lines | indent(2)", "lines | indent(2, true)", "lines | indent(2, false, true)", "lines | indent('> ')", "lines | indent(width=3, first=true, blank=true)", "'' | indent(2, true)", "'a\\n\\n b\\n' | indent(2)", "'a' | indent(0)", "'a\\nb' | indent(-1)", "'\\n' | indent(2, true, true)", "'a\\r\\nb\\x0bc' | indent(1)",
    "text | truncate(8)", "text | truncate(8, true)", "text | truncate(8, true, '')", "text | truncate(9, false, '…')", "text | truncate(11)", "text | truncate(8, leeway=0)", "text | truncate", "'a b c d e f g h' | truncate(7, false, '..', 0)", "'foobarbaz' | truncate(5, false, '.', 0)", "word | truncate(6, true, '', 0)",
    "text | center(20)", "text | center", "'ab' | center(5)", "42 | center(6)",
    "text | wordcount", "'a b-c, d\\'e' | wordcount", "word | wordcount", "'' | wordcount", "42 | wordcount",
    "'%s and %s' | format('a', 1)", "'%(a)s' | format(a=1)", "'%d%%' | format(5)", "42 | format", "'%s' | format([1])",
    "'a b/c?d=é&e' | urlencode", "{'a': 1, 'b c': 'x/y'} | urlencode", "[('a', 1), ('b', '&')] | urlencode", "42 | urlencode", "'~_.-' | urlencode", "'' | urlencode",
    "42 | string", "1.0 | string", "none | string", "[1, 'a'] | string", "text | string", "true | string", "{'a': none} | string",
    "html | e", "html | escape", "html | e | e", "html | safe | e", "html | forceescape", "html | safe | forceescape", "42 | e", "(html | e) ~ html", "(html | e) + html", "html + (html | e)", "(html | safe).upper()", "('<%s>' | safe) % '<'", "('<{}>' | safe).format('<')", "html | safe is escaped", "html is escaped", "(html | e).replace('<', '>')", "(html | e) is string", "['<', '>' | safe] | join(', ')", "(html | safe)[0:3] is escaped", "[html | safe]", "(', ' | safe).join(['<', 'a'])",
    "'42' | int", "'42.7' | int", "'x' | int", "'x' | int(7)", "'x' | int(default=9)", "'0x1f' | int(0, 16)", "'ff' | int(base=16)", "'0b11' | int(0, 2)", "'0o17' | int(0, 8)", "'1_000' | int", "' 42 ' | int", "'-42' | int", "42.9 | int", "-42.9 | int", "true | int", "none | int", "none | int(5)", "[] | int", "'' | int", "'1e3' | int", "'٣' | int", "'0x1f' | int", "'inf' | int(3)", "'12' | int(0, 1)", "'z' | int(0, 36)",
    "'42' | float", "'x' | float", "'x' | float(1.5)", "42 | float", "none | float", "true | float", "'1e3' | float", "' 1.5 ' | float", "'inf' | float", "'-inf' | float", "'nan' | float", "'1_0.5' | float", "'Infinity' | float", "'.5' | float", "'5.' | float", "'0x1' | float", "'1__0' | float", "'٣.٣' | float",
    "-5 | abs" , "(-5) | abs", "(-5.5) | abs", "true | abs", "(-0.0) | abs",
    "2.5 | round", "3.5 | round", "2.675 | round(2)", "1.005 | round(2)", "42 | round", "42 | round(2)", "1234 | round(-2)", "1250 | round(-2)", "1350 | round(-2)", "2.4 | round(0, 'ceil')", "2.6 | round(0, 'floor')", "2.345 | round(2, 'ceil')", "-2.5 | round", "(-2.5) | round", "1234.5 | round(-2)", "42 | round(0, 'ceil')", "1e20 | round", "0.5 | round", "1.5 | round | int", "2.55 | round(1)", "123456789.987654321 | round(5)", "42.7 | round(precision=1)", "-1.1 | round(method='floor')", "5e-324 | round(3)",
    "[1, 2, 3] | sum", "[1.5, 2] | sum", "[] | sum", "users | sum(attribute='age')", "[1, 2] | sum(start=10)", "[true, true] | sum", "[[1], [2]] | sum(start=[])", "range(101) | sum", "users | sum('age', 5)",
    "items | length", "text | length", "map | length", "range(7) | length", "[] | count", "map.items() | length", "missing | count", "word | count",
    "1 | filesizeformat", "0 | filesizeformat", "999 | filesizeformat", "1000 | filesizeformat", "1500000 | filesizeformat", "1024 | filesizeformat(true)", "123456789 | filesizeformat(true)", "'2000' | filesizeformat", "1e30 | filesizeformat", "13.5 | filesizeformat",
]

CASES = []
