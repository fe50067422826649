"""if, filter blocks, print, comments: what is left of the statements."""

CASES = [
    (
        "if truth",
        "{% for v in [0, 1, '', 'a', [], [0], {}, {'a': 1}, none, true, false, 0.0, 0.5, ''|list, range(0), range(1)] %}{% if v %}t{% else %}f{% endif %}{% endfor %}",
    ),
    ("if undefined", "{% if missing %}a{% else %}b{% endif %}"),
    ("if not", "{% if not missing %}a{% endif %}{% if not not yes %}b{% endif %}"),
    (
        "elif",
        "{% for i in range(5) %}{% if i == 0 %}a{% elif i == 1 %}b{% elif i == 2 %}c{% else %}d{% endif %}{% endfor %}",
    ),
    ("if with a tuple", "{% if 0, %}a{% endif %}"),
    (
        "if with everything",
        "{% if n > 40 and text.startswith('H') or missing is defined and not yes %}a{% endif %}",
    ),
    ("filter block", "{% filter upper %}a{{ n }}b{% endfilter %}"),
    (
        "filter block with arguments",
        "{% filter replace('a', 'b') | indent(2, true) %}aa\nca{% endfilter %}",
    ),
    (
        "filter block in a loop",
        "{% for i in items %}{% filter trim %}  {{ i }}  {% endfilter %}{% endfor %}",
    ),
    (
        "filter block with continue",
        "{% for i in items %}{% filter upper %}a{% if i == 1 %}b{% endif %}{% endfilter %}{% endfor %}",
    ),
    ("print", "{% print n %}{% print 'a', 'b' %}"),
    ("comments in between", "a{# b #}{# c #}d"),
    (
        "empty bodies",
        "{% if yes %}{% endif %}{% for i in items %}{% endfor %}{% filter upper %}{% endfilter %}{% set a %}{% endset %}[{{ a }}]",
    ),
    (
        "deep nesting",
        "{% if 1 %}{% if 1 %}{% for i in [1] %}{% if 1 %}{% with a = i %}{% filter upper %}{% set b %}x{{ a }}{% endset %}{{ b }}{% endfilter %}{% endwith %}{% endif %}{% endfor %}{% endif %}{% endif %}",
    ),
    (
        "chat",
        "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] | trim + '<|end|>\n' }}{% endfor %}{% if yes %}{{ '<|assistant|>\n' }}{% endif %}",
    ),
]
