"""Templates that cannot be parsed or run, and the line that is to blame."""

PARSE = [
    "{% if %}{% endif %}", "{% if yes %}", "{% for i in items %}", "{% for i items %}{% endfor %}", "{% for in items %}{% endfor %}", "{% endif %}", "{% else %}", "{% nothing %}", "{% %}", "{{ }}", "{{ 1 + }}", "{{ (1 }}", "{{ [1, }}", "{{ {'a' 1} }}", "{{ 'a }}", "{{ a b }}", "{{ a.}}", "{{ a. 'b' }}", "{{ a | }}", "{{ a | nothing }}", "{{ a is }}", "{{ a is nothing }}", "{{ 1 is odd is even }}", "{{ ) }}", "{{ (] }}", "{{ a ? b }}", "{{ a ! b }}", "{{ $ }}", "{{ a", "{% if a", "{# a", "{% raw %}", "{% set %}", "{% set 1 = 2 %}", "{% set a %}", "{% set a.b.c = 1 %}", "{% set a[0] = 1 %}", "{% set true = 1 %}", "{% set (a = 1 %}", "{% macro %}{% endmacro %}", "{% macro m %}{% endmacro %}", "{% macro m(a %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m(1) %}{% endmacro %}", "{% call m %}{% endcall %}", "{% call 1 %}{% endcall %}", "{% filter %}{% endfilter %}", "{% filter nothing %}{% endfilter %}", "{% with a %}{% endwith %}", "{% break %}", "{% continue %}", "{% if yes %}{% endfor %}", "{% for i in items %}{% endif %}", "{% if yes %}{% elif %}{% endif %}", "{% if yes %}{% else %}{% else %}{% endif %}", "{% endgeneration %}", "{% generation %}", "{% for loop in items %}{% endfor %}", "{% for i in items %}{% set loop = 1 %}{% endfor %}", "{{ f(a=1, 2) }}", "{{ f(**a, 1) }}", "{{ f(*a, *b) }}", "{{ f(a=1, a=2) }}", "{{ 'a' 1 }}", "{{ not }}", "{{ 1 in }}", "{{ 1 not 2 }}", "{{ 1 if }}", "{{ 1 if a else }}", "{% for a, in items %}{{ a }}{% else %}{% for %}{% endfor %}", "{{ {1} }}", "{{ '\\x4' }}", "{{ '\\u12' }}", "{% for i.j in items %}{% endfor %}", "{{ 01 }}", "{% for i in items %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "{% if 1 %}{{ a | nothing }}{% endif %}{{ b | nothing }}", "{% do 1 %}", "{% autoescape %}",
]
RUN = [
    "raise_exception('Stop: ' ~ n)", "raise_exception()", "missing.a", "missing['a']", "missing.a.b", "map.z.y", "missing + 1", "1 + missing", "-missing", "missing()", "missing < 1", "missing ** 2", "missing % 2", "missing | int", "missing | float", "missing | abs", "missing | round", "missing | tojson", "{'a': missing} | tojson", "missing | dictsort", "missing | last", "missing * 2", "missing | min", "missing | attr('a')", "missing[0:1]", "users | map(attribute='tags.0') | list", "users | sort(attribute='tags')", "nil.a.b", "n.a.b",
    "1 + 'a'", "'a' + 1", "'a' - 'b'", "[1] + 'a'", "[1] + (1,)", "{} + {}", "none + 1", "'a' * 1.5", "'a' * 'b'", "1 / 0", "1 // 0", "1 % 0", "1.0 / 0", "1.5 % 0", "0 ** -1", "-'a'", "+'a'", "-none", "1 < 'a'", "[1] < 'a'", "none < 1", "none < none", "{} < {}", "[1, 'a'] | sort", "[none, 1] | max", "1 in 1", "1 in none", "'a' in 5", "1 in 'abc'", "none | length", "5 | length", "5 | list", "none | first", "5 | join", "none | sort", "none | reverse", "5 | reverse", "items.index(99)", "'a'.index('b')", "'a'.nothing()", "n()", "text()", "none()", "map()", "'abc'.split('')", "'a'.replace()", "'a'.upper(1)", "items.append(1)", "map.update(a=1)", "map.pop('a')", "items.sort()", "'%d' % 'a'", "'%s %s' % 'a'", "'%s' % ('a', 'b')", "'%(a)s' % 1", "'%z' % 1", "'%' % 1", "'{}'.format()", "'{a}'.format()", "'{:d}'.format('a')", "'{:z}'.format(1)", "'{'.format(1)", "'}'.format(1)", "'{0} {}'.format(1, 2)", "'{!x}'.format(1)", "range()", "range('a')", "range(1, 2, 0)", "range(1000000)", "range(1.5)", "dict(1)", "dict([1])", "namespace(1)", "joiner(1, 2)", "cycler()", "strftime_now()", "strftime_now(5)", "{[]: 1}", "{{}: 1}", "map[[]] is defined", "items[1:2:0]", "items['a':]", "n[0:1]", "nil[0:1]", "'abc'.index('', 4)", "1 | round(0, 'nothing')", "'a' | round", "'a' | abs", "[1, 'a'] | sum", "text | truncate(2)", "items | map('nothing') | list", "items | map | list", "items | select('nothing') | list", "items | selectattr | list", "items | batch | list", "items | slice(0) | list", "map | dictsort(by='x')", "5 | items | list", "[[1]] | unique | list", "items | tojson(5, 6, 7, 8, 9)", "range | tojson", "(items | map('string')) | tojson", "{(1, 2): 1} | tojson", "text | indent('a', 1, 2, 3)", "5 | indent", "[1] | indent", "upper(text)", "text | upper(1)", "1 is divisibleby 0", "'a' is odd", "1 is divisibleby", "(1 if no).a", "' '.join([1])", "' '.join(5)", "'a'.zfill('b')", "'a'.center('b')", "'a'.startswith(5)", "[1, 2].count()", "users.name.x", "loop.index",
]

