#!/usr/bin/env python3
"""Writes unicode_tables.inc: what each code point is to Hugging Face tokenizers.

Every fact is probed from the package itself (pip install tokenizers==0.23.3), never taken from
Unicode's files: its regular expressions, its Rust library and its normalisation follow three
different versions of Unicode. Run it from this folder when the pinned version changes.
"""
import unicodedata

from tokenizers import Regex, __version__, normalizers, pre_tokenizers

PINNED = "0.23.3"
ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
TEXT = "".join(map(chr, ALL))

CATEGORIES = (
    "Cc Cf Cn Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs"
).split()
BRACKETS = "alnum alpha blank cntrl digit graph lower print punct space upper word xdigit".split()
SCRIPTS = """Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak
Bengali Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian
Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common Coptic Cuneiform Cypriot Cypro_Minoan
Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic
Garay Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Gurung_Khema Han
Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited
Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li
Kharoshthi Khitan_Small_Script Khmer Khojki Khudawadi Kirat_Rai Lao Latin Lepcha Limbu Linear_A
Linear_B Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi
Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro
Multani Myanmar Nabataean Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong
Ogham Ol_Chiki Ol_Onal Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian
Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau
Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham
SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese Sunuwar Syloti_Nagri Syriac Tagalog
Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh
Tirhuta Todhri Toto Tulu_Tigalari Ugaritic Vai Vithkuqi Wancho Warang_Citi Yezidi Yi
Zanabazar_Square""".split()


def matched(negated_pattern):
    """The code points left when everything that matches the pattern is deleted."""
    kept = normalizers.Replace(Regex(negated_pattern), "").normalize_str(TEXT)
    return list(map(ord, kept))


def removed_by(split):
    """The code points that a pre-tokeniser with behaviour "removed" drops."""
    kept = set()
    for piece, _ in split.pre_tokenize_str(TEXT):
        kept.update(map(ord, piece))
    return [c for c in ALL if c not in kept]


def ranges(codes):
    """Inclusive ranges; the surrogates between two members do not break one."""
    result = []
    for code in codes:
        if result and (code == result[-1][1] + 1 or (code, result[-1][1]) == (0xE000, 0xD7FF)):
            result[-1][1] = code
        else:
            result.append([code, code])
    return result


def emit(out, name, numbers):
    out.append(f"constexpr uint32_t {name}[] = {{")
    line = "   "
    for number in numbers:
        word = f" {number},"
        if len(line) + len(word) > 100:
            out.append(line)
            line = "   "
        line += word
    out.append(line.rstrip(","))
    out.append("};")


def emit_set(out, name, codes):
    """Pairs: code points skipped since the last range, length of the range."""
    numbers, end = [], 0
    for first, last in ranges(codes):
        numbers += [first - end, last - first + 1]
        end = last + 1
    emit(out, name, numbers or [0, 0])


def per_code_point(normalizer, codes):
    """What the normaliser makes of each code point alone; line feeds keep them apart."""
    lines = normalizer.normalize_str("\n".join(map(chr, codes))).split("\n")
    assert len(lines) == len(codes)
    return dict(zip(codes, lines))


def decompositions():
    codes = [c for c in ALL if c != 10 and not 0xAC00 <= c <= 0xD7A3]
    nfd = per_code_point(normalizers.NFD(), codes)
    nfkd = per_code_point(normalizers.NFKD(), codes)
    canonical = {c: s for c, s in nfd.items() if s != chr(c)}
    compatible = {c: s for c, s in nfkd.items() if s != nfd[c]}
    return canonical, compatible


def combining_classes(canonical):
    """Orders marks by swapping: NFD puts a lower class first, and never moves a starter."""
    nfd = normalizers.NFD()
    codes = [c for c in ALL if c != 10 and not 0xAC00 <= c <= 0xD7A3 and c not in canonical]

    def swapped(pairs):
        lines = nfd.normalize_str("\n".join(a + b for a, b in pairs)).split("\n")
        return [a != b and line == b + a for line, (a, b) in zip(lines, pairs)]

    low, high = "\u0334", "\u0345"  # classes 1 and 240
    after_low = swapped([(chr(c), low) for c in codes])
    before_high = swapped([(high, chr(c)) for c in codes])
    marks = [c for c, a, b in zip(codes, after_low, before_high) if a or b]
    by_class = {}
    for c in marks:
        by_class.setdefault(unicodedata.combining(chr(c)), chr(c))
    known = sorted(k for k in by_class if k)
    result = {}
    for c in marks:
        below = swapped([(chr(c), by_class[k]) for k in known])  # k < class of c
        above = swapped([(by_class[k], chr(c)) for k in known])  # k > class of c
        same = [k for k, b, a in zip(known, below, above) if not a and not b]
        assert len(same) == 1, (hex(c), same)
        result[c] = same[0]
    return result


