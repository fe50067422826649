"""Tokenizers of ours in the shape of well-known families, and variants that use every other part.

Three are trained on the golden corpus and committed whole. A variant is one of them with another
normaliser, pre-tokeniser, decoder or set of added tokens: a JSON merge patch (RFC 7386).
"""

import io
import json
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_WORDS = LLAMA3_WORDS.replace(r"\p{N}{1,3}", r"\p{N}")
_TAIL = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K_WORDS = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_TAIL}|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_TAIL}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
BYTES_DECODER = {**BYTES, "use_regex": True, "add_prefix_space": True}
BYTES_POST = {**BYTES, "trim_offsets": False}


def sequence(kind: str, *steps: dict) -> dict:
    return {"type": "Sequence", kind: list(steps)}


def pre(*steps: dict) -> dict:
    return sequence("pretokenizers", *steps)


def split(pattern, behavior: str = "Isolated", invert: bool = False) -> dict:
    kind, text = pattern if isinstance(pattern, tuple) else ("Regex", pattern)
    return {"type": "Split", "pattern": {kind: text}, "behavior": behavior, "invert": invert}


def replace(pattern, content: str) -> dict:
    kind, text = pattern if isinstance(pattern, tuple) else ("String", pattern)
    return {"type": "Replace", "pattern": {kind: text}, "content": content}


def metaspace(scheme: str, split: bool = True) -> dict:
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


def strip(content: str, start: int, stop: int) -> dict:
    return {"type": "Strip", "content": content, "start": start, "stop": stop}


def added(content: str, special: bool = True, **flags) -> dict:
    token = dict(single_word=False, lstrip=False, rstrip=False, normalized=not special)
    return {"content": content, **token, "special": special, **flags}


def numbered(vocabulary: dict, tokens: list[dict]) -> list[dict]:
    """With the ids that a Tokenizer gives them: their own, or the next one free."""
    result, free = [], len(vocabulary)
    for token in tokens:
        number = vocabulary.get(token["content"], free)
        free += number == free
        result.append({"id": number, **token})
    return sorted(result, key=lambda token: token["id"])


def template(before: list[tuple[str, int]], after: list[tuple[str, int]] = ()) -> dict:
    def pieces(tokens, type_id):
        return [{"SpecialToken": {"id": name, "type_id": type_id}} for name, _ in tokens]

    def text(letter, type_id):
        return [*pieces(before, type_id), {"Sequence": {"id": letter, "type_id": type_id}}, *pieces(after, type_id)]

    names = {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in [*before, *after]}
    return {
        "type": "TemplateProcessing",
        "single": text("A", 0),
        "pair": text("A", 0) + text("B", 1),
        "special_tokens": names,
    }


def whole(model: dict, tokens: list[dict], **parts) -> dict:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": numbered(model["vocab"], tokens),
        "normalizer": parts.get("normalizer"),
        "pre_tokenizer": parts.get("pre_tokenizer"),
        "post_processor": parts.get("post_processor"),
        "decoder": parts.get("decoder"),
        "model": model,
    }


def train_bytes(lines: list[str], words: str, size: int) -> dict:
    """A byte-level BPE model."""
    tokenizer = Tokenizer(models.BPE())
    shape = json.loads(tokenizer.to_str())
    shape["pre_tokenizer"] = pre(split(words), BYTES)
    tokenizer = Tokenizer.from_str(json.dumps(shape))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    return json.loads(tokenizer.to_str())["model"]


def llama3(lines: list[str]) -> dict:
    model = train_bytes(lines, LLAMA3_WORDS, 2400)
    model["ignore_merges"] = True
    names = "begin_of_text end_of_text start_header_id end_header_id eot_id".split()
    tokens = [added(f"<|{name}|>") for name in names]
    begin = ("<|begin_of_text|>", len(model["vocab"]))
    return whole(
        model,
        tokens,
        pre_tokenizer=pre(split(LLAMA3_WORDS), BYTES),
        post_processor=sequence("processors", BYTES_POST, template([begin])),
        decoder=BYTES_DECODER,
    )


def qwen2(lines: list[str]) -> dict:
    tokens = [added(name) for name in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")]
    plain = ("<tool_call>", "</tool_call>", "<think>")
    tokens += [added(name, special=False, normalized=False) for name in plain]
    return whole(
        train_bytes(lines, QWEN2_WORDS, 2000),
        tokens,
        normalizer={"type": "NFC"},
        pre_tokenizer=pre(split(QWEN2_WORDS), BYTES),
        post_processor=BYTES_POST,
        decoder=BYTES_DECODER,
    )


def train_sentencepiece(lines: list[str], size: int, **options) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=size,
        minloglevel=2,
        **options,
    )
    return model.getvalue()


