"""Makes data/sentencepiece.json and the digests of its entries: tokenizer.model files with a
tokenizer_config.json, in the format of make_text_goldens.py.

Run by hand, never in CI, with transformers 4.57.6 and sentencepiece 0.2.3.
"""

import sys
import tempfile

import sentencepiece
import transformers

import compare
import compare_sentencepiece
import make_text_goldens

DATA = compare.DATA
# name -> (model, configuration of compare_sentencepiece)
CASES = {
    "sp_plain": ("llama2", "plain"),
    "sp_not_legacy": ("llama2", "legacy false"),
    "sp_added": ("llama2", "added"),
    "sp_added_not_legacy": ("llama2", "added, legacy false"),
    "sp_no_prefix": ("llama2", "no prefix"),
    "sp_rules": ("rules", "plain"),
    "sp_rules_added": ("rules", "added, legacy false"),
}


def main() -> int:
    assert transformers.__version__ == "4.57.6", transformers.__version__
    transformers.logging.set_verbosity_error()
    content = {}
    for name, (model, kind) in CASES.items():
        path = DATA / model / "tokenizer.model"
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
        config = compare_sentencepiece.configurations(pieces)[kind]
        # LlamaTokenizer has no way to isolate special tokens and still find the others.
        tokens = config.get("added_tokens_decoder", {})
        config = {**config, "added_tokens_decoder": {i: t for i, t in tokens.items() if t["special"]}}
        content[name] = {"model": model, "config": config}
        with tempfile.TemporaryDirectory() as folder:
            compare_sentencepiece.write(folder, path, config)
            lines = make_text_goldens.digests(compare_sentencepiece.Reference(folder, path))
        (DATA / "digests" / f"{name}.txt").write_text("".join(line + "\n" for line in lines))
        print(f"{name}: {len(lines)} lines", flush=True)
    make_text_goldens.write_json(DATA / "sentencepiece.json", content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