def compositions(canonical):
    nfc = normalizers.NFC()
    result = []
    for code, text in canonical.items():
        if len(text) < 2 or nfc.normalize_str(text) != chr(code):
            continue
        first = nfc.normalize_str(text[:-1])
        assert len(first) == 1, hex(code)
        assert nfc.normalize_str(first + text[-1]) == chr(code), hex(code)
        result.append((ord(first), ord(text[-1]), code))
    return sorted(result)


def case_orbits():
    """Code points that (?i) takes for each other; several-character foldings are left out."""
    cased = [
        c
        for c in ALL
        if len({chr(c), chr(c).lower(), chr(c).upper(), chr(c).title(), chr(c).casefold()}) > 1
    ]
    text = "".join(map(chr, cased))
    orbits = {}
    for c in cased:
        kept = set(normalizers.Replace(Regex(f"(?i:\\x{{{c:x}}})"), "").normalize_str(text))
        equal = [d for d in cased if chr(d) not in kept]
        if len(equal) > 1:
            orbits[c] = equal
    return orbits


def lowercase():
    lines = per_code_point(normalizers.Lowercase(), [c for c in ALL if c != 10])
    return {c: s for c, s in lines.items() if s != chr(c)}


def emit_mapping(out, name, mapping):
    """Records: code point − the one before, number of code points, the code points."""
    numbers, previous = [], 0
    for code in sorted(mapping):
        numbers += [code - previous, len(mapping[code]), *map(ord, mapping[code])]
        previous = code
    emit(out, name, numbers)


def main():
    assert __version__ == PINNED, __version__
    out = [
        f"// Written by unicode_tables.py from tokenizers {PINNED}; do not edit.",
        "// Sets are pairs (code points skipped, length of the range); mappings are records",
        "// (code point - the one before, number of code points, the code points).",
    ]
    table = []

    def add(prefix, name, codes):
        identifier = f"k{prefix}{name.replace('_', '').title()}"
        emit_set(out, identifier, codes)
        table.append((prefix, name, identifier))

    for name in CATEGORIES:
        add("Category", name, matched(rf"\P{{{name}}}"))
    for name in BRACKETS:
        add("Bracket", name, matched(f"[^[:{name}:]]"))
    for name in SCRIPTS:
        add("Script", name, matched(rf"\P{{{name}}}"))
    add("Perl", "d", matched(r"\D"))
    add("Perl", "s", matched(r"\S"))
    add("Perl", "w", matched(r"\W"))

    pre = pre_tokenizers
    words = set(map(ord, "".join(w for w, _ in pre.Whitespace().pre_tokenize_str(TEXT))))
    rust_space = [c for c in ALL if c not in words]
    joined = [c for c in ALL if len(pre.Whitespace().pre_tokenize_str("a" + chr(c))) == 1]
    add("Rust", "word", [c for c in joined if c not in set(rust_space)])
    add("Rust", "regex_space", rust_space)
    add("Rust", "whitespace", removed_by(pre.WhitespaceSplit()))
    add("Rust", "punctuation", removed_by(pre.Punctuation("removed")))
    digits = pre.Sequence([pre.Digits(individual_digits=True)])
    numeric = [c for c in ALL if len(digits.pre_tokenize_str("a" + chr(c) + "a")) == 3]
    add("Rust", "numeric", numeric)
    stripped = set(map(ord, normalizers.StripAccents().normalize_str(TEXT)))
    add("Rust", "combining_mark", [c for c in ALL if c not in stripped])

    canonical, compatible = decompositions()
    emit_mapping(out, "kCanonical", canonical)
    emit_mapping(out, "kCompatible", compatible)
    classes = combining_classes(canonical)
    by_class = {}
    for code, value in classes.items():
        by_class.setdefault(value, []).append(code)
    numbers = []
    for value in sorted(by_class):
        for first, last in ranges(sorted(by_class[value])):
            numbers += [first, last - first + 1, value]
    out.append("// Triples: first code point, length of the range, combining class.")
    emit(out, "kCombiningClass", numbers)
    out.append("// Triples: first, second, what they compose to.")
    emit(out, "kCompositions", [n for triple in compositions(canonical) for n in triple])
    emit_mapping(out, "kLowercase", lowercase())
    # Foldings to several characters: only known so that (?i) beside one can be refused.
    folds = {c: chr(c).casefold() for c in ALL if len(chr(c).casefold()) > 1}
    emit_mapping(out, "kLongFoldings", folds)
    orbits = case_orbits()
    emit_mapping(out, "kCaseOrbits", {c: "".join(map(chr, o)) for c, o in orbits.items()})

    out.append("constexpr NamedTable kNamedTables[] = {")
    for prefix, name, identifier in table:
        out.append(f'    {{Family::k{prefix}, "{name.lower()}", {identifier}}},')
    out.append("};")
    with open("unicode_tables.inc", "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