def llama2_sentencepiece(lines: list[str]) -> bytes:
    return train_sentencepiece(
        lines,
        2400,
        model_type="bpe",
        byte_fallback=True,
        split_digits=True,
        character_coverage=0.985,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
    )


# Normalisation of our own: what SentencePiece compiles into the map that its models carry.
RULES = {
    "ﬁ": "fi", "ﬂ": "fl", "ß": "ss", "æ": "ae", "\u00a0": " ", "\u3000": " ", "\t": " ", "\n": " ",
    "\u200b": "", "\u00ad": "", "e\u0301": "é", "a\u0308": "ä", "n\u0303": "ñ", "…": "...", "①": "1",
    "Å": "å", "－": "-", "ｶﾞ": "ガ", "㎏": "kg", "½": " 1/2 ", "😀": ":)", "👍🏿": "+1", "İ": "i̇",
    **{chr(0xFF21 + i): chr(0x61 + i) for i in range(26)}, **{chr(0xFF10 + i): chr(0x30 + i) for i in range(10)},
    **{chr(0x41 + i): chr(0x61 + i) for i in range(26)},
}  # fmt: skip


def rules_sentencepiece(lines: list[str]) -> bytes:
    """Without byte fallback; with rules, user-defined and control pieces, and pieces out of use."""

    def codes(text: str) -> str:
        return " ".join(f"{ord(c):X}" for c in text)

    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write("".join(f"{codes(a)}\t{codes(b)}\n" for a, b in sorted(RULES.items())))
        rules.flush()
        trained = train_sentencepiece(
            lines,
            1500,
            model_type="bpe",
            character_coverage=0.98,
            normalization_rule_tsv=rules.name,
            user_defined_symbols=["<sep>", "he", "▁the▁", "12"],
            control_symbols=["<ctl>"],
        )
    proto = sentencepiece_model_pb2.ModelProto.FromString(trained)
    for number, piece in enumerate(proto.pieces):
        if piece.type == piece.NORMAL and len(piece.piece) > 1 and number % 9 == 0:
            piece.type = piece.UNUSED
    return proto.SerializeToString()


def merges_of(vocabulary: dict[str, int]) -> list[list[str]]:
    """Every way to put a piece together from two others, by the piece's place in the vocabulary."""
    found = []
    for piece, rank in vocabulary.items():
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in vocabulary and right in vocabulary:
                found.append((rank, vocabulary[left], vocabulary[right], left, right))
    return [[left, right] for *_, left, right in sorted(found)]


