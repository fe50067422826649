"""Makes tests/golden/data: python make_goldens.py [--smollm2 DIR] [name …]

Run by hand when a case changes, never in CI. Needs torch, transformers, peft and safetensors; the
versions that made the files stand in them. Values are not stored: manifests hold names, shapes and
seeds (manifest.py), and NAME.safetensors the expected top logits and log-sum-exps.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import peft
import torch
import transformers
from safetensors.torch import save_file

import counter_hash
import manifest
import references
import tiny_adapters
import tiny_models

DATA = Path(__file__).parent / "data"
GENERATED = 10
# What an adapter must change at least in some logit of every position, or the case proves nothing:
# at least 100 times the tolerance of the C++ tests in f32.
LEAST_EFFECT = {"tiny": 0.1, "smollm2": 0.05}


def random_tokens(seed: int, count: int, vocabulary: int) -> list[int]:
    values = counter_hash.values(counter_hash.seed_of("prompt", seed), count)
    return ((values.astype(np.float64) + 1.0) / 2.0 * vocabulary).astype(int).tolist()


class Golden:
    def __init__(self, name: str, base_folder: Path, scratch: Path, least_effect: float):
        self.name = name
        self.base_folder = base_folder
        self.scratch = scratch
        self.least_effect = least_effect
        self.expected = {}
        self.adapters = {}
        self.cases = []
        self.last = []

    def base(self, dtype=torch.float32):
        return references.load_base(self.base_folder, dtype)

    def add_adapter(self, name: str, seed: int, dtype: str, config, scales) -> None:
        self.adapters[name] = tiny_adapters.manifest(
            self.base(), f"goldens/{self.name}", seed, dtype, config, scales
        )
        manifest.write_adapter(self.adapters[name], self.scratch / name)

    def folder(self, adapter: str | None) -> Path | None:
        return None if adapter is None else self.scratch / adapter

    def add_case(self, adapter: str | None, prompt: list[int], positions: list[int]) -> None:
        model = references.with_adapter(self.base(), self.folder(adapter))
        if adapter is not None:
            references.check_loaded(model, manifest.materialise(self.adapters[adapter]))
        begin = references.active_from(model, prompt)
        tokens = references.greedy(model, prompt, GENERATED)
        assert references.generate(model, prompt, GENERATED) == tokens, f"{self.name}/{adapter}"
        generated = list(range(len(prompt) - 1, len(tokens) - 1))
        positions = sorted({*positions, generated[0], generated[4], generated[-1]})
        want = references.logits(model, tokens, begin)
        references.round_to_bf16(model)
        want_bf16 = references.logits(model, tokens, begin)
        in_bf16 = references.with_adapter(self.base(torch.bfloat16), self.folder(adapter))
        rms = references.rms_at_top(references.logits(in_bf16, tokens, begin), want_bf16, positions)
        self.check_effect(adapter, references.logits(self.base(), tokens) - want, positions, begin)
        case = {
            "adapter": adapter,
            "prompt_tokens": len(prompt),
            "tokens": tokens,
            "positions": positions,
            "transformers_bf16_rms": round(rms, 6),
        }
        if references.alora_offset(model, tokens, begin):
            case["active_from"] = begin
        for kind, reference in (("f32", want), ("bf16", want_bf16)):
            for part, tensor in references.summary(reference, positions).items():
                self.expected[f"{len(self.cases)}.{kind}.{part}"] = tensor
            case[f"greedy_{kind}"] = references.greedy_choices(reference, generated)
        self.cases.append(case)
        self.last.append(want[-1])

    def check_effect(self, adapter, difference, positions, begin) -> None:
        """The adapter changes every position from its first one on, and none before."""
        change = difference.abs().amax(-1)
        first = len(change) if begin is None else begin
        assert not change[:first].any(), f"{self.name}/{adapter}: changes what is before {begin}"
        active = [p for p in positions if p >= first]
        if active:
            least = change[active].min()
            assert least > self.least_effect, f"{self.name}/{adapter}: changes only {least}"

    def check_mixed_batch(self) -> None:
        """PEFT's own mixed batch says the same as each request alone."""
        folders = {name: self.folder(name) for name in self.adapters}
        requests = [
            (case["adapter"], case["tokens"], case.get("active_from")) for case in self.cases
        ]
        for case, got, want in zip(
            self.cases, references.mixed_batch(self.base(), folders, requests), self.last, strict=True
        ):
            worst = float((got - want).abs().max())
            assert worst < 1e-3, f"{self.name}/{case['adapter']}: mixed differs by {worst}"

    def write(self, base: dict) -> None:
        self.check_mixed_batch()
        content = {
            "made_with": {
                "torch": torch.__version__.split("+")[0],
                "transformers": transformers.__version__,
                "peft": peft.__version__,
            },
            **base,
            "adapters": self.adapters,
            "cases": self.cases,
        }
        DATA.mkdir(exist_ok=True)
        (DATA / f"{self.name}.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")
        save_file(self.expected, DATA / f"{self.name}.safetensors")
        size = sum((DATA / f"{self.name}.{kind}").stat().st_size for kind in ("json", "safetensors"))
        rms = [case["transformers_bf16_rms"] for case in self.cases]
        print(f"{self.name}: {len(self.cases)} cases, {size} bytes, bf16 rms {rms}", flush=True)


