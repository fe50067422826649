"""Literals, operators, precedence, comparison, subscripts."""

EXPRESSIONS = [
    # Literals
    "1", "0", "007 if no else 7", "1_000", "0x1F", "0b101", "0o17", "0XfF", "1.5", "1e3", "1.5e-3", "1_0.2_5", "2e2", "1E+2",
    "9223372036854775807", "-9223372036854775807", "3.0", "1e16", "1e15", "123456789012345680.0", "1e22", "1e-5", "0.0001", "1e300 * 1e10", "-0.0", "0.1 + 0.2",
    "'a'", '"a"', "'it\\'s'", '"say \\"hi\\""', "'a\\nb\\tc\\\\d'", "'\\x41\\u00e9\\U0001F469'", "'\\101\\0'", "'\\q\\é'", "'a' 'b' \"c\"", "'line\nbreak'", "'{{ x }}'", "'%}'",
    "true", "True", "false", "False", "none", "None", "[]", "()", "{}", "[1, 'a', none, true]", "[1, 2,]", "(1,)", "(1, 2)", "(1)", "1, 2", "1,",
    "{'a': 1, 'b': [2, {'c': 3}]}", "{'a': 1,}", "{1: 'x', 2.5: 'y', none: 'z', true: 't'}", "{'a': 1, 'a': 2}", "{n: x}", "[[], [[]], {}]",
    # Printing
    "mixed", "map", "nested", "['it\\'s', 'a\"b', 'both\\'\"', '\\n\\t\\\\', 'é', '\\x07\\x7f', '👩']", "[1.0, 1e100, -0.0, 1e-7]", "('a', 1)", "[none, true]", "text", "word", "[word]", "['\\u00a0', '\\u200b', '\\ufeff', '\\U000e0001', '\\u0378']",
    "range(3)", "range(1, 10, 3)", "map.keys()", "map.values()", "map.items()", "nil", "yes", "x", "big",
    # Arithmetic
    "1 + 2", "1 - 2", "2 * 3", "7 / 2", "6 / 2", "7 // 2", "-7 // 2", "7 % 3", "-7 % 3", "7 % -3", "2 ** 10", "2 ** -1", "2 ** 0.5", "2 ** 3 ** 2", "-2 ** 2", "7.5 // 2", "-7.5 % 2", "7.5 % -2", "1 / 3", "2 / 3", "1e3 + 1", "true + true", "x * 2", "n + x", "0.1 * 3", "10 // 0.3", "5 % 0.3", "-5 // 0.3", "1 // 2.0",
    "+5", "-n", "--5", "+-+5", "-x", "-true", "big + 1", "big / 2", "big * 1.0", "9007199254740993 / 1", "2 ** 62", "4611686018427387904 + 4611686018427387903",
    "1 + 2 * 3", "(1 + 2) * 3", "10 - 3 - 2", "2 * 3 % 4", "100 / 10 / 2", "1 + -1", "5 - -5", "3 * -2",
    # Strings and sequences
    "'a' + 'b'", "'ab' * 3", "3 * 'ab'", "'a' * 0", "'a' * -1", "[1] + [2]", "[1, 2] * 2", "(1,) + (2,)", "2 * (1,)", "'a' ~ 1 ~ none ~ true ~ 1.5", "1 ~ 2", "[1] ~ {'a': 1}", "'a' ~ missing ~ 'b'", "'a' + 'b' ~ 'c' + 'd'", "1 + 2 ~ 3", "1 ~ 2 * 3", "'%s' % 'a' ~ 'b'",
    # Comparison
    "1 == 1.0", "1 == true", "'1' == 1", "'a' < 'b'", "'a' < 'B'", "[1, 2] < [1, 3]", "[1] < [1, 0]", "(1, 'a') < (1, 'b')", "1 < 2 < 3", "1 < 3 < 2", "3 > 2 > 1 > 0", "1 == 1 == 1", "1 != 2", "none == none", "none == false", "'' == none", "[] == ()", "[1] == [1.0]", "{'a': 1} == {'a': 1.0}", "{'a': 1, 'b': 2} == {'b': 2, 'a': 1}", "missing == missing", "missing == none", "missing != other", "1 <= 1", "2 >= 3", "'é' > 'z'", "x == 2.5", "big == 9007199254740992.0", "big == 9007199254740993", "big > 9007199254740992.0", "range(3) == range(0, 3)", "map.keys() == ['b']", "1.5 < 2", "true < 2", "1 < 'a' if no else 1",
    # Membership
    "1 in items", "9 in items", "1.0 in items", "true in items", "'a' in 'abc'", "'' in 'abc'", "'z' not in 'abc'", "'a' in map", "'z' in map", "1 in map.values()", "('a', 2) in map.items()", "2 in range(5)", "7 in range(0, 10, 2)", "not 1 in items", "1 not in items", "none in mixed", "[1, [2]] in mixed", "'a' in missing", "'el' in text", "5 in ()", "'Ã' in word", "messages[0] in messages",
    # Logic
    "yes and no", "yes or no", "not yes", "1 and 2", "0 and 2", "0 or 'x'", "'' or none", "[] and 1", "not 0", "not not 'a'", "1 and 0 or 2", "no or no and yes", "not no and no", "not (no and no)", "missing or 'd'", "missing and 'd'", "1 == 1 and 2 == 2", "not 1 == 2", "1 if yes", "1 if no", "1 if no else 2", "1 if no else 2 if no else 3", "(1 if yes else 2) + 1", "1 if yes else 2 + 1", "'a' if n > 40 and x < 3 else 'b'", "('a' if no) is defined", "1 if missing else 2",
    # Subscripts
    "items[0]", "items[-1]", "items[5] is defined", "items[-4] is defined", "text[0]", "text[-1]", "text[99] is defined", "word[3]", "word[-3:]", "map['a']", "map.a", "map['z'] is defined", "map.get('a')", "map.get('z')", "map.get('z', 5)", "nested.one.two.three[2].deep", "nested['one']['two'].three[2]['deep']", "users[0].name", "users[0]['tags'][0]", "users[1].tags[0] is defined", "mixed[5][1][0]", "items.0", "mixed.5.1", "map[missing] is defined", "items['0'] is defined", "'abc'['a'] is defined", "(1, 2)[1]", "[1, 2][true]", "{'a': {'b': 1}}.a.b", "{1: 'x'}[1]", "{1: 'x'}[1.0]", "{true: 'x'}[1]", "{(1, 2): 'x'}[1, 2]", "range(5)[2]", "range(5)[-1]", "range(10)[9] is defined", "map.keys is defined", "{'items': 1}.items is callable", "{'items': 1}['items']", "users | map(attribute='city.name') | list",
    # Slices
    "items[1:]", "items[:1]", "items[:]", "items[::2]", "items[::-1]", "items[-2:]", "items[:-1]", "items[1:1]", "items[5:]", "items[-9:9]", "items[2:0:-1]", "items[::-2]", "items[none:2]", "items[:none]", "text[1:4]", "text[::-1]", "text[-3:]", "word[:8]", "word[::-1]", "word[1::3]", "(1, 2, 3)[1:]", "range(10)[2:8:3]", "range(10)[::-1]", "range(10)[3:3]", "'abc'[10:]", "[1, 2, 3][true:]", "messages[1:][0].role", "messages[:-1] | length", "mixed[5:][0][0]", "''[::-1]", "'abc'[2:0:-1]", "'abc'[:-10]", "'abc'[-10:2]", "items[n:]", "items[-n:1]",
    # Calls and precedence of what follows
    "text.upper().lower()", "text.split(', ')[1]", "text | upper | lower", "'a' ~ 'b' | upper", "('a' ~ 'b') | upper", "1 + 2 | string + '3' if no else 1", "-1 | abs", "(-1) | abs", "-n | abs", "2 ** 3 | string | length", "n is number", "not n is number", "n is not number", "n is number and x is number", "1 + 1 is odd", "(1 + 1) is even", "n is divisibleby 2", "n is divisibleby(5)", "missing is defined or n is defined", "'a' in 'abc' | upper", "items | length > 2", "items | length == 3 and yes", "text[0] | lower", "text.upper()[0:2] | lower | length", "[1, 2] | sum + 1", "items | first + 1", "users[0].tags is defined and users[0].tags | length", "x | int + 1", "'%d' % 3 + 1 | string", "{'a': 1}.items() | list", "dict(a=1).a", "[n, x][0]", "(n)", "((n))", "n if n else x | string",
]

CASES = []
