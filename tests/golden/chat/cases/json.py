"""tojson as transformers replaces it: json.dumps, and nothing is escaped for HTML."""

EXPRESSIONS = [
    "1 | tojson", "1.0 | tojson", "1e22 | tojson", "true | tojson", "none | tojson", "'a' | tojson", "html | tojson", "word | tojson", "word | tojson(ensure_ascii=true)", "'\\n\\t\\r\\b\\f\\\\\\\"/' | tojson", "'\\x00\\x1f\\x7f\\u0080\\u2028' | tojson", "'\\x7f\\u0080\\u2028' | tojson(ensure_ascii=true)", "[] | tojson", "{} | tojson", "[[], {}] | tojson(indent=2)", "mixed | tojson", "map | tojson", "nested | tojson", "(1, 2) | tojson", "users | tojson", "[1.5, -0.0, 1e-7, 1e16] | tojson", "big | tojson", "-5 | tojson",
    "mixed | tojson(indent=2)", "nested | tojson(indent=4)", "map | tojson(indent=0)", "map | tojson(indent='--')", "map | tojson(indent='\\t')", "map | tojson(indent=none)", "items | tojson(indent=1)", "[[1, [2]], {'a': {'b': []}}] | tojson(indent=3)",
    "map | tojson(separators=(',', ':'))", "map | tojson(separators=[', ', ' = '])", "mixed | tojson(separators=(',', ':'), indent=2)", "map | tojson(sort_keys=true)", "nested | tojson(sort_keys=true, indent=1)", "{'b': {'d': 1, 'c': 2}, 'a': 0} | tojson(sort_keys=true)", "map | tojson(false, 2)", "word | tojson(true)", "map | tojson(false, 2, (';', '>'), true)",
    "{1: 'a', 2.5: 'b', none: 'c', true: 'd'} | tojson", "{true: 1, false: 2} | tojson", "{'a\"b': '\\n'} | tojson", "{'é': 'ü'} | tojson(ensure_ascii=true)", "'👩‍🚀' | tojson(ensure_ascii=true)",
    "messages | tojson", "messages[0] | tojson | length", "(html | safe) | tojson", "html | tojson | e", "map | tojson | safe", "{'a': 1} | tojson ~ 'x'", "'\"' ~ (text | tojson) ~ '\"'", "[true, false, none] | tojson", "range(3) | list | tojson", "map.items() | list | tojson", "[x, n] | tojson", "{'f': 'inf' | float, 'g': 'nan' | float} | tojson",
]

CASES = [
    ("a tool", "{{ tool | tojson(indent=4) }}\n{{ tool | tojson }}",
     {"tool": {"type": "function", "function": {"name": "f", "description": "A \"q\" <b> & 'é'", "parameters": {"type": "object", "properties": {"a": {"type": ["string", "null"], "enum": [1, 2.5, None]}}, "required": []}}}}),
    ("numbers from the context", "{{ v }} {{ v | tojson }}",
     {"v": [0, -0.0, 1.0, 1e5, 1e-5, 1e16, 123456789012345678, 0.1, 1.5e300, 9223372036854775807, -9223372036854775808, 1e308]}),
    ("keys in their order", "{{ v }} {{ v | tojson }} {{ v | tojson(sort_keys=true) }}", {"v": {"z": 1, "a": 2, "M": 3, "10": 4, "9": 5}}),
]
