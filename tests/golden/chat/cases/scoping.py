"""Where a name lives: loops, macros and capturing blocks have scopes of their own, `if` has none."""

CASES = [
    ("if has no scope", "{% if true %}{% set a = 1 %}{% endif %}{{ a }}"),
    (
        "a branch not taken leaves the name undefined",
        "{% if false %}{% set a = 1 %}{% endif %}{{ a is defined }}",
    ),
    (
        "a branch not taken leaves the context's value",
        "{% if false %}{% set n = 1 %}{% endif %}{{ n }}",
    ),
    ("set over the context's value", "{{ n }}{% set n = 1 %}{{ n }}"),
    ("set from itself", "{% set n = n + 1 %}{{ n }}"),
    (
        "elif and else assign",
        "{% if false %}{% set a = 1 %}{% elif true %}{% set a = 2 %}{% else %}{% set a = 3 %}{% endif %}{{ a }}",
    ),
    (
        "a loop's set stays inside",
        "{% set a = 0 %}{% for i in items %}{% set a = i %}{{ a }}{% endfor %}{{ a }}",
    ),
    (
        "each round begins with the outer value",
        "{% set a = 0 %}{% for i in items %}{{ a }}{% set a = a + i %}{{ a }};{% endfor %}",
    ),
    ("the target stays inside", "{% for i in items %}{{ i }}{% endfor %}{{ i is defined }}"),
    ("the target hides the context", "{% for n in items %}{{ n }}{% endfor %}{{ n }}"),
    ("loop stays inside", "{% for i in items %}{% endfor %}{{ loop is defined }}"),
    (
        "an inner loop has its own",
        "{% for i in items %}{% for j in [1, 2] %}{{ loop.index }}{% endfor %}:{{ loop.index }} {% endfor %}",
    ),
    (
        "the outer loop under another name",
        "{% for i in items %}{% set outer = loop %}{% for j in [1, 2] %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    ),
    (
        "namespace across a loop",
        "{% set ns = namespace(a=0, found=false) %}{% for i in items %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }} {{ ns.found }}",
    ),
    (
        "namespace from a dict",
        "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{{ ns['a'] }}{{ ns.c is defined }}",
    ),
    (
        "namespace in an if in a loop",
        "{% set ns = namespace(last=none) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}{{ ns.last }}",
    ),
    ("with", "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}"),
    ("with reads the outer values", "{% set a = 5 %}{% with a = 1, b = a %}{{ b }}{% endwith %}"),
    ("with without values", "{% with %}{% set a = 1 %}{{ a }}{% endwith %}{{ a is defined }}"),
    ("set of several", "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set a, b = b, a %}{{ a }}{{ b }}"),
    ("set of a tuple", "{% set a = 1, 2 %}{{ a }}"),
    ("set of nested targets", "{% set a, (b, c) = [1, [2, 3]] %}{{ a }}{{ b }}{{ c }}"),
    ("set block", "{% set a %}x{{ n }}y{% endset %}{{ a }}|{{ a | length }}"),
    (
        "set block with filters",
        "{% set a | upper | replace('X', 'Z') %}x{{ n }}y{% endset %}{{ a }}",
    ),
    (
        "set block has a scope",
        "{% set a %}{% set b = 1 %}{{ b }}{% endset %}{{ a }}{{ b is defined }}",
    ),
    (
        "set block in a loop",
        "{% for i in items %}{% set a %}<{{ i }}>{% endset %}{{ a }}{% endfor %}",
    ),
    (
        "set block in a namespace",
        "{% set ns = namespace(t='') %}{% set ns.t %}abc{% endset %}{{ ns.t }}",
    ),
    (
        "filter block has a scope",
        "{% filter upper %}{% set b = 'q' %}{{ b }}{% endfilter %}{{ b is defined }}",
    ),
    (
        "a macro sees later names of the template",
        "{% macro m() %}{{ a }}{% endmacro %}{% set a = 1 %}{{ m() }}{% set a = 2 %}{{ m() }}",
    ),
    ("a macro sees the context", "{% macro m() %}{{ n }}{% endmacro %}{{ m() }}"),
    (
        "a macro in a loop sees the round",
        "{% for i in items %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}",
    ),
    (
        "a macro's set stays inside",
        "{% macro m() %}{% set a = 1 %}{{ a }}{% endmacro %}{{ m() }}{{ a is defined }}",
    ),
    ("a macro in an if", "{% if true %}{% macro m() %}in{% endmacro %}{% endif %}{{ m() }}"),
    ("a macro's parameter hides", "{% macro m(n) %}{{ n }}{% endmacro %}{{ m(1) }}{{ n }}"),
    (
        "macros call each other",
        "{% macro a() %}a{{ b() }}{% endmacro %}{% macro b() %}b{% endmacro %}{{ a() }}",
    ),
    (
        "a macro calls itself",
        "{% macro f(k) %}{{ k }}{% if k > 0 %}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    ),
    (
        "self reference in a loop's set",
        "{% set q = [] %}{% for i in items %}{% set q = q + [i] %}{% endfor %}{{ q }}",
    ),
    (
        "read before set in a loop",
        "{% for i in items %}{{ a is defined }}{% set a = i %}{% endfor %}",
    ),
    ("read before set at the top", "{{ a is defined }}{% set a = 1 %}{{ a is defined }}"),
    ("set under a global's name", "{% set range = 5 %}{{ range }}"),
    (
        "context under a global's name",
        "{{ range }} {{ namespace }}",
        {"range": "mine", "namespace": [1]},
    ),
    (
        "assigned in one branch of a loop",
        "{% for i in items %}{% if i == 1 %}{% set a = 'one' %}{% endif %}{{ a if a is defined else '-' }}{% endfor %}",
    ),
    (
        "if inside for writes outer name",
        "{% set t = 'o' %}{% for i in items %}{% if i == 3 %}{% set t = 'x' %}{% endif %}{{ t }}{% endfor %}{{ t }}",
    ),
    (
        "generation block",
        "a{% generation %}{{ n }}{% set g = 1 %}{{ g }}{% endgeneration %}b{{ g is defined }}",
    ),
    (
        "generation block in a loop",
        "{% for m in messages %}{% generation %}{{ m.content }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    ),
    (
        "nested if",
        "{% if yes %}{% if no %}a{% elif nil %}b{% else %}c{% endif %}{% else %}d{% endif %}",
    ),
]
