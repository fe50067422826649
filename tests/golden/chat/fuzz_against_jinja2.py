"""Random templates, rendered by us and by jinja2: python fuzz_against_jinja2.py --render PROGRAM
[--seed N] [--count N]

Run by hand, never in CI. Each template is made of a few statements over cases.CONTEXT; what it
prints must be equal, and what one side refuses the other must refuse. Prints what differs, smallest
first. Known to differ: integers beyond 64 bits, sets (dict views minus something), and whatever is
made of the address that Python prints of a generator.
"""

import argparse
import random
import re
import signal
import sys

import cases
import huggingface
from compare_chat_templates import Renderer

ATOMS = [
    *cases.CONTEXT,
    "missing",
    "1",
    "0",
    "-2",
    "2.5",
    "''",
    "'a'",
    "'b c'",
    "'É'",
    "true",
    "none",
    "[]",
    "[2, 'x']",
    "(1,)",
    "{}",
    "{'a': 1, 'k': [1]}",
    "range(4)",
    "loop",
    "loop.index",
    "ns.v",
    "u",
    "i",
    "m",
]
BINARY = [
    "+",
    "-",
    "*",
    "/",
    "//",
    "%",
    "~",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "and",
    "or",
    "in",
    "not in",
]
FILTERS = [
    "abs",
    "attr('a')",
    "batch(2)",
    "batch(3, 'x')",
    "capitalize",
    "center(9)",
    "count",
    "d('z')",
    "default('z', true)",
    "dictsort",
    "dictsort(by='value')",
    "e",
    "escape",
    "first",
    "float",
    "float(1.5)",
    "format(1)",
    "groupby('age')",
    "indent(2)",
    "indent(3, true, true)",
    "int",
    "int(7)",
    "items",
    "join",
    "join(', ')",
    "join('-', attribute='name')",
    "last",
    "length",
    "list",
    "lower",
    "map('upper')",
    "map('length')",
    "map(attribute='name')",
    "map(attribute='a', default='q')",
    "max",
    "min",
    "reject",
    "reject('none')",
    "rejectattr('tags')",
    "replace('a', 'o')",
    "reverse",
    "round",
    "round(1)",
    "round(0, 'ceil')",
    "safe",
    "select",
    "select('string')",
    "select('odd')",
    "selectattr('age', 'gt', 26)",
    "slice(2)",
    "sort",
    "sort(reverse=true)",
    "sort(attribute='name')",
    "string",
    "sum",
    "title",
    "tojson",
    "tojson(indent=1)",
    "trim",
    "truncate(5)",
    "truncate(4, true, '')",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
    "forceescape",
]
TESTS = [
    "boolean",
    "callable",
    "defined",
    "divisibleby(2)",
    "eq(1)",
    "escaped",
    "even",
    "false",
    "float",
    "gt(1)",
    "in([1, 'a'])",
    "integer",
    "iterable",
    "lower",
    "mapping",
    "none",
    "number",
    "odd",
    "sameas(none)",
    "sequence",
    "string",
    "true",
    "undefined",
    "upper",
    "ne('a')",
    "le(2)",
]
METHODS = [
    ".upper()",
    ".lower()",
    ".strip()",
    ".split()",
    ".split('a')",
    ".split(',', 1)",
    ".title()",
    ".startswith('a')",
    ".endswith(('o', 'd'))",
    ".replace('l', 'L')",
    ".find('o')",
    ".count('l')",
    ".items()",
    ".keys()",
    ".values()",
    ".get('a')",
    ".get('z', 3)",
    ".name",
    ".a",
    ".one",
    "[0]",
    "[-1]",
    "['a']",
    "[1:]",
    "[::-1]",
    "[:2]",
    "[-2:]",
    ".0",
    ".splitlines()",
    ".rsplit(None, 1)",
    ".partition('o')",
    ".zfill(4)",
    ".isdigit()",
    ".center(8, '*')",
    ".index('o')",
    ".index(1)",
    ".join(['x', 'y'])",
    ".format(1, 2)",
    ".copy()",
    ".append(1)",
    ".capitalize()",
    ".lstrip('H')",
    ".removeprefix('H')",
    ".nothing",
    "[1]",
    "[x]",
    "['name']",
    ".istitle()",
    ".swapcase()",
    ".casefold()",
    ".expandtabs(2)",
]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def expression(self, depth=0):
        pick = self.random.random()
        if depth > 3 or pick < 0.2:
            return self.random.choice(ATOMS)
        if pick < 0.45:
            return f"{self.operand(depth)} | {self.random.choice(FILTERS)}"
        if pick < 0.65:
            return self.operand(depth) + self.random.choice(METHODS)
        if pick < 0.85:
            return f"{self.operand(depth)} {self.random.choice(BINARY)} {self.operand(depth)}"
        if pick < 0.92:
            return f"{self.operand(depth)} is {self.random.choice(['', 'not '])}{self.random.choice(TESTS)}"
        if pick < 0.95:
            return f"{self.expression(depth + 1)} if {self.expression(depth + 1)} else {self.expression(depth + 1)}"
        if pick < 0.97:
            return f"{self.random.choice(['not ', '-'])}{self.operand(depth)}"
        return f"[{self.expression(depth + 1)}, {self.expression(depth + 1)}]"

    def operand(self, depth):
        text = self.expression(depth + 1)
        return f"({text})" if self.random.random() < 0.7 else text

    def tag(self, text):
        return (
            self.random.choice(["{%", "{%-", "{%", "{%+"])
            + f" {text} "
            + self.random.choice(["%}", "-%}", "%}", "+%}"])
        )

    def statement(self, depth=0):
        pick = self.random.random()
        body = lambda: self.block(depth + 1)
        if depth > 2 or pick < 0.5:
            return self.random.choice(
                ["{{ %s }}", "{{- %s }}", "{{ %s -}}", " {{ %s }}\n"]
            ) % self.expression(1)
        if pick < 0.6:
            return self.tag(
                f"set {self.random.choice(['i', 'u', 'ns.v', 'm'])} = {self.expression(1)}"
            )
        if pick < 0.7:
            other = self.tag("else") + body() if self.random.random() < 0.5 else ""
            return self.tag(f"if {self.expression(1)}") + body() + other + self.tag("endif")
        if pick < 0.85:
            condition = f" if {self.expression(2)}" if self.random.random() < 0.3 else ""
            other = self.tag("else") + body() if self.random.random() < 0.3 else ""
            leave = (
                self.tag(f"if {self.expression(2)}")
                + self.tag(self.random.choice(["break", "continue"]))
                + self.tag("endif")
            )
            return (
                self.tag(
                    f"for {self.random.choice(['i', 'u', 'i, u'])} in {self.expression(1)}{condition}"
                )
                + body()
                + (leave + body() if self.random.random() < 0.2 else "")
                + other
                + self.tag("endfor")
            )
        if pick < 0.9:
            return self.tag(f"set {self.random.choice(['i', 'm'])}") + body() + self.tag("endset")
        if pick < 0.95:
            call = "{{ f(%s) }}" % ", ".join(
                self.expression(2) for _ in range(self.random.randrange(3))
            )
            return (
                self.tag(f"macro f(i, u={self.expression(2)})")
                + body()
                + self.tag("endmacro")
                + call
            )
        return (
            self.tag("filter " + self.random.choice(["upper", "trim", "replace('a', 'b')"]))
            + body()
            + self.tag("endfilter")
        )

    def block(self, depth=0):
        texts = ["", "", "x", " ", "\n", "  \n", " y\n"]
        return "".join(
            self.statement(depth) + self.random.choice(texts)
            for _ in range(self.random.randint(1, 3))
        )

    def template(self):
        if self.random.random() < 0.7:
            return "{{ " + self.expression(self.random.randrange(1, 4)) + " }}"
        return "{% set ns = namespace(v=1) %}" + self.block()


