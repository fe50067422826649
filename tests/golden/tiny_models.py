"""The tiny models of the goldens: one for each architecture and each way to write a config."""

VOCABULARY = 320
HIDDEN = 64
INTERMEDIATE = 112
LAYERS = 3

LEFT_OUT = object()  # a field that the config.json does not have

# What every config.json here has.
COMMON = {
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": HIDDEN,
    "intermediate_size": INTERMEDIATE,
    "max_position_embeddings": 512,
    "num_attention_heads": 4,
    "num_hidden_layers": LAYERS,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-05,
    "vocab_size": VOCABULARY,
}


def config(architecture: str, **fields) -> dict:
    model_type = architecture.removesuffix("ForCausalLM").lower()
    own = {"architectures": [architecture], "model_type": model_type}
    every = {**COMMON, **own, **fields}
    return {name: every[name] for name in sorted(every) if every[name] is not LEFT_OUT}


def transformers4(architecture: str, dtype: str, theta: float, **fields) -> dict:
    return config(
        architecture, torch_dtype=dtype, rope_theta=theta, transformers_version="4.57.1", **fields
    )


def transformers5(architecture: str, dtype: str, rope: dict, **fields) -> dict:
    return config(
        architecture, dtype=dtype, rope_parameters=rope, transformers_version="5.24.0", **fields
    )


def tensors(config: dict, *, tied=False, qkv_bias=False, o_bias=False, mlp_bias=False, norms=False):
    """[name, shape, scale, offset] of every tensor, as a checkpoint names them."""
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    heads, vocabulary = config["num_attention_heads"], config["vocab_size"]
    kv_heads = config.get("num_key_value_heads", heads)
    head_dim = config.get("head_dim") or hidden // heads
    result = [["model.embed_tokens.weight", [vocabulary, hidden], 0.25 if tied else 1.0, 0.0]]

    def linear(name, outputs, inputs, bias):
        result.append([f"{name}.weight", [outputs, inputs], 0.25, 0.0])
        if bias:
            result.append([f"{name}.bias", [outputs], 0.5, 0.0])

    def norm(name, width):
        result.append([f"{name}.weight", [width], 0.25, 1.0])

    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        norm(at + "input_layernorm", hidden)
        linear(at + "self_attn.q_proj", heads * head_dim, hidden, qkv_bias)
        linear(at + "self_attn.k_proj", kv_heads * head_dim, hidden, qkv_bias)
        linear(at + "self_attn.v_proj", kv_heads * head_dim, hidden, qkv_bias)
        linear(at + "self_attn.o_proj", hidden, heads * head_dim, o_bias)
        if norms:
            norm(at + "self_attn.q_norm", head_dim)
            norm(at + "self_attn.k_norm", head_dim)
        norm(at + "post_attention_layernorm", hidden)
        linear(at + "mlp.gate_proj", wide, hidden, mlp_bias)
        linear(at + "mlp.up_proj", wide, hidden, mlp_bias)
        linear(at + "mlp.down_proj", hidden, wide, mlp_bias)
    norm("model.norm", hidden)
    if not tied:
        result.append(["lm_head.weight", [vocabulary, hidden], 0.25, 0.0])
    return result


def model(seed, dtype, config, *, shards=1, generation_config=None, **kind) -> dict:
    result = {"seed": seed, "dtype": dtype, "shards": shards, "config": config}
    if generation_config:
        result["generation_config"] = generation_config
    return {**result, "tensors": tensors(config, **kind)}


LLAMA, MISTRAL = "LlamaForCausalLM", "MistralForCausalLM"
QWEN2, QWEN3 = "Qwen2ForCausalLM", "Qwen3ForCausalLM"

MODELS = {
    "llama": model(
        101, "F32", transformers4(LLAMA, "float32", 10000.0, tie_word_embeddings=False)
    ),
    # As little as Llama 1 says, and sizes that are no multiple of a tile's.
    "llama_minimal": model(
        111,
        "F16",
        config(
            LLAMA,
            hidden_size=48,
            intermediate_size=72,
            num_attention_heads=3,
            num_key_value_heads=LEFT_OUT,
            torch_dtype="float16",
            vocab_size=97,
        ),
    ),
    "llama_tied": model(
        102,
        "BF16",
        transformers5(
            LLAMA,
            "bfloat16",
            {"rope_type": "default", "rope_theta": 100000.0},
            attention_bias=False,
            mlp_bias=False,
            head_dim=16,
            tie_word_embeddings=True,
        ),
        tied=True,
    ),
    "llama_biased": model(
        103,
        "F32",
        transformers4(
            LLAMA,
            "float32",
            10000.0,
            attention_bias=True,
            mlp_bias=True,
            rope_scaling=None,
            tie_word_embeddings=False,
        ),
        qkv_bias=True,
        o_bias=True,
        mlp_bias=True,
    ),
    "llama31": model(
        104,
        "BF16",
        transformers4(
            LLAMA,
            "bfloat16",
            10000.0,
            eos_token_id=[2, 3],
            rope_scaling={
                "factor": 8.0,
                "high_freq_factor": 4.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 64,
                "rope_type": "llama3",
            },
            tie_word_embeddings=False,
        ),
        generation_config={"do_sample": True, "eos_token_id": [2, 4], "temperature": 0.6},
    ),
    "llama_linear": model(
        105,
        "F16",
        transformers4(
            LLAMA,
            "float16",
            10000.0,
            rope_scaling={"factor": 2.0, "type": "linear"},
            tie_word_embeddings=False,
        ),
    ),
    "llama_yarn": model(
        106,
        "F32",
        transformers5(
            LLAMA,
            "float32",
            {
                "beta_fast": 16.0,
                "beta_slow": 2.0,
                "factor": 4.0,
                "mscale": 1.0,
                "mscale_all_dim": 0.5,
                "original_max_position_embeddings": 64,
                "rope_theta": 5000.0,
                "rope_type": "yarn",
                "truncate": False,
            },
            tie_word_embeddings=False,
        ),
    ),
    "mistral": model(
        107,
        "BF16",
        transformers4(
            MISTRAL,
            "bfloat16",
            1000000.0,
            head_dim=32,
            sliding_window=None,
            tie_word_embeddings=False,
        ),
        shards=2,
    ),
    "qwen2": model(
        108,
        "BF16",
        transformers4(
            QWEN2,
            "bfloat16",
            1000000.0,
            max_window_layers=2,
            rms_norm_eps=1e-06,
            sliding_window=256,
            tie_word_embeddings=True,
            use_sliding_window=False,
        ),
        tied=True,
        qkv_bias=True,
    ),
    "qwen2_yarn": model(
        109,
        "F32",
        transformers4(
            QWEN2,
            "float32",
            10000.0,
            rope_scaling={
                "factor": 4.0,
                "original_max_position_embeddings": 64,
                "type": "yarn",
            },
            tie_word_embeddings=False,
            use_sliding_window=False,
        ),
        qkv_bias=True,
    ),
    "qwen3": model(
        110,
        "BF16",
        transformers5(
            QWEN3,
            "bfloat16",
            {"rope_type": "default", "rope_theta": 1000000.0},
            attention_bias=False,
            head_dim=32,
            layer_types=["full_attention"] * LAYERS,
            max_window_layers=LAYERS,
            sliding_window=None,
            tie_word_embeddings=False,
            use_sliding_window=False,
        ),
        norms=True,
        shards=3,
    ),
}
