"""for: targets, conditions, else, loop.*, break and continue."""

ROUND = "{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} "

CASES = [
    ("list", "{% for i in items %}{{ i }},{% endfor %}"),
    ("string", "{% for c in 'añ👩' %}{{ c }},{% endfor %}"),
    ("dict gives keys", "{% for k in map %}{{ k }},{% endfor %}"),
    ("items", "{% for k, v in map.items() %}{{ k }}={{ v }},{% endfor %}"),
    ("items filter", "{% for k, v in map | items %}{{ k }}={{ v }},{% endfor %}"),
    (
        "values and keys",
        "{% for v in map.values() %}{{ v }}{% endfor %}{% for v in map.keys() %}{{ v }}{% endfor %}",
    ),
    (
        "range",
        "{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}",
    ),
    ("tuple", "{% for i in 1, 2, 'x' %}{{ i }}{% endfor %}"),
    (
        "nested targets",
        "{% for a, (b, c) in [[1, [2, 3]], (4, (5, 6))] %}{{ a }}{{ b }}{{ c }} {% endfor %}",
    ),
    ("undefined is empty", "{% for i in missing %}{{ i }}{% else %}none{% endfor %}"),
    ("else", "{% for i in empty %}{{ i }}{% else %}none{% endfor %}"),
    ("else not taken", "{% for i in items %}{{ i }}{% else %}none{% endfor %}"),
    (
        "else has a scope",
        "{% for i in empty %}{% else %}{% set a = 1 %}{{ a }}{% endfor %}{{ a is defined }}",
    ),
    ("loop", "{% for i in items %}" + ROUND + "{% endfor %}"),
    ("loop of a string", "{% for i in 'ab' %}" + ROUND + "{% endfor %}"),
    ("loop of a generator", "{% for i in items | map('string') %}" + ROUND + "{% endfor %}"),
    ("loop of a condition", "{% for i in items if i != 1 %}" + ROUND + "{% endfor %}"),
    (
        "loop of a condition that ends in misses",
        "{% for i in items if i == 3 %}" + ROUND + "{% endfor %}",
    ),
    (
        "loop.last alone of a condition",
        "{% for i in items if i != 2 %}{{ i }}{{ loop.last }}{% endfor %}",
    ),
    ("condition misses all", "{% for i in items if i > 9 %}{{ i }}{% else %}none{% endfor %}"),
    (
        "condition on keys",
        "{% for k, v in map.items() if k != 'C' %}{{ k }}{% if not loop.last %},{% endif %}{% endfor %}",
    ),
    (
        "condition reads the outer scope",
        "{% set q = 2 %}{% for i in items if i >= q %}{{ i }}{% endfor %}",
    ),
    ("condition on a member", "{% for u in users if u.age == 30 %}{{ u.name }}{% endfor %}"),
    (
        "condition in a macro",
        "{% macro m(d, skip) %}{% for k in d if k not in skip %}{{ k }}{% endfor %}{% endmacro %}{{ m(map, ['C']) }}",
    ),
    (
        "condition sees the outer loop",
        "{% for i in items %}{% for j in items if loop.index > 1 %}{{ j }}{% endfor %};{% endfor %}",
    ),
    ("loop.cycle", "{% for i in range(5) %}{{ loop.cycle('a', 'b', i) }}{% endfor %}"),
    ("loop.changed", "{% for i in [1, 1, 2, 2, 1] %}{{ loop.changed(i) }} {% endfor %}"),
    ("loop.changed of two", "{% for i in [1, 1, 2] %}{{ loop.changed(i, 'x') }} {% endfor %}"),
    (
        "previtem and nextitem",
        "{% for i in items %}[{{ loop.previtem }}|{{ i }}|{{ loop.nextitem }}]{% endfor %}",
    ),
    (
        "previtem undefined",
        "{% for i in items %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    ),
    ("nextitem of a condition", "{% for i in items if i != 1 %}{{ loop.nextitem }},{% endfor %}"),
    (
        "loop.depth",
        "{% for i in [1] %}{{ loop.depth }}{{ loop.depth0 }}{% for j in [1] %}{{ loop.depth }}{% endfor %}{% endfor %}",
    ),
    (
        "loop passed on",
        "{% macro m(l) %}{{ l.index }}/{{ l.length }} {% endmacro %}{% for i in items %}{{ m(loop) }}{% endfor %}",
    ),
    ("loop has no such member", "{% for i in items %}{{ loop.nothing is defined }}{% endfor %}"),
    ("break", "{% for i in range(9) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}"),
    (
        "continue",
        "{% for i in range(5) %}{% if i is odd %}{% continue %}{% endif %}{{ i }}{% endfor %}",
    ),
    (
        "break of the inner loop",
        "{% for i in range(3) %}{% for j in range(9) %}{% if j > i %}{% break %}{% endif %}{{ j }}{% endfor %};{% endfor %}",
    ),
    ("break and else", "{% for i in items %}{% break %}{% else %}else{% endfor %}"),
    (
        "break late and else",
        "{% for i in items %}{% if loop.index == 2 %}{% break %}{% endif %}{{ i }}{% else %}else{% endfor %}",
    ),
    ("continue always and else", "{% for i in items %}{% continue %}{% else %}else{% endfor %}"),
    (
        "break keeps what was written",
        "{% for i in items %}a{% if i == 1 %}{% break %}{% endif %}b{% endfor %}",
    ),
    (
        "continue with set",
        "{% set ns = namespace(k=0) %}{% for i in range(6) %}{% if i % 2 %}{% continue %}{% endif %}{% set ns.k = ns.k + i %}{% endfor %}{{ ns.k }}",
    ),
    (
        "nested loops",
        "{% for u in users %}{{ u.name }}:{% for t in u.tags %}{{ t }}{% else %}-{% endfor %} {% endfor %}",
    ),
    ("a list made on the fly", "{% for i in [1, n, 'x', [2]] %}{{ i }} {% endfor %}"),
    (
        "slices",
        "{% for m in messages[1:] %}{{ m.role }}{% endfor %}{% for m in messages[::-1] %}{{ m.role }}{% endfor %}",
    ),
    ("conditional iterable", "{% for i in (items if yes else empty) %}{{ i }}{% endfor %}"),
    ("reverse", "{% for i in items | reverse %}{{ i }}{{ loop.last }} {% endfor %}"),
    (
        "length of a generator twice",
        "{% for i in items | select('gt', 1) %}{{ loop.length }}{{ loop.revindex }} {% endfor %}",
    ),
    (
        "a generator read once",
        "{% set g = items | map('string') %}{% for i in g %}{{ i }}{% endfor %}{% for i in g %}{{ i }}{% else %}gone{% endfor %}",
    ),
    ("batch", "{% for row in range(7) | batch(3, '-') %}{{ row | join(',') }};{% endfor %}"),
    ("loop over bool values", "{% for a, b in [(1, true), (0, false)] %}{{ a and b }}{% endfor %}"),
    (
        "colon behind for and if",
        "{% for i in items: %}{{ i }}{% endfor %}{% if yes: %}y{% endif %}",
    ),
    ("many items", "{% for i in range(1000) %}{% if loop.last %}{{ i }}{% endif %}{% endfor %}"),
]