CASES = [(f"parse {template}", f"one\n{template}\nthree") for template in PARSE]
CASES += [(f"run {expression}", "one\ntwo {{ " + expression + " }}\nthree") for expression in RUN]
CASES += [
    ("in a loop", "\n{% for i in items %}\n{{ i }}\n{{ i.a.b }}\n{% endfor %}"),
    ("in a macro", "{% macro m(a) %}\n\n{{ a.b.c }}\n{% endmacro %}\n{{ m(1) }}"),
    ("behind a macro", "{% macro m(a) %}\n\n{{ a }}\n{% endmacro %}\n\n{{ m(1) ~ missing.a }}"),
    ("in a condition", "\n\n{% if missing.a %}\n{% endif %}"),
    ("in an elif", "{% if no %}\n{% elif missing.a %}\n{% endif %}"),
    ("in a set", "\n{% set a = missing.a %}"),
    ("in a set block", "\n{% set a %}\n{{ missing.a }}\n{% endset %}"),
    ("in an iterable", "\n{% for i in missing.a %}\n{% endfor %}"),
    ("in a loop's condition", "\n{% for i in items if i.a.b %}\n{% endfor %}"),
    ("raised in the middle", "a\n{% for m in messages %}\n{% if m.role == 'assistant' %}\n{{ raise_exception('No ' + m.role) }}\n{% endif %}\n{% endfor %}"),
    ("raised in a set", "\n\n{% set _ = raise_exception('x') %}"),
    ("unpack too few", "\n{% set a, b = [1] %}"),
    ("unpack too many", "\n{% set a, b = [1, 2, 3] %}"),
    ("unpack a number", "\n{% for a, b in items %}{% endfor %}"),
    ("loop over a number", "\n{% for a in n %}{% endfor %}"),
    ("loop over none", "\n{% for a in nil %}{% endfor %}"),
    ("assign to an attribute of what is no namespace", "{% set a = {} %}{% set a.b = 1 %}"),
    ("too many arguments", "{% macro m(a) %}{{ a }}{% endmacro %}\n{{ m(1, 2) }}"),
    ("unknown keyword", "{% macro m(a) %}{{ a }}{% endmacro %}\n{{ m(b=2) }}"),
    ("caller where there is none", "{% macro m() %}\n{{ caller() }}{% endmacro %}\n{{ m() }}"),
    ("call block without caller", "{% macro m() %}x{% endmacro %}\n{% call m() %}y{% endcall %}"),
    ("endless recursion", "{% macro m() %}{{ m() }}{% endmacro %}\n{{ m() }}"),
    ("previtem of the first", "\n{% for i in items %}{{ loop.previtem.a }}{% endfor %}"),
    ("cycle without items", "\n{% for i in items %}{{ loop.cycle() }}{% endfor %}"),
    ("unknown filter in a branch not taken", "{% if no %}{{ 1 | nothing }}{% endif %}fine"),
    ("unknown filter in a branch taken", "\n{% if yes %}\n{{ 1 | nothing }}{% endif %}"),
    ("unknown test in a branch not taken", "{% if no %}{{ 1 is nothing }}{% endif %}fine"),
    ("unknown filter in a conditional expression", "{{ 1 if yes else 1 | nothing }}"),
    ("error behind a multi-line string", "{{ 'a\nb\nc' }}\n{{ missing.a }}"),
    ("error behind a multi-line comment", "{# a\nb\n#}\n{{ missing.a }}"),
    ("error behind carriage returns", "a\r\nb\rc\n{{ missing.a }}"),
    ("syntax error deep inside", "{% if yes %}\n{% for i in items %}\n{{ i }\n{% endfor %}\n{% endif %}"),
]
