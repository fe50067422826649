"""Lines to tokenise: seeded, over all of Unicode, and awkward on purpose.

A Source yields one line after the other; the golden corpus takes a few thousand of them and the
comparison of random strings as many as it is asked for. Files hold one line each, in UTF-8, with
backslash, line feed, carriage return and NUL escaped.
"""

import random
import unicodedata
from pathlib import Path

ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\0": "\\0"}

LATIN = "abcdefghijklmnopqrstuvwxyz"
SYLLABLES = "ka lo mi ter en ing ation un re wo s the st qu ch ou ei ly er ed al or is".split()
ACCENTED = "àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿœšžßąćęłńśźżășțğıİőűĐđȘẞ"
WHITE = [" ", "  ", "    ", "\t", "\n", "\r\n", "\r", "\n\n", "\v", "\f", "\u0085", "\u00a0"]
WHITE += ["\u1680", "\u2003", "\u2009", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\u200b"]
PUNCTUATION = ".,;:!?()[]{}<>/\\|@#$%^&*-_=+~`'\"…–—“”‘’«»¿¡·•§¶†‡‰′″‹›。、！？，；：（）「」『』【】"
CONTRACTIONS = "'s 't 're 've 'm 'll 'd 'S 'T 'RE 'VE 'M 'LL 'D ’s 'ſ 'ſt n't".split()
EMOJI = "😀 😂 🤖 🏴‍☠️ 👩‍💻 👨‍👩‍👧‍👦 🧑🏽‍🚀 👍🏿 👋🏻 ❤️ ❤ ☎️ ⌚ ⭐ 🇩🇪 🇯🇵 🇧🇷 🇺🇳 🏳️‍🌈 🏴󠁧󠁢󠁳󠁣󠁴󠁿 1️⃣ #️⃣ ©️ 🀄 🃏 🫠 🪿 🦜 🎼".split()
MARKS = [c for c in map(chr, range(0x300, 0x370))] + list("\u0591\u05b0\u05bc\u064b\u0651\u0670")
MARKS += list("\u093c\u094d\u0f71\u0f72\u302a\u3099\u309a\u20d0\u20dd\u20e3\ufe20\ufe0f\u1dc0\u0345")
# Where composition, decomposition, case and width have their exceptions.
PECULIAR = list("ǅǆǇΐΰςΣσſßẞıİȷﬁﬃŉǰẖℵÅÅΩKKµμªº²½⅓①㎏㍿ﷺﷲ㈱！ａｚ０９ｶﾞﾊﾟ각한ᄀ각각")
PECULIAR += list("\u0344\u0958\u09cb\u09c7\u09be\u0b4c\u0dde\u1026\u0f43\u0f77\u2126\u212b\u2adc")
PECULIAR += list("\ufb1d\ufb2c\ufb4e\U0001d15e\U0001d1c0\U0001109a\U00011935\uf900\ufa10\U0002f800")
PECULIAR += list("\u00ad\u034f\u061c\u180e\u200c\u200d\u200e\u202a\u2060\u2066\ufeff\ufff9\ufffd\uffff")
IDENTIFIERS = "i j n x foo bar self value count_of parseHTTP MAX_LEN std size_t np fmt println".split()
KEYWORDS = "if for while return def class struct fn let const int auto void import from match".split()
OPERATORS = "= == != <= => -> + - * / % & | ^ ~ << >> && || += :: . , ; : ? ! ... ++ -- ** //".split()
SPECIALS = """<s> </s> <unk> <pad> [INST] [/INST] <|im_start|> <|im_end|> <|endoftext|> <|eot_id|>
<|begin_of_text|> <|start_header_id|> <|end_header_id|> <tool_call> </tool_call> <think> <mask>
<0x0A> <0xE2> <0x> ▁ ▁▁ <|im_ <|im_start|>|> <<s>> </s ▁<s> word Word wordy straẞe Ünïted""".split()

# First and last code points of what a line of one script draws from.
SCRIPTS = [
    (0x20, 0x7E), (0xA0, 0xFF), (0x100, 0x24F), (0x250, 0x2FF), (0x370, 0x3FF), (0x400, 0x52F),
    (0x530, 0x58F), (0x5D0, 0x5F4), (0x600, 0x6FF), (0x700, 0x74F), (0x750, 0x77F), (0x780, 0x7BF),
    (0x900, 0x97F), (0x980, 0x9FF), (0xA00, 0xA7F), (0xA80, 0xAFF), (0xB00, 0xB7F), (0xB80, 0xBFF),
    (0xC00, 0xC7F), (0xC80, 0xCFF), (0xD00, 0xD7F), (0xD80, 0xDFF), (0xE00, 0xE7F), (0xE80, 0xEFF),
    (0xF00, 0xFFF), (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x139F),
    (0x13A0, 0x13FF), (0x1400, 0x167F), (0x1680, 0x16FF), (0x1700, 0x177F), (0x1780, 0x17FF),
    (0x1800, 0x18AF), (0x1900, 0x19FF), (0x1A00, 0x1AFF), (0x1B00, 0x1CFF), (0x1D00, 0x1DBF),
    (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x20CF), (0x2100, 0x218F), (0x2190, 0x22FF),
    (0x2300, 0x24FF), (0x2500, 0x27BF), (0x2800, 0x28FF), (0x2900, 0x2BFF), (0x2C00, 0x2DFF),
    (0x2E00, 0x2FFF), (0x3000, 0x303F), (0x3040, 0x30FF), (0x3100, 0x31FF), (0x3200, 0x33FF),
    (0x3400, 0x4DFF), (0x4E00, 0x9FFF), (0xA000, 0xA4FF), (0xA500, 0xA6FF), (0xA700, 0xA7FF),
    (0xA800, 0xA8FF), (0xA900, 0xAAFF), (0xAB00, 0xABFF), (0xAC00, 0xD7FF), (0xE000, 0xF8FF),
    (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFE6F), (0xFE70, 0xFEFF), (0xFF00, 0xFFFF),
    (0x10000, 0x107FF), (0x10800, 0x10FFF), (0x11000, 0x11FFF), (0x12000, 0x143FF),
    (0x14400, 0x16FFF), (0x17000, 0x1B2FF), (0x1BC00, 0x1CFFF), (0x1D000, 0x1DFFF),
    (0x1E000, 0x1EFFF), (0x1F000, 0x1FAFF), (0x1FB00, 0x1FFFF), (0x20000, 0x323AF),
    (0xE0000, 0xE01EF), (0xF0000, 0x10FFFF),
]  # fmt: skip


def is_scalar(code: int) -> bool:
    return not 0xD800 <= code < 0xE000


def any_character(rng: random.Random) -> str:
    while True:
        code = rng.randrange(0x110000)
        if is_scalar(code):
            return chr(code)


class Source:
    def __init__(self, seed: int, specials: list[str] = SPECIALS, sentences: list[str] = ()):
        self.rng = random.Random(seed)
        self.specials = [*specials, *SPECIALS]
        self.sentences = sentences
        self.parts = [
            self.word, self.word, self.word, self.script, self.script, self.script, self.number,
            self.white, self.white, self.punctuation, self.emoji, self.marks, self.special,
            self.peculiar, self.anything, self.control, self.contraction, self.syllables,
        ]  # fmt: skip

    def line(self) -> str:
        kind = self.rng.random()
        if kind < 0.12:
            return self.code()
        if kind < 0.24:
            return self.script(self.rng.randint(1, 40))
        if kind < 0.28:
            return self.anything(self.rng.randint(1, 20))
        if kind < 0.36:
            return self.prose()
        return "".join(self.rng.choice(self.parts)() for _ in range(self.rng.randint(1, 12)))

    def some(self, characters, low: int, high: int) -> str:
        return "".join(self.rng.choices(characters, k=self.rng.randint(low, high)))

    def word(self) -> str:
        text = self.some(LATIN if self.rng.random() < 0.7 else LATIN + ACCENTED, 1, 9)
        case = self.rng.random()
        if case < 0.2:
            text = text.capitalize()
        elif case < 0.3:
            text = text.upper()
        elif case < 0.35:
            text = "".join(self.rng.choice((c.lower(), c.upper())) for c in text)
        return self.rng.choice(("", " ", " ")) + text

    def syllables(self) -> str:
        return " " + "".join(self.rng.choices(SYLLABLES, k=self.rng.randint(1, 4)))

    def prose(self) -> str:
        if not self.sentences:
            return "".join(self.syllables() for _ in range(self.rng.randint(2, 12))).strip() + "."
        text = self.rng.choice(self.sentences)
        begin = self.rng.randrange(len(text))
        text = text[begin : begin + self.rng.randint(1, 60)]
        return text if self.rng.random() < 0.7 else text + self.rng.choice(self.parts)()

    def script(self, length: int = 0) -> str:
        first, last = self.rng.choice(SCRIPTS)
        length = length or self.rng.randint(1, 6)
        codes = (self.rng.randint(first, last) for _ in range(length))
        text = "".join(chr(code) for code in codes if is_scalar(code))
        if self.rng.random() < 0.3:
            text = text.replace(text[len(text) // 2 : len(text) // 2 + 1], " ")
        return text

    def number(self) -> str:
        digits = self.rng.choice(("0123456789",) * 5 + ("٠١٢٣٤", "०१२३", "０１２", "²³½Ⅷ①", "0123.,"))
        return self.rng.choice(("", " ", "-", "$")) + self.some(digits, 1, 12)

    def white(self) -> str:
        if self.rng.random() < 0.5:
            return self.rng.choice(WHITE) * self.rng.randint(1, 5)
        return self.some(WHITE, 1, 4)

    def punctuation(self) -> str:
        return self.some(PUNCTUATION, 1, 5)

    def emoji(self) -> str:
        return self.some(EMOJI, 1, 3)

    def marks(self) -> str:
        base = self.rng.choice(("a", "E", "o", "\u05d0", "\u0627", "\u0915", "\u304b", "\u1112", "\u00e9", "="))
        return base + self.some(MARKS, 1, 4)

    def special(self) -> str:
        text = self.rng.choice(self.specials)
        if self.rng.random() < 0.1:
            cut = self.rng.randrange(len(text))
            text = text[:cut] + text[cut + 1 :]
        return self.rng.choice(("", "", " ", "  ", "\n")) + text

    def peculiar(self) -> str:
        return self.some(PECULIAR, 1, 4)

    def anything(self, length: int = 3) -> str:
        return "".join(any_character(self.rng) for _ in range(length))

    def control(self) -> str:
        return "".join(chr(self.rng.choice((self.rng.randrange(32), self.rng.randrange(127, 160)))) for _ in range(2))

    def contraction(self) -> str:
        return self.rng.choice(LATIN) + self.rng.choice(CONTRACTIONS) + self.rng.choice(("", "x", " "))

    def code(self) -> str:
        lines = []
        for _ in range(self.rng.randint(1, 3)):
            words = []
            for _ in range(self.rng.randint(1, 6)):
                words.append(self.rng.choice(KEYWORDS if self.rng.random() < 0.3 else IDENTIFIERS))
                words.append(self.rng.choice(OPERATORS))
                if self.rng.random() < 0.3:
                    words.append(str(self.rng.randrange(10 ** self.rng.randint(1, 8))))
            joint = self.rng.choice((" ", " ", ""))
            lines.append(self.rng.choice((" " * 4, "\t", "", " " * 8)) + joint.join(words))
        return self.rng.choice(("\n", "\n", "\r\n")).join(lines)


def sentences() -> list[str]:
    path = Path(__file__).parent / "sentences.txt"
    lines = path.read_text(encoding="utf-8").split("\n")
    return [line for line in lines if line and not line.startswith("# ")]


def fixed_lines() -> list[str]:
    """Lines that no draw need find: empty, long runs, each mark order, everything normal twice."""
    lines = ["", " ", "  ", "\n", "\0", "a" * 300, " " * 300, "a " * 100, "\u0301" * 60, "é" * 90]
    lines += ["".join(SPECIALS), " ".join(SPECIALS), "\n".join(WHITE), "x".join(WHITE), "".join(EMOJI)]
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        lines += [unicodedata.normalize(form, "".join(PECULIAR)), unicodedata.normalize(form, ACCENTED)]
    lines += [f"I{c}x he{c} {c}" for c in CONTRACTIONS]
    lines += [f" {s} {s}{s}a {s}\n" for s in SPECIALS]
    lines += [a + b for a in ("a", " ", "1", "") for b in WHITE]
    return lines


def corpus(count: int) -> list[str]:
    own = sentences()
    source = Source(1, sentences=own)
    lines = dict.fromkeys([*fixed_lines(), *own])
    while len(lines) < count:
        lines.setdefault(source.line())
    return list(lines)


def escape(line: str) -> str:
    return "".join(ESCAPES.get(c, c) for c in line)
