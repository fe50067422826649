"""Writes PEFT LoRA adapters with random bf16 values: valid, of no use, and fast to make."""

import json
import os
import random
import struct

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")
ALL = ATTENTION + MLP


def model_config(model_dir):
    with open(os.path.join(model_dir, "config.json"), encoding="utf-8") as text:
        return json.load(text)


def _shapes(model):
    """[outputs, inputs] of each linear, from the model's config.json."""
    hidden = model["hidden_size"]
    head_dim = model.get("head_dim") or hidden // model["num_attention_heads"]
    heads = model["num_attention_heads"] * head_dim
    kv = model["num_key_value_heads"] * head_dim
    feed = model["intermediate_size"]
    return {
        "q_proj": (heads, hidden), "k_proj": (kv, hidden), "v_proj": (kv, hidden),
        "o_proj": (hidden, heads), "gate_proj": (feed, hidden), "up_proj": (feed, hidden),
        "down_proj": (hidden, feed),
    }


def _values(draw, count):
    """`count` bf16 values of either sign between 2^-7 and 2^-5, where those of trained adapters lie:
    8 bits of fraction and exponent at random below a byte that is 0x3c or 0xbc."""
    values = bytearray(2 * count)
    values[0::2] = draw.randbytes(count)
    high = bytes(0x3C if i % 2 else 0xBC for i in range(256))
    values[1::2] = draw.randbytes(count).translate(high)
    return bytes(values)


class Shape:
    """What adapters of one rank and set of modules have in common."""

    def __init__(self, model_dir, rank=16, modules=ALL, scaling=1):
        model = model_config(model_dir)
        shapes = _shapes(model)
        self.rank = rank
        self.layers = model["num_hidden_layers"]
        self.linears = [shapes[module] for module in modules]  # of a layer
        self._counts, header, offset = [], {}, 0
        for layer in range(self.layers):
            for module in modules:
                outputs, inputs = shapes[module]
                block = "self_attn" if module in ATTENTION else "mlp"
                stem = f"base_model.model.model.layers.{layer}.{block}.{module}"
                for half, shape in (("lora_A", [rank, inputs]), ("lora_B", [outputs, rank])):
                    self._counts.append(shape[0] * shape[1])
                    end = offset + 2 * self._counts[-1]
                    header[f"{stem}.{half}.weight"] = {
                        "dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
                    offset = end
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self._head = struct.pack("<Q", len(text)) + text
        self.tensor_bytes = len(self._head) + offset  # of the safetensors file
        self._config = {
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": scaling * rank,
            "target_modules": list(modules), "bias": "none", "inference_mode": True,
            "base_model_name_or_path": None}

    def write(self, directory, seed, **fields):
        """An adapter directory as PEFT saves it, its config with these fields too."""
        draw = random.Random(seed)
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, "adapter_model.safetensors")
        with open(path, "wb") as out:
            out.write(self._head)
            for count in self._counts:
                out.write(_values(draw, count))
        with open(os.path.join(directory, "adapter_config.json"), "w", encoding="utf-8") as out:
            out.write(self.config(**fields))

    def config(self, **fields):
        """The text of its adapter_config.json."""
        return json.dumps({**self._config, **fields}, indent=1)

    def bytes_per_rank(self):
        """What a step reads of one rank of an adapter, in bf16."""
        return self.layers * 2 * sum(sum(shape) for shape in self.linears)

    def image_bytes(self):
        """The file of the adapter's image in bf16 (engine/adapters/image_format.h)."""
        tiles = sum(-(-width // 32) * -(-self.rank // 8)
                    for shape in self.linears for width in shape) * self.layers
        head = 96 + self.layers * 7 * 20 + (self.layers + 1) * 8
        return -(-head // 64) * 64 + tiles * 512 + 4 * (self.layers + 1)


def write_adapters(directory, model_dir, count, scaling=1):
    """Directories bench-0 … bench-(count-1), rank 16 on all seven linears. With a
    scaling of 1 a short greedy answer is often the base's."""
    shape = Shape(model_dir, scaling=scaling)
    paths = [os.path.join(directory, f"bench-{i}") for i in range(count)]
    for i, path in enumerate(paths):
        shape.write(path, seed=i)
    return paths