def jinja2s(template):
    """None when it takes longer than a second."""
    signal.alarm(2)
    try:
        result = huggingface.render(template, cases.CONTEXT)
        return None if "too long" in result.get("error", "") else result
    finally:
        signal.alarm(0)


def stop(*_):
    raise TimeoutError("too long")


def same(want, got):
    # Functions and generators show where in memory they lie.
    if "object is not subscriptable" in got.get("error", ""):
        return True  # jinja2 makes nothing of a constant's slice, an error of a variable's
    if "output" not in want or "output" not in got:
        return ("output" in want) == ("output" in got)
    address = re.compile(r"(<|&lt;)[^<>]*?(?i: object|function|built-in|generator)[^<>]*?(>|&gt;)")
    return want["output"] == got["output"] or address.sub("", want["output"]) == address.sub(
        "", got["output"]
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--render", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20000)
    flags = parser.parse_args()
    signal.signal(signal.SIGALRM, stop)
    renderer = Renderer(flags.render)
    different, rendered = [], 0
    for seed in range(flags.seed, flags.seed + flags.count):
        template = Maker(seed).template()
        want = jinja2s(template)
        huggingface.chat_template_utils._compile_jinja_template.cache_clear()
        if want is None:
            continue
        got = renderer.render(template, cases.CONTEXT)
        rendered += "output" in want
        if not same(want, got):
            different.append((len(template), seed, template, want, got))
    for _, seed, template, want, got in sorted(different)[:50]:
        print(f"DIFFERENT seed {seed} {template!r}\n  want {want}\n  got  {got}")
    print(f"{flags.count} templates, {rendered} rendered, {len(different)} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
