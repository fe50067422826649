"""The adapters of the goldens: PEFT makes config and tensor names, the counter hash the values."""

import json
import tempfile
from pathlib import Path

from peft import LoraConfig, get_peft_model
from safetensors import safe_open

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def lora(r: int, alpha: float, **fields) -> LoraConfig:
    return LoraConfig(r=r, lora_alpha=alpha, task_type="CAUSAL_LM", **fields)


def configs() -> dict[str, tuple[str, LoraConfig]]:
    """Type of the file and config. Fresh objects each time: PEFT writes into them."""
    return {
        "r1_default_targets": ("F32", lora(1, 2)),
        "r4_attention_bias": ("F32", lora(4, 8, target_modules=ALL[:4], lora_bias=True)),
        "r8_all": ("BF16", lora(8, 16, target_modules="all-linear")),
        "r16_rslora": ("F16", lora(16, 8, target_modules=ALL[4:], use_rslora=True)),
        "r64_partial": ("BF16", lora(64, 32, target_modules=["o_proj", "down_proj"])),
        "patterns": (
            "F32",
            lora(
                8,
                4,
                target_modules=ALL,
                rank_pattern={"q_proj": 3, "layers.1.mlp.up_proj": 24, "down_proj": 17},
                alpha_pattern={"v_proj": 32, r"layers\.[02]\.self_attn\.o_proj": 0.5},
            ),
        ),
        "patterns_rslora": (
            "F32",
            lora(
                2,
                3,
                target_modules=["k_proj", "gate_proj"],
                use_rslora=True,
                rank_pattern={"layers.0.mlp.gate_proj": 9},
                alpha_pattern={"k_proj": 5},
            ),
        ),
        "some_layers": (
            "BF16",
            lora(
                5,
                10,
                target_modules=["q_proj", "v_proj", "up_proj"],
                layers_to_transform=[0, 2],
                layers_pattern="layers",
            ),
        ),
        "regex_targets": (
            "F16",
            lora(7, 14, target_modules=r".*layers\.[12]\.(self_attn\.(q|o)|mlp\.down)_proj"),
        ),
    }


def activated() -> dict[str, tuple[str, LoraConfig]]:
    """Activated LoRAs (aLoRA), and one adapter that is none."""
    return {
        "a8_all": (
            "BF16",
            lora(8, 16, target_modules="all-linear", alora_invocation_tokens=[17, 300, 4]),
        ),
        "a1_default_targets": ("F32", lora(1, 2, alora_invocation_tokens=[77])),
        "a4_attention_bias": (
            "F32",
            lora(4, 8, target_modules=ALL[:4], lora_bias=True, alora_invocation_tokens=[5, 9]),
        ),
        "a16_rslora": (
            "F16",
            lora(
                16,
                8,
                target_modules=ALL[4:],
                use_rslora=True,
                alora_invocation_tokens=[8, 8, 8, 250],
            ),
        ),
        "a64_partial": (
            "BF16",
            lora(
                64, 32, target_modules=["o_proj", "down_proj"], alora_invocation_tokens=[1, 2, 3, 4]
            ),
        ),
        "a_patterns": (
            "F32",
            lora(
                8,
                4,
                target_modules=ALL,
                rank_pattern={"q_proj": 3, "layers.1.mlp.up_proj": 24, "down_proj": 17},
                alpha_pattern={"v_proj": 32, r"layers\.[02]\.self_attn\.o_proj": 0.5},
                alora_invocation_tokens=[7, 7],
            ),
        ),
        "r8_all": ("BF16", lora(8, 16, target_modules="all-linear")),
    }


# PEFT minimises long lists of targets and prints its sets in any order.
def config_text(folder: Path) -> str:
    config = json.loads((folder / "adapter_config.json").read_text())
    for field, value in config.items():
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            config[field] = sorted(value)
    return json.dumps(config, indent=2) + "\n"


def tensor_lines(file: Path, scales: dict[str, float]) -> list:
    """[name, shape, scale, offset] of every tensor that PEFT saved."""
    with safe_open(file, "pt") as saved:
        return [
            [name, saved.get_slice(name).get_shape(), scales[name.split(".", -1)[-2]], 0.0]
            if name.endswith(".weight")
            else [name, saved.get_slice(name).get_shape(), scales["bias"], 0.0]
            for name in sorted(saved.keys())
        ]


def manifest(base, base_name: str, seed: int, dtype: str, config: LoraConfig, scales) -> dict:
    """What PEFT saves for this config on this base, with seeds for values. Wraps the base: give it
    one of its own."""
    model = get_peft_model(base, config, autocast_adapter_dtype=False)
    model.peft_config["default"].base_model_name_or_path = base_name
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, save_embedding_layers=False)
        return {
            "seed": seed,
            "dtype": dtype,
            "config": config_text(Path(folder)),
            "tensors": tensor_lines(Path(folder) / "adapter_model.safetensors", scales),
        }
