"""Model and adapter directories from manifests: names, shapes and seeds instead of values.

A tensor is [name, shape, scale, offset]; its values are offset + scale · hash, rounded to the
manifest's dtype. Scales are powers of two, so that no rounding depends on who multiplies.
tests/support/golden_model.cc does the same in C++.
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

import counter_hash

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def materialise(manifest: dict) -> dict[str, torch.Tensor]:
    result = {}
    for name, shape, scale, offset in manifest["tensors"]:
        assert math.frexp(scale)[0] == 0.5, f"{name}: scale {scale} is not a power of two"
        seed = counter_hash.seed_of(name, manifest["seed"])
        hashed = torch.from_numpy(counter_hash.values(seed, math.prod(shape)))
        result[name] = (hashed * scale + offset).reshape(shape).to(DTYPES[manifest["dtype"]])
    return result


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def write_model(manifest: dict, folder: Path) -> None:
    """config.json, generation_config.json and the weights, in as many files as the manifest says."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", manifest["config"])
    if "generation_config" in manifest:
        write_json(folder / "generation_config.json", manifest["generation_config"])
    tensors = materialise(manifest)
    shards = manifest["shards"]
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = list(tensors)
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: tensors[name] for name in names[shard::shards]}
        weight_map.update({name: file for name in part})
        save_file(part, folder / file, metadata={"format": "pt"})
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_json(folder / "model.safetensors.index.json", index)


def write_adapter(manifest: dict, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(manifest["config"])  # as PEFT wrote it
    save_file(
        materialise(manifest), folder / "adapter_model.safetensors", metadata={"format": "pt"}
    )