def make_tiny(name: str) -> None:
    scales = {"lora_A": 0.25, "lora_B": 0.125, "bias": 0.25}
    model = tiny_models.MODELS[name]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "base"
        manifest.write_model(model, folder)
        golden = Golden(name, folder, Path(scratch), LEAST_EFFECT["tiny"])
        seed = model["seed"] * 100
        # Prompts end before, at and after a page's end, and past the original context of the
        # scaled RoPEs.
        lengths = [33, 1, 15, 16, 17, 70, 40, 90, 2, 31]
        configs = tiny_adapters.configs()
        for i, (adapter, (dtype, config)) in enumerate(configs.items()):
            golden.add_adapter(adapter, seed + i, dtype, config, scales)
        for i, adapter in enumerate([None, *configs]):
            prompt = random_tokens(seed + i, lengths[i], model["config"]["vocab_size"])
            golden.add_case(adapter, prompt, [0, lengths[i] // 2])
        golden.write({"model": model})


ACTIVATED = ["llama_alora", "qwen3_alora"]

# Invocations in a page, at its border, at the front, at the end, overlapping, several, cut off, and
# none: adapter, length of the prompt, where its own invocation stands (or that of another adapter).
ACTIVATED_CASES = [
    (None, 33, [4], "a8_all"),
    ("a8_all", 45, [20]),
    ("a8_all", 40, [32]),
    ("a1_default_targets", 20, [0]),
    ("a4_attention_bias", 70, [5, 33, 50]),
    ("a16_rslora", 31, []),
    ("a64_partial", 48, [44]),
    ("a_patterns", 60, [15, 16]),
    ("a_patterns", 90, [3, 63]),
    ("r8_all", 37, [10], "a8_all"),
    ("a8_all", 30, [10], "a64_partial"),
    ("a64_partial", 4, [0]),
    ("a4_attention_bias", 17, [16]),
    ("a16_rslora", 35, [13]),
]


def make_activated(name: str) -> None:
    scales = {"lora_A": 0.25, "lora_B": 0.125, "bias": 0.25}
    model = tiny_models.MODELS[name.removesuffix("_alora")]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "base"
        manifest.write_model(model, folder)
        golden = Golden(name, folder, Path(scratch), LEAST_EFFECT["tiny"])
        seed = model["seed"] * 100 + 50
        invocations = {}
        for i, (adapter, (dtype, config)) in enumerate(tiny_adapters.activated().items()):
            invocations[adapter] = config.alora_invocation_tokens
            golden.add_adapter(adapter, seed + i, dtype, config, scales)
        for i, (adapter, length, places, *other) in enumerate(ACTIVATED_CASES):
            prompt = random_tokens(seed + i, length, model["config"]["vocab_size"])
            invocation = invocations[other[0] if other else adapter]
            for at in places:
                prompt[at : at + len(invocation)] = invocation
            prompt = prompt[:length]  # the last one may be cut off
            middle = [max(places) - 1, max(places)] if places and max(places) > 0 else [0]
            golden.add_case(adapter, prompt, [0, *[p for p in middle if p < length]])
        golden.write({"model": model})


CHATS = [
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "Give me three names for a cat.",
]


def make_smollm2(folder: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    scales = {"lora_A": 0.0625, "lora_B": 0.0625, "bias": 0.0625}
    with tempfile.TemporaryDirectory() as scratch:
        golden = Golden("smollm2", folder, Path(scratch), LEAST_EFFECT["smollm2"])
        configs = tiny_adapters.configs()
        for i, (adapter, (dtype, config)) in enumerate(configs.items()):
            golden.add_adapter(adapter, 900 + i, dtype, config, scales)
        for i, adapter in enumerate([None, *configs]):
            chat = [{"role": "user", "content": CHATS[i % len(CHATS)]}]
            prompt = tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, return_dict=False
            )
            golden.add_case(adapter, prompt, [0, len(prompt) // 2])
        weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        golden.write({"model_sha256": weights})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smollm2", type=Path, help="directory that deploy/convert_smollm2.py made")
    parser.add_argument("names", nargs="*", help="tiny models; all when none is given")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    every = [*tiny_models.MODELS, *ACTIVATED]
    for name in arguments.names or ([] if arguments.smollm2 else every):
        (make_activated if name in ACTIVATED else make_tiny)(name)
    if arguments.smollm2:
        make_smollm2(arguments.smollm2)


if __name__ == "__main__":
    sys.exit(main())
