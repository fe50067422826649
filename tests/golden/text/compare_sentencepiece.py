"""Compares chorus_tokenize on a tokenizer.model with transformers' LlamaTokenizer (ids) and with
SentencePiece itself (texts), on the golden corpus, random strings and random ids.

    python compare_sentencepiece.py --tool build/release/bin/chorus_tokenize --count 100000 MODEL …

Each MODEL is tried with several configurations. Needs transformers 4.57 and sentencepiece; real
models lie in the package mistral-common, under mistral_common/data. Run by hand, never in CI.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import sentencepiece
import transformers
from sentencepiece import sentencepiece_model_pb2

import compare
import corpus


def token(content: str, special: bool = True, **flags) -> dict:
    off = dict(lstrip=False, rstrip=False, normalized=False, single_word=False)
    return {"content": content, **off, "special": special, **flags}


def configurations(pieces: sentencepiece.SentencePieceProcessor) -> dict[str, dict]:
    size = pieces.get_piece_size()
    known = [i for i in range(3, min(size, 1000)) if pieces.is_control(i)][:8]
    decoder = {str(i): token(pieces.id_to_piece(i)) for i in (0, 1, 2, *known)}
    more = {
        str(size): token("<|user|>", lstrip=True),
        str(size + 1): token("<|end|>", rstrip=True),
        str(size + 2): token("<tool>", special=False),
    }
    return {
        "plain": {},
        "legacy false": {"legacy": False, "add_eos_token": True},
        "added": {"legacy": True, "added_tokens_decoder": {**decoder, **more}, "add_bos_token": False},
        "added, legacy false": {"legacy": False, "added_tokens_decoder": {**decoder, **more}},
        "no prefix": {"legacy": False, "add_prefix_space": False, "added_tokens_decoder": decoder},
    }


class Reference:
    def __init__(self, folder: str, model: Path):
        self.tokenizer = transformers.LlamaTokenizer.from_pretrained(folder)
        proto = sentencepiece_model_pb2.ModelProto()
        proto.ParseFromString(model.read_bytes())
        if not self.tokenizer.legacy:  # whether LlamaTokenizer puts the blank in front
            proto.normalizer_spec.add_dummy_prefix = self.tokenizer.add_prefix_space
        self.pieces = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
        added = self.tokenizer.added_tokens_decoder
        self.texts = {i: t.content for i, t in added.items() if t.special}
        self.plain_texts = {i: t.content for i, t in added.items() if not t.special}
        for i in range(self.pieces.get_piece_size()):
            if self.pieces.is_control(i) or self.pieces.is_unknown(i):
                self.texts.setdefault(i, self.pieces.id_to_piece(i))
        self.anchor = self.pieces.piece_to_id("a")
        self.size = max([self.pieces.get_piece_size() - 1, *added]) + 1

    def encoded(self, texts: list[str]) -> list[tuple[list[int], list[int], list[int]]]:
        call = self.tokenizer
        return [
            (
                call(text, add_special_tokens=False).input_ids,
                call(text).input_ids,
                call(text, split_special_tokens=True).input_ids,
            )
            for text in texts
        ]

    def decoded(self, sequences: list[list[int]]) -> list[tuple[str, str]]:
        result = []
        for ids in sequences:
            plain = [number for number in ids if number not in self.texts]
            result.append((self._joined(plain), self._joined(ids)))
        return result

    def _joined(self, ids: list[int]) -> str:
        """SentencePiece's text of each run of pieces, the texts of other tokens between them."""
        result, run = "", []
        for number in [*ids, None]:
            own = self.texts.get(number, self.plain_texts.get(number))
            if number is not None and own is None:
                run.append(number)
                continue
            # A piece in front keeps the word border of a run that does not begin the text.
            if run:
                result += self.pieces.decode([self.anchor, *run])[1:] if result else self.pieces.decode(run)
            result, run = result + (own or ""), []
        return result


def show(what, want, got) -> None:
    """The parts that differ, from where they differ."""
    print(repr(what)[:300])
    for ours, theirs in zip(got, want):
        if ours != theirs:
            at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), 0)
            print(f"  want … {theirs[max(0, at - 3) : at + 9]}\n  got  … {ours[max(0, at - 3) : at + 9]}")


def write(folder: str, model: Path, config: dict) -> None:
    (Path(folder) / "tokenizer.model").write_bytes(model.read_bytes())
    full = {"tokenizer_class": "LlamaTokenizer", **config}
    (Path(folder) / "tokenizer_config.json").write_text(json.dumps(full))


def run(name: str, tool: str, model: Path, config: dict, lines: list[str], count: int) -> int:
    differences, started = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        write(folder, model, config)
        reference, ours = Reference(folder, model), compare.Ours(tool, folder)
        source = corpus.Source(5, list(reference.texts.values())[:20] + ["<|user|>", "<|end|>", "<tool>"], corpus.sentences())
        texts = [*lines, *(source.line() for _ in range(count))]
        whole_isolation = not reference.plain_texts  # LlamaTokenizer's splits by nothing at all
        for at in range(0, len(texts), compare.BATCH):
            batch = texts[at : at + compare.BATCH]
            ours.ask([b"E" + compare.packed(text.encode()) for text in batch])
            encoded = reference.encoded(batch)
            decoded = reference.decoded([want[1] for want in encoded])
            for text, want, texts_out in zip(batch, encoded, decoded):
                ids, out = ours.answer(True)
                want_out = tuple(t.encode() for t in texts_out)
                if ids[: 2 + whole_isolation] != want[: 2 + whole_isolation] or out != want_out:
                    differences += 1
                    if differences <= compare.SHOWN:
                        show(text, [*want, *want_out], [*ids, *out])
        low = list(range(300)) + list(range(reference.size - 4, reference.size))
        sequences = [compare.random_ids(source.rng, reference.size, low) for _ in range(count // 10)]
        for at in range(0, len(sequences), compare.BATCH):
            batch = sequences[at : at + compare.BATCH]
            ours.ask([b"D" + compare.packed_ids(ids) for ids in batch])
            for ids, texts_out in zip(batch, reference.decoded(batch)):
                out = ours.answer(False)[1]
                want_out = tuple(t.encode() for t in texts_out)
                if out != want_out:
                    differences += 1
                    if differences <= compare.SHOWN:
                        show(ids, want_out, out)
        ours.close()
    print(f"{name}: {len(texts)} strings, {len(sequences)} id sequences: {differences} differences, "
          f"{time.monotonic() - started:.0f} s", flush=True)  # fmt: skip
    return differences


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--lines", type=int, default=5600, help="of the golden corpus")
    parser.add_argument("--only", action="append", help="a configuration; all when none is given")
    parser.add_argument("models", nargs="+", type=Path)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    lines = corpus.corpus(5600)[: arguments.lines]
    total = 0
    for model in arguments.models:
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
        for kind, config in configurations(pieces).items():
            if arguments.only and kind not in arguments.only:
                continue
            total += run(f"{model.name}, {kind}", arguments.tool, model, config, lines, arguments.count)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
