"""Templates of our own, by construct. Each module's CASES is a list of (name, template, context);
EXPRESSIONS, where there is one, are printed alone, each a case named after itself."""

import importlib

MODULES = [
    "whitespace",
    "scoping",
    "loops",
    "macros",
    "blocks",
    "expressions",
    "undefined",
    "strings",
    "filters_text",
    "filters_sequence",
    "formatting",
    "tests",
    "json",
    "functions",
    "errors",
]

CONTEXT = {
    "n": 42,
    "x": 2.5,
    "big": 9007199254740993,
    "yes": True,
    "no": False,
    "nil": None,
    "text": "Hello, World",
    "word": "straße ÀÉÎ ǆ İ ﬁ 漢字 👩‍🚀 e\u0301",
    "blank": "",
    "lines": "one\ntwo\r\nthree\n\nfive",
    "items": [3, 1, 2],
    "mixed": [1, "a", None, True, 2.5, [1, [2]], {"k": "v"}],
    "names": ["bob", "Alice", "alice", "Carol", "ÉMILE"],
    "empty": [],
    "map": {"b": 1, "a": 2, "C": 3},
    "nested": {"one": {"two": {"three": [10, 20, {"deep": "here"}]}}},
    "users": [
        {"name": "bob", "age": 30, "tags": ["x"], "city": {"name": "Oslo"}},
        {"name": "Alice", "age": 25, "tags": [], "city": {"name": "Malmö"}},
        {"name": "carol", "age": 30, "city": {"name": "oslo"}},
    ],
    "html": "<b>\"a\" & 'b'</b>",
    "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}],
}


def load() -> dict:
    """Cases by module: (name, template, context)."""
    loaded = {}
    for name in MODULES:
        module = importlib.import_module(f"cases.{name}")
        cases = [
            (name, template, context)
            for name, template, context in (
                case if len(case) == 3 else (*case, CONTEXT) for case in module.CASES
            )
        ]
        cases += [
            (text, "{{ " + text + " }}", CONTEXT) for text in getattr(module, "EXPRESSIONS", [])
        ]
        loaded[name] = cases
    return loaded
