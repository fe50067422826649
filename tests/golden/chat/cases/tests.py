"""Everything behind `is`."""

VALUES = ["0", "1", "-3", "2.0", "0.5", "true", "false", "none", "''", "'a'", "'A'", "'aB'", "'1'", "[]", "[1]", "()", "{}", "{'a': 1}", "missing", "range(3)", "map.items()", "map.keys()", "items | map('string')", "namespace()", "range", "text.upper", "html | safe", "cycler(1)", "joiner()"]
PLAIN = ["defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping", "sequence", "iterable", "callable", "escaped", "lower", "upper"]

CASES = [
    (f"is {test}", "".join("{{ (" + value + ") is " + test + " }} " for value in VALUES)) for test in PLAIN
]

EXPRESSIONS = [
    "1 is odd", "2 is odd", "2 is even", "3 is even", "-3 is odd", "2.0 is even", "2.5 is odd", "true is odd",
    "6 is divisibleby 3", "7 is divisibleby(3)", "6 is not divisibleby 4", "6.0 is divisibleby 1.5",
    "1 is eq 1", "1 is equalto 1.0", "1 is eq(1)", "1 is ne 2", "1 is lt 2", "1 is lessthan(2)", "2 is gt 1", "2 is greaterthan 1", "2 is ge 2", "2 is le 1", "'a' is lt 'b'", "[1] is eq [1]", "1 is not eq 1",
    "1 is in [1, 2]", "'a' is in 'abc'", "3 is not in [1]", "'a' is in map", "1 is in(items)",
    "none is sameas none", "true is sameas true", "true is sameas 1", "1 is sameas 1", "'a' is sameas 'b'", "items is sameas items", "[1] is sameas [1]", "map is sameas map", "none is sameas false",
    "'upper' is filter", "'nothing' is filter", "'odd' is test", "'nothing' is test",
    "n is number and n is not string", "n is defined and n is odd or yes", "not n is odd", "(n is odd) is false", "(n is odd) is boolean", "users[0].tags is defined", "users[2].tags is not defined", "users[2].tags is undefined", "messages[0].content is string", "messages[0] is mapping", "messages is iterable and messages is not mapping", "messages[0]['tool_calls'] is defined and messages[0]['tool_calls'] is not none",
    "'abc' is lower", "'ABC' is upper", "'aBC' is upper", "'123' is lower", "1 is lower", "none is upper", "'É' is upper",
    "1 is integer and 1.0 is float", "true is integer", "true is number", "1 is true", "0 is false", "'' is string",
]
