"""What is not there prints as nothing, is false and empty, and refuses almost everything else."""

EXPRESSIONS = [
    "missing", "missing is defined", "missing is undefined", "missing | default('d')", "missing | default", "missing | d('e')", "nil | default('d')", "nil | default('d', true)", "'' | default('d', true)", "0 | default('d', true)", "'' | default('d')", "map.z is defined", "map.z | default('d')", "users[9] | default('d')", "missing | length", "missing | list", "missing | string", "missing | upper", "missing | trim", "missing | join(',')", "missing | first is defined", "[] | first is defined", "missing == undefined", "not missing", "missing ~ 'a'", "[missing]", "{'a': missing}", "missing is none", "missing is mapping", "missing is string", "missing is iterable", "missing is sequence", "missing is number", "missing is callable", "missing is sameas missing", "missing in [1]", "missing in [missing]", "1 in missing", "missing | select | list", "missing | map('upper') | list", "missing | sort", "missing | unique | list", "missing | sum", "missing | reverse | list", "missing | batch(2) | list", "missing | items | list", "1", "missing | replace('a', 'b')", "missing | wordcount", "missing | title", "missing | e", "missing | safe", "missing | join", "missing | urlencode", "('x' if no) ~ 'y'", "('x' if no) is defined", "range(3)[7] is defined", "nil.a is defined", "n.a is defined", "n['a'] is defined", "text.a is defined", "text['upper'] is defined", "loop is defined", "namespace is defined", "raise_exception is defined", "strftime_now is callable", "2", "missing and missing.a", "missing is defined and missing.a", "namespace().a is defined", "[1][3] is defined",
]

CASES = [
    ("printed among text", "a{{ missing }}b{{ map.z }}c"),
    ("looped over", "{% for a in missing %}x{% endfor %}"),
    ("passed to a macro", "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m(missing) }}"),
    ("set from undefined", "{% set a = missing %}{{ a is defined }}{{ a }}"),
]
