"""Global functions: range, dict, namespace, cycler, joiner, strftime_now, raise_exception."""

EXPRESSIONS = [
    "range(3) | list", "range(1, 4) | list", "range(0, 10, 3) | list", "range(3, 0, -1) | list", "range(0) | list", "range(-2) | list", "range(5).start", "range(2, 9, 3).stop", "range(2, 9, 3).step", "range(10).count(3)", "range(10).index(3)", "range(true) | list",
    "dict(a=1, b='x')", "dict({'a': 1}, b=2)", "dict([('a', 1), ('b', 2)])", "dict()", "dict({'a': 1}, a=2)", "dict(map)", "dict.fromkeys(['a', 'b'], 1)", "dict(map.items()) == map", "dict(**map)",
    "namespace(a=1).a", "namespace({'a': 1}).a", "namespace()", "namespace(a=1, b=[2])",
    "cycler('a', 'b').next()", "cycler('a', 'b').current", "joiner()()", "joiner('|')()",
    "strftime_now('%Y-%m-%d')", "strftime_now('%d %b %Y')", "strftime_now('%A, %B %d, %Y')", "strftime_now('%H:%M:%S')", "strftime_now('%I:%M %p')", "strftime_now('%j %U %w %y')", "strftime_now('%f')", "strftime_now('%a %c')", "strftime_now('%x %X')", "strftime_now('%%')", "strftime_now('')", "strftime_now('no directives é')", "strftime_now('%-d.%-m.')", "strftime_now('%e %k')", "strftime_now('%z%Z')", "strftime_now('%F %T')", "strftime_now('%D %R')", "strftime_now('%s') | length > 5", "strftime_now('%G-W%V-%u')", "strftime_now('100%')", "strftime_now(' ')",
    "map.keys() | list", "map.values() | list", "map.items() | list", "map.copy()", "map.get('a', 0)", "items.index(1)", "items.count(1)", "items.copy()", "(1, 2, 1).count(1)", "(1, 2).index(2)", "map.get(missing, 'd') is defined", "items.append is defined", "map.update is defined", "items.index(2, 1)", "'a'.join(map.keys())", "map.keys() | sort", "map.items() | sort", "map.items() | length",
]

CASES = [
    ("cycler", "{% set c = cycler('a', 'b', 'c') %}{% for i in range(5) %}{{ c.next() }}{% endfor %}{{ c.current }}{% set _ = c.reset() %}{{ c.next() }}"),
    ("joiner", "{% set j = joiner(', ') %}{% for i in items %}{{ j() }}{{ i }}{% endfor %}"),
    ("joiner without a separator", "{% set j = joiner() %}{{ j() }}a{{ j() }}b{{ j() }}"),
    ("joiner in a condition", "{% set j = joiner('-') %}{% for i in items %}{% if i > 1 %}{{ j() }}{{ i }}{% endif %}{% endfor %}"),
    ("namespace keeps what loops write", "{% set ns = namespace(items=[]) %}{% for i in range(3) %}{% set ns.items = ns.items + [i * i] %}{% endfor %}{{ ns.items }}"),
    ("namespace in namespace", "{% set a = namespace(b=namespace(c=1)) %}{% set b = a.b %}{% set b.c = 2 %}{{ a.b.c }}"),
    ("a date with a default", "{% if date is not defined %}{% set date = strftime_now('%d %b %Y') %}{% endif %}{{ date }}"),
    ("raise_exception not reached", "{% if no %}{{ raise_exception('never') }}{% endif %}fine"),
]
