"""PEFT adapters for the tiny model, as the two files that a client uploads."""

import hashlib
import json
from dataclasses import dataclass

from tiny_model import HEAD_DIM, linears, random_values, safetensors

ALL = tuple(name.split(".")[1] for name in linears())


@dataclass(frozen=True)
class Adapter:
    config: bytes
    tensors: bytes

    @property
    def config_sha256(self) -> str:
        return hashlib.sha256(self.config).hexdigest()

    @property
    def tensor_sha256(self) -> str:
        return hashlib.sha256(self.tensors).hexdigest()


def make(
    seed: int,
    rank: int = 8,
    targets=("q_proj", "v_proj"),
    layers: int = 2,
    head_dim: int = HEAD_DIM,
    **fields,
):
    """`fields` go over those of adapter_config.json. Another seed, another voice."""
    tensors = {}
    for layer in range(layers):
        for name, (inputs, outputs) in linears(head_dim).items():
            if name.split(".")[1] not in targets:
                continue
            at = f"base_model.model.model.layers.{layer}.{name}."
            for half, shape in (("lora_A", (rank, inputs)), ("lora_B", (outputs, rank))):
                key = f"{at}{half}.weight"
                data = random_values(f"{seed}/{rank}/{key}", shape[0] * shape[1])
                tensors[key] = ("F32", shape, data)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "chorus/tiny",
        "r": rank,
        "lora_alpha": 2 * rank,
        "use_rslora": False,
        "target_modules": list(targets),
        **fields,
    }
    return Adapter(json.dumps(config).encode(), safetensors(tensors))