LLAMA2_NORMALIZER = sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁"))
LLAMA2_DECODERS = [replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"}]


def llama2(model: bytes) -> dict:
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    vocabulary = {pieces.id_to_piece(i): i for i in range(pieces.get_piece_size())}
    words = {piece: i for piece, i in vocabulary.items() if i >= 3 and not pieces.is_byte(i)}
    bpe = {
        "type": "BPE",
        "dropout": None,
        "unk_token": "<unk>",
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": True,
        "ignore_merges": False,
        "vocab": vocabulary,
        "merges": merges_of(words),
    }
    return whole(
        bpe,
        [added("<unk>"), added("<s>"), added("</s>")],
        normalizer=LLAMA2_NORMALIZER,
        post_processor=template([("<s>", 1)]),
        decoder=sequence("decoders", *LLAMA2_DECODERS, strip(" ", 1, 0)),
    )


AWKWARD = [
    added("<mask>", lstrip=True),
    added("<pad>", rstrip=True, normalized=True),
    added("word", special=False, single_word=True),
    added("Ünïted", special=False),
    added("straẞe", special=False, lstrip=True, rstrip=True),
    added("\n\n", special=False, normalized=False),
]


def variants(bases: dict[str, dict]) -> dict[str, dict]:
    """name -> {"base": name, "patch": …}."""
    result = {}

    def add(name: str, base: str, tokens: list[dict] = (), **patch):
        for key in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
            if patch.get(key) and bases[base][key]:  # the whole component, not a merge of two
                old = dict.fromkeys(bases[base][key])
                patch[key] = {**old, **patch[key]}
        if tokens:
            own = [{k: v for k, v in t.items() if k != "id"} for t in bases[base]["added_tokens"]]
            patch["added_tokens"] = numbered(bases[base]["model"]["vocab"], [*own, *tokens])
        result[name] = {"base": base, "patch": patch}

    digits = {"type": "Digits", "individual_digits": True}
    gpt2 = {**BYTES, "use_regex": True}
    add("smollm", "qwen2", pre_tokenizer=pre(digits, gpt2), normalizer=None, post_processor=None)
    add("gpt2", "llama3", AWKWARD, pre_tokenizer={**gpt2, "add_prefix_space": True},
        post_processor=BYTES_POST, model={"ignore_merges": False})  # fmt: skip
    punctuation = {"type": "Punctuation", "behavior": "Contiguous"}
    add("falcon", "llama3", pre_tokenizer=pre(punctuation, gpt2, {**digits, "individual_digits": False},
        split("[0-9][0-9][0-9]")), model={"ignore_merges": False})  # fmt: skip
    add("o200k", "llama3", AWKWARD, pre_tokenizer=pre(split(O200K_WORDS, "Removed", invert=True), BYTES))
    add("deepseek", "qwen2", normalizer=sequence("normalizers"), pre_tokenizer=pre(
        split(r"[\r\n]"), split(r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-Ρ]+"),
        split(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"), split(r"\s+$"), split("[一-龥ࠀ-一가-퟿]+"), digits, BYTES))  # fmt: skip
    deepseek3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
                 r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")  # fmt: skip
    add("deepseek3", "llama3", pre_tokenizer=pre(
        split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(deepseek3), BYTES),
        model={"ignore_merges": False})  # fmt: skip
    add("spelled", "qwen2", AWKWARD, normalizer={"type": "ByteLevel"}, pre_tokenizer=split("Ġ|Ċ"),
        post_processor=template([], [("<|im_end|>", len(bases["qwen2"]["model"]["vocab"]) + 2)]))  # fmt: skip
    first = dict(pre_tokenizer=metaspace("first"), decoder=metaspace("first"))
    add("metaspace_first", "llama2", AWKWARD, normalizer=None, **first)
    strings = [" ".join(merge) for merge in bases["llama2"]["model"]["merges"]][:700]
    add("metaspace_always", "llama2", AWKWARD, normalizer={"type": "NFC"},
        pre_tokenizer=metaspace("always", split=False), decoder=metaspace("always"),
        post_processor=template([("<s>", 1), ("<s>", 1)], [("</s>", 2)]), model={"merges": strings})  # fmt: skip
    add("metaspace_never", "llama2", normalizer={"type": "NFKD"}, pre_tokenizer=metaspace("never"),
        decoder=metaspace("never"), model={"byte_fallback": False})  # fmt: skip
    add("gemma", "llama2", AWKWARD, normalizer=replace(" ", "▁"),
        pre_tokenizer=split(("String", " "), "MergedWithPrevious"),
        decoder=sequence("decoders", *LLAMA2_DECODERS))  # fmt: skip
    cases = sequence("normalizers", {"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"},
                     {"type": "Strip", "strip_left": True, "strip_right": True})  # fmt: skip
    add("uncased", "llama2", AWKWARD, normalizer=cases, pre_tokenizer=pre({"type": "Whitespace"}, digits),
        model={"byte_fallback": False, "fuse_unk": False}, decoder=None)  # fmt: skip
    add("nfkc", "llama2", AWKWARD, normalizer=sequence("normalizers", {"type": "NFKC"},
        replace(("Regex", r"\s{2,}|(?<=\p{Lu})\p{Nd}"), "▁"), {"type": "Strip", "strip_left": False, "strip_right": True}),
        pre_tokenizer=pre({"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "MergedWithPrevious"}),
        decoder=sequence("decoders", replace(("Regex", "[aeiou▁]+"), "*"), {"type": "Fuse"}))  # fmt: skip
    add("splits", "llama2", normalizer=None, pre_tokenizer=pre(
        split(("String", "e"), "MergedWithNext"), split(r"\d+", "MergedWithPrevious"), split("[^aiou]+", "Contiguous"),
        split(r"\s", "Removed"), split(r"[\p{L}\p{M}]+", "MergedWithNext", invert=True)),
        # Stripping the end of an empty string, or more than a string has, panics in Hugging Face.
        decoder=sequence("decoders", strip("▁", 0, 1), strip("a", 1, 0), {"type": "ByteFallback"}),
        model={"byte_fallback": False, "unk_token": None})  # fmt: skip
    return result


def merged(target, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
