"""macro, call, caller, varargs, kwargs."""

CASES = [
    ("without parameters", "{% macro m() %}x{% endmacro %}{{ m() }}{{ m() }}"),
    ("positional", "{% macro m(a, b) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1, 2) }}"),
    (
        "keywords",
        "{% macro m(a, b) %}{{ a }}-{{ b }}{% endmacro %}{{ m(b=1, a=2) }}{{ m(1, b=3) }}",
    ),
    (
        "defaults",
        "{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }} {% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c=4) }}",
    ),
    (
        "defaults from other parameters",
        "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}",
    ),
    (
        "defaults from outside",
        "{% set q = 7 %}{% macro m(a=q) %}{{ a }}{% endmacro %}{{ m() }}{% set q = 8 %}{{ m() }}",
    ),
    (
        "missing arguments are undefined",
        "{% macro m(a, b) %}{{ a }}{{ b is defined }}{% endmacro %}{{ m(1) }}",
    ),
    ("none is an argument", "{% macro m(a=1) %}{{ a }}{% endmacro %}{{ m(none) }}"),
    (
        "varargs",
        "{% macro m(a) %}{{ a }}{{ varargs }}{{ varargs | length }}{% endmacro %}{{ m(1, 2, 3) }}{{ m(1) }}",
    ),
    ("kwargs", "{% macro m(a) %}{{ a }}{{ kwargs }}{% endmacro %}{{ m(1, x=2, y=3) }}{{ m(1) }}"),
    (
        "star arguments",
        "{% macro m(a, b, c) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(*[1, 2], **{'c': 3}) }}",
    ),
    (
        "result is text",
        "{% macro m() %} x {% endmacro %}{{ m() | trim | upper }}{{ m() ~ '!' }}{{ m() is string }}",
    ),
    ("result in a condition", "{% macro m() %}{% endmacro %}{{ 'a' if m() else 'b' }}"),
    ("call", "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in {{ n }}{% endcall %}"),
    (
        "call with arguments",
        "{% macro m(a) %}<{{ caller(a, 2) }}>{% endmacro %}{% call(p, q=5) m(1) %}{{ p }}{{ q }}{% endcall %}",
    ),
    (
        "caller twice",
        "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}{% call m() %}x{% endcall %}",
    ),
    ("caller is undefined", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}"),
    (
        "caller passed on",
        "{% macro a() %}[{{ caller() }}]{% endmacro %}{% macro b() %}{% call a() %}{{ caller() }}{% endcall %}{% endmacro %}{% call b() %}x{% endcall %}",
    ),
    (
        "caller reads the scope it was written in",
        "{% macro m() %}{% set n = 0 %}{{ caller() }}{% endmacro %}{% call m() %}{{ n }}{% endcall %}",
    ),
    (
        "caller as a parameter",
        "{% macro m(caller=none) %}{{ caller() if caller else '-' }}{% endmacro %}{{ m() }}{% call m() %}x{% endcall %}",
    ),
    (
        "attributes",
        "{% macro m(a, b=1) %}{{ kwargs }}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.caller }}",
    ),
    ("is callable", "{% macro m() %}{% endmacro %}{{ m is callable }}{{ m is string }}"),
    (
        "as a value",
        "{% macro m(a) %}<{{ a }}>{% endmacro %}{% set f = m %}{{ f(1) }}{% set d = {'f': m} %}{{ d.f(2) }}",
    ),
    (
        "passed to a macro",
        "{% macro m(a) %}<{{ a }}>{% endmacro %}{% macro t(f, v) %}{{ f(v) }}{% endmacro %}{{ t(m, 3) }}",
    ),
    (
        "in a loop",
        "{% macro m(i) %}{{ i * i }},{% endmacro %}{% for i in range(4) %}{{ m(i) }}{% endfor %}",
    ),
    (
        "loop inside",
        "{% macro m(l) %}{% for i in l %}{{ loop.index }}{{ i }}{% endfor %}{% endmacro %}{{ m('ab') }}{{ m([7]) }}",
    ),
    (
        "recursion over a tree",
        "{% macro show(d, depth) %}{% for k, v in d.items() %}{{ '  ' * depth }}{{ k }}{% if v is mapping %}:\n{{ show(v, depth + 1) }}{% else %}={{ v }}\n{% endif %}{% endfor %}{% endmacro %}{{ show(nested, 0) }}",
    ),
    ("defined twice", "{% macro m() %}1{% endmacro %}{% macro m() %}2{% endmacro %}{{ m() }}"),
    (
        "used before it is defined",
        "{{ m is defined }}{% macro m() %}1{% endmacro %}{{ m is defined }}",
    ),
    ("whitespace in the body", "{% macro m() %}\n  x\n{% endmacro %}[{{ m() }}]"),
    ("minus in the body", "{%- macro m(a) -%}\n  {{- a -}}\n{%- endmacro -%}\n[{{ m(1) }}]"),
    (
        "break does not leave a macro",
        "{% macro m() %}{% for i in range(5) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}.{% endmacro %}{% for j in [1, 2] %}{{ m() }}{% endfor %}",
    ),
    ("printed", "{% macro m(a) %}{% endmacro %}{{ m }}"),
]
