"""Compares chorus_tokenize with Hugging Face tokenizers on random strings and random ids.

    python compare.py --tool build/release/bin/chorus_tokenize --count 1000000 [--smollm2 DIR] [name …]

Every string is encoded without special tokens; one batch of five also with special tokens and with
isolated ones, and decoded in both ways. Prints each difference (up to a few) and, for each
tokenizer, how much was compared. Exits 1 when anything differs. Run by hand, never in CI.
"""

import argparse
import array
import json
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tokenizers import Tokenizer

import corpus
import pipelines

DATA = Path(__file__).parent / "data"
BATCH = 2000
SHOWN = 5


def packed(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


def packed_ids(ids: list[int]) -> bytes:
    return struct.pack("<I", len(ids)) + array.array("i", ids).tobytes()


class HuggingFace:
    def __init__(self, content: str):
        self.plain = Tokenizer.from_str(content)
        self.isolating = Tokenizer.from_str(content)
        self.isolating.encode_special_tokens = True
        self.size = max(self.plain.get_vocab(with_added_tokens=True).values()) + 1

    def encoded(self, texts: list[str]) -> list[tuple[list[int], list[int], list[int]]]:
        ways = (
            self.plain.encode_batch_fast(texts, add_special_tokens=False),
            self.plain.encode_batch_fast(texts),
            self.isolating.encode_batch_fast(texts),
        )
        return list(zip(*([encoding.ids for encoding in way] for way in ways)))

    def decoded(self, sequences: list[list[int]]) -> list[tuple[str, str]]:
        # One that is empty stays out: decode_batch and decode agree on all others.
        skipped = self.plain.decode_batch(sequences, skip_special_tokens=True)
        return list(zip(skipped, self.plain.decode_batch(sequences, skip_special_tokens=False)))


class Ours:
    def __init__(self, tool: str, folder: str):
        self.process = subprocess.Popen([tool, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, requests: list[bytes]) -> None:
        """Answers have to be taken while this goes on, or both pipes fill."""
        threading.Thread(target=self._write, args=(b"".join(requests),)).start()

    def _write(self, content: bytes) -> None:
        self.process.stdin.write(content)
        self.process.stdin.flush()

    def _exactly(self, count: int) -> bytes:
        data = self.process.stdout.read(count)
        if len(data) < count:
            raise SystemExit(f"the tool ended with {self.process.wait()}")
        return data

    def _list(self, width: int) -> bytes:
        return self._exactly(struct.unpack("<I", self._exactly(4))[0] * width)

    def answer(self, encode: bool):
        if self._exactly(1) != b"\0":
            return "refused"
        ids = tuple(array.array("i", self._list(4)).tolist() for _ in range(3 if encode else 0))
        return ids, tuple(self._list(1) for _ in range(2))

    def plain(self) -> bytes:
        """The ids of an answer to 'P' as they come, empty when it is a refusal."""
        if self._exactly(1) != b"\0":
            return b""
        count = self._exactly(4)
        return count + self._exactly(struct.unpack("<I", count)[0] * 4)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class Comparison:
    def __init__(self, name: str, tool: str, folder: str, content: str):
        self.name, self.theirs = name, HuggingFace(content)
        self.ours = Ours(tool, folder)
        self.differences = 0

    def report(self, what, want, got) -> None:
        self.differences += 1
        if self.differences <= SHOWN:
            print(f"{self.name}: {what!r}\n  want {want}\n  got  {got}", flush=True)

    def texts(self, texts: list[str]) -> None:
        self.ours.ask([b"E" + packed(text.encode()) for text in texts])
        want = self.theirs.encoded(texts)
        decoded = self.theirs.decoded([ids[1] for ids in want])
        for text, ids, out in zip(texts, want, decoded):
            answer = (ids, tuple(part.encode() for part in out))
            got = self.ours.answer(True)
            if got != answer:
                self.report(text, answer, got)

    def plain(self, texts: list[str]) -> None:
        self.ours.ask([b"P" + packed(text.encode()) for text in texts])
        encodings = self.theirs.plain.encode_batch_fast(texts, add_special_tokens=False)
        for text, encoding in zip(texts, encodings):
            got = self.ours.plain()
            if got != packed_ids(encoding.ids):
                self.report(text, encoding.ids, got and array.array("i", got[4:]).tolist())

    def ids(self, sequences: list[list[int]]) -> None:
        self.ours.ask([b"D" + packed_ids(ids) for ids in sequences])
        for ids, out in zip(sequences, self.theirs.decoded(sequences)):
            answer = ((), tuple(part.encode() for part in out))
            got = self.ours.answer(False)
            if got != answer:
                self.report(ids, answer, got)


def random_ids(rng: random.Random, size: int, low: list[int]) -> list[int]:
    """Any ids, with many bytes (the first few hundred of the vocabulary) among them."""
    choices = (lambda: rng.randrange(size), lambda: rng.choice(low))
    return [rng.choice(choices)() for _ in range(rng.randint(0, 12))]


def compare(name: str, tool: str, content: str, count: int, seed: int) -> int:
    own = [token["content"] for token in json.loads(content).get("added_tokens") or []]
    source = corpus.Source(seed, own, corpus.sentences())
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tokenizer.json").write_text(content, encoding="utf-8")
        comparison = Comparison(name, tool, folder, content)
        for done in range(0, count, BATCH):
            lines = [source.line() for _ in range(min(BATCH, count - done))]
            (comparison.plain if done // BATCH % 5 else comparison.texts)(lines)
        sequences = count // 10
        low = list(range(300)) + list(range(comparison.theirs.size - 12, comparison.theirs.size))
        for done in range(0, sequences, BATCH):
            size = min(BATCH, sequences - done)
            batch = [random_ids(source.rng, comparison.theirs.size, low) for _ in range(size)]
            comparison.ids(batch)
        comparison.ours.close()
    took = time.monotonic() - started
    print(f"{name}: {count} strings, {sequences} id sequences, seed {seed}: "
          f"{comparison.differences} differences, {took:.0f} s", flush=True)  # fmt: skip
    return comparison.differences


def contents(smollm2: Path | None) -> dict[str, str]:
    """name -> tokenizer.json"""
    result = {}
    for name in ("llama3", "qwen2", "llama2"):
        result[name] = (DATA / name / "tokenizer.json").read_text(encoding="utf-8")
    for name, variant in json.loads((DATA / "variants.json").read_text(encoding="utf-8")).items():
        base = json.loads(result[variant["base"]])
        patched = pipelines.merged(base, variant["patch"])
        result[name] = json.dumps(patched, ensure_ascii=False)
    if smollm2:
        result["smollm2"] = (smollm2 / "tokenizer.json").read_text(encoding="utf-8")
    return result


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True)
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--smollm2", type=Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    known = contents(arguments.smollm2)
    total = 0
    for name in arguments.names or known:
        total += compare(name, arguments.tool, known[name], arguments.count, arguments.seed)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
