"""A tiny Llama with a byte-level tokenizer and a chat template of our own, as a Hugging Face
directory: steps of well under a millisecond, and every kind of token that a real model has."""

import hashlib
import json
import random
import struct

HIDDEN, WIDE, HEADS, KV_HEADS, HEAD_DIM = 64, 112, 4, 2, 16
CONTEXT = 65536
SPECIAL = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
PAD, BOS, EOS, IM_START, IM_END = range(5)
VOCABULARY = 512  # special tokens, 256 bytes, pairs and a few longer ones


def linears(head_dim: int = HEAD_DIM) -> dict:
    """Inputs and outputs of the seven linears, as PEFT names them."""
    queries, keys = HEADS * head_dim, KV_HEADS * head_dim
    return {
        "self_attn.q_proj": (HIDDEN, queries),
        "self_attn.k_proj": (HIDDEN, keys),
        "self_attn.v_proj": (HIDDEN, keys),
        "self_attn.o_proj": (queries, HIDDEN),
        "mlp.gate_proj": (HIDDEN, WIDE),
        "mlp.up_proj": (HIDDEN, WIDE),
        "mlp.down_proj": (WIDE, HIDDEN),
    }


TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if raise is defined %}{{ raise_exception(raise) }}{% endif %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def random_values(name: str, count: int) -> bytes:
    """So many f32, of either sign, from 1/32 to 1/2; the same for the same name."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    values = bytearray(random.Random(seed).randbytes(4 * count))
    # The top byte is the sign and seven bits of the exponent.
    table = bytes([0x3D, 0x3E, 0xBD, 0xBE][byte & 3] for byte in range(256))
    values[3::4] = values[3::4].translate(table)
    return bytes(values)


def safetensors(tensors: dict) -> bytes:
    """The bytes of a safetensors file: {name: (type, shape, bytes)}."""
    header, offset = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [offset, offset + len(data)],
        }
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values())


def byte_letters() -> list:
    """GPT-2's letter for each byte, by which byte-level vocabularies write it."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def tokenizer() -> dict:
    letters = byte_letters()
    space = letters[ord(" ")]
    merges = [(a, b) for a in "etaoinsr" for b in "etaoinshrdlmcu"]
    merges += [(space, b) for b in "etaoinshrdlmcuwfgypb"]
    merges += [("w", "h"), ("th", "e"), ("h", "e"), (space + "t", "he"), (space + "a", "n")]
    merges += [("in", "g"), (space + "w", "he"), ("he", "r"), ("er", "e")]
    # Two of the three bytes of "€", so that a token may be a part of a character.
    merges += [(letters[0xE2], letters[0x82])]
    vocabulary = {token: i for i, token in enumerate(SPECIAL + letters)}
    for a, b in merges:
        vocabulary.setdefault(a + b, len(vocabulary))
    filler = 0
    while len(vocabulary) < VOCABULARY:  # tokens that no text becomes, but a model may draw
        vocabulary[f"{space}w{filler}"] = len(vocabulary)
        filler += 1
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": i,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for i, token in enumerate(SPECIAL)
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": True,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [
                {"Sequence": {"id": "A", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [BOS], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": True,
            "trim_offsets": True,
            "use_regex": True,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": [list(pair) for pair in merges],
        },
    }


def weights(layers: int, head_dim: int) -> dict:
    tensors = {}

    def add(name, *shape):
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        data = random_values(name, count) if len(shape) > 1 else struct.pack("<f", 1.0) * count
        tensors[name] = ("F32", shape, data)

    add("model.embed_tokens.weight", VOCABULARY, HIDDEN)
    for layer in range(layers):
        at = f"model.layers.{layer}."
        add(at + "input_layernorm.weight", HIDDEN)
        add(at + "post_attention_layernorm.weight", HIDDEN)
        for name, (inputs, outputs) in linears(head_dim).items():
            add(f"{at}{name}.weight", outputs, inputs)
    add("model.norm.weight", HIDDEN)
    add("lm_head.weight", VOCABULARY, HIDDEN)
    return tensors


def config(layers: int, head_dim: int) -> dict:
    return {
        "_name_or_path": "chorus/tiny",
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "intermediate_size": WIDE,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": head_dim,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "bos_token_id": BOS,
        "eos_token_id": EOS,
    }


def write(directory, layers: int = 2, head_dim: int = HEAD_DIM):
    """Writes the model. More layers make its steps longer, for what has to be caught running; a
    GPU's attention wants wider heads."""
    directory.mkdir(parents=True)
    files = {
        "config.json": config(layers, head_dim),
        # Without do_sample: a request that says nothing is greedy. IM_END stands only here.
        "generation_config.json": {"bos_token_id": BOS, "eos_token_id": [EOS, IM_END]},
        "tokenizer.json": tokenizer(),
        "tokenizer_config.json": {
            "bos_token": "<s>",
            "eos_token": "</s>",
            "chat_template": TEMPLATE,
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content), encoding="utf-8")
    (directory / "model.safetensors").write_bytes(safetensors(weights(layers, head_dim)))
    return directory


def _change(directory, name: str, fields: dict):
    path = directory / name
    content = json.loads(path.read_text(encoding="utf-8"))
    content.update(fields)
    path.write_text(json.dumps(content), encoding="utf-8")


def set_context(directory, tokens: int):
    _change(directory, "config.json", {"max_position_embeddings": tokens})


def set_generation(directory, **fields):
    _change(directory, "generation_config.json", fields)


def shorten_vocabulary(directory) -> int:
    """Takes the tokens that no text becomes out of the tokenizer, not out of the model; returns how
    many are left."""
    content = tokenizer()
    vocabulary = content["model"]["vocab"]
    first = min(i for token, i in vocabulary.items() if token[1:].startswith("w0"))
    content["model"]["vocab"] = {token: i for token, i in vocabulary.items() if i < first}
    (directory / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    return first


def set_template(directory, template):
    _change(directory, "tokenizer_config.json", {"chat_template": template})
