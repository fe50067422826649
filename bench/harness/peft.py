"""Writes PEFT LoRA adapters with random bf16 values: rank 16 on all seven linears."""

import json
import os
import random
import struct

MODULES = {
    "self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "mlp": ("gate_proj", "up_proj", "down_proj"),
}


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
    """`count` bf16 values of either sign between 2^-7 and 2^-5: 8 bits of fraction and exponent at
    random below a byte that is 0x3c or 0xbc."""
    values = bytearray(2 * count)
    values[0::2] = draw.randbytes(count)
    high = bytes(0x3C if i % 2 else 0xBC for i in range(256))
    values[1::2] = draw.randbytes(count).translate(high)
    return bytes(values)


def write_adapter(directory, model_dir, seed, rank=16):
    """An adapter directory as PEFT saves it."""
    with open(os.path.join(model_dir, "config.json"), encoding="utf-8") as text:
        model = json.load(text)
    draw = random.Random(seed)
    header, blobs, offset = {}, [], 0
    shapes = _shapes(model)
    for layer in range(model["num_hidden_layers"]):
        for block, modules in MODULES.items():
            for module in modules:
                outputs, inputs = shapes[module]
                stem = f"base_model.model.model.layers.{layer}.{block}.{module}"
                for half, shape in (("lora_A", [rank, inputs]), ("lora_B", [outputs, rank])):
                    blob = _values(draw, shape[0] * shape[1])
                    header[f"{stem}.{half}.weight"] = {
                        "dtype": "BF16", "shape": shape,
                        "data_offsets": [offset, offset + len(blob)]}
                    blobs.append(blob)
                    offset += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "adapter_model.safetensors"), "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        out.writelines(blobs)
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": rank,
        "target_modules": [m for modules in MODULES.values() for m in modules],
        "bias": "none", "inference_mode": True, "base_model_name_or_path": None,
    }
    with open(os.path.join(directory, "adapter_config.json"), "w", encoding="utf-8") as out:
        json.dump(config, out, indent=1)


def write_adapters(directory, model_dir, count):
    """Directories bench-0 … bench-(count-1)."""
    paths = []
    for i in range(count):
        paths.append(os.path.join(directory, f"bench-{i}"))
        write_adapter(paths[-1], model_dir, seed=i)
    return paths
