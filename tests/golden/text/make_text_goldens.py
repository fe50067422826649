"""Makes data/: tokenizers, corpus, and what Hugging Face tokenizers makes of each line.

    python make_text_goldens.py train             tokenizers and corpus anew
    python make_text_goldens.py variants          variants.json alone
    python make_text_goldens.py [--smollm2 DIR] digests [name …]

Run by hand, never in CI. Versions are pinned: tokenizers 0.23.3, sentencepiece 0.2.3. The digests
of tokenizer.model files come from make_sentencepiece_goldens.py.

digests/NAME.txt has one line for each line of corpus.txt, then one for each 4096 code points of the
planes that are in use (plane_text), then one for each of some sequences of any ids (id_sequences):
six hex digits of SHA-256 over the ids, a blank, six over the texts. The ids are those without
special tokens, with them, and with isolated special tokens, each as its count and its ids, 32 bits,
little-endian (nothing for a sequence of ids); the texts the second, or the sequence, decoded
without special tokens and with them, each as its size and its UTF-8.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import tokenizers

import compare
import corpus
import pipelines

DATA = compare.DATA
LINES = 5600
SEQUENCES = 400
PLANES = [*range(0, 0x40), *range(0xE0, 0xE2), 0xF0, 0x10F]  # in 4096 code points


def train() -> None:
    lines = corpus.corpus(LINES)
    DATA.mkdir(exist_ok=True)
    text = "".join(corpus.escape(line) + "\n" for line in lines)
    (DATA / "corpus.txt").write_text(text, encoding="utf-8")
    texts = [*corpus.sentences() * 3, *lines]
    readable = [*corpus.sentences() * 3, *(line for line in lines if line.isascii() and line.isprintable())]
    model = pipelines.llama2_sentencepiece(readable)
    bases = {
        "llama3": pipelines.llama3(texts),
        "qwen2": pipelines.qwen2(texts),
        "llama2": pipelines.llama2(model),
    }
    for name, content in bases.items():
        (DATA / name).mkdir(exist_ok=True)
        write_json(DATA / name / "tokenizer.json", content)
    (DATA / "llama2" / "tokenizer.model").write_bytes(model)
    (DATA / "rules").mkdir(exist_ok=True)
    (DATA / "rules" / "tokenizer.model").write_bytes(pipelines.rules_sentencepiece(readable))
    write_variants()


def write_variants() -> None:
    bases = {}
    for name in ("llama3", "qwen2", "llama2"):
        bases[name] = json.loads((DATA / name / "tokenizer.json").read_text(encoding="utf-8"))
    write_json(DATA / "variants.json", pipelines.variants(bases))


def write_json(path: Path, content: dict) -> None:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"
    path.write_text(text, encoding="utf-8")


def plane_text(index: int) -> str:
    """4096 code points, side by side, and again as words of a letter, one of them and a digit."""
    codes = [c for c in range(index * 4096, (index + 1) * 4096) if corpus.is_scalar(c)]
    return "".join(map(chr, codes)) + "".join(f" x{chr(c)}1" for c in codes)


def id_sequences(size: int) -> list[list[int]]:
    """Short ones, half of the ids from the front of the vocabulary, where the bytes are."""
    state = 1
    result = []

    def draw(end: int) -> int:
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % end

    for _ in range(SEQUENCES):
        result.append([draw(300) if draw(2) else draw(size) for _ in range(draw(12))])
    return result


def digest(parts: list[bytes]) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:6]


def digests(theirs) -> list[str]:
    """`theirs` has what compare.HuggingFace has."""
    lines = corpus.corpus(LINES)
    written = "".join(corpus.escape(line) + "\n" for line in lines)
    assert written == (DATA / "corpus.txt").read_text(encoding="utf-8"), "train anew"
    texts = [*lines, *map(plane_text, PLANES)]
    sequences = id_sequences(theirs.size)
    ids = [*theirs.encoded(texts), *([[]] * len(sequences))]
    decoded = theirs.decoded([*(ways[1] for ways in ids[: len(texts)]), *sequences])
    return [
        f"{digest([compare.packed_ids(way) for way in ways])} "
        f"{digest([compare.packed(text.encode()) for text in out])}"
        for ways, out in zip(ids, decoded, strict=True)
    ]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "variants", "digests"])
    parser.add_argument("--smollm2", type=Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
    if arguments.what != "digests":
        train() if arguments.what == "train" else write_variants()
        return 0
    (DATA / "digests").mkdir(exist_ok=True)
    known = compare.contents(arguments.smollm2)
    for name in arguments.names or known:
        lines = digests(compare.HuggingFace(known[name]))
        (DATA / "digests" / f"{name}.txt").write_text("".join(line + "\n" for line in lines))
        print(f"{name}: {len(lines)} lines", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
