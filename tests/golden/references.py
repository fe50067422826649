"""Expected logits: transformers and PEFT, each request alone, teacher-forced over its tokens.

Two references. "f32" computes in f32 what the files say. "bf16" computes in f32 too, but with every
matrix and every adapter tensor rounded to bf16 first, which is what a server that keeps them in
bf16 can at best be equal to. How far transformers' own bf16 run lies from that is recorded beside
it, as the measure of what bf16 costs.
"""

from pathlib import Path

import torch
from peft import PeftModel
from peft.tuners.lora.variants import calculate_alora_offsets
from transformers import AutoModelForCausalLM

TOP = 64


def load_base(folder: Path, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager"
    ).eval()


def with_adapter(base, folder: Path | None):
    if folder is None:
        return base
    model = PeftModel.from_pretrained(base, folder, autocast_adapter_dtype=False)
    return model.eval()


def check_loaded(model, values: dict[str, torch.Tensor]) -> None:
    """PEFT loads with strict=False: every tensor must have arrived."""
    own = dict(model.named_parameters())
    for name, value in values.items():
        stem, _, kind = name.rpartition(".")
        got = own[f"{stem}.default.{kind}"]
        assert torch.equal(got, value.to(got.dtype)), name
    assert sum("lora_" in name for name in own) == len(values)


def round_to_bf16(model) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() >= 2 or "lora_" in name:
                parameter.copy_(parameter.to(torch.bfloat16).to(parameter.dtype))


def active_from(model, prompt: list[int]) -> int | None:
    """The first position of the prompt that the adapter computes, as PEFT finds it; None: nowhere."""
    if not isinstance(model, PeftModel):
        return None
    if not model.active_peft_config.alora_invocation_tokens:
        return 0
    ids = torch.tensor([prompt])
    offset = calculate_alora_offsets(model.peft_config, model.active_adapter, ids)[0]
    return None if offset is None else len(prompt) - offset


def alora_offset(model, tokens: list[int], begin: int | None) -> dict:
    """PEFT counts from the end of what it is given; what was generated must not move the begin."""
    if not isinstance(model, PeftModel) or not model.active_peft_config.alora_invocation_tokens:
        return {}
    return {"alora_offsets": [None if begin is None else len(tokens) - begin]}


@torch.no_grad()
def logits(model, tokens: list[int], begin: int | None = None) -> torch.Tensor:
    offsets = alora_offset(model, tokens, begin)
    return model(input_ids=torch.tensor([tokens]), **offsets).logits[0].float()


@torch.no_grad()
def greedy(model, prompt: list[int], count: int) -> list[int]:
    """Without the end of sequence: every token is wanted."""
    tokens = list(prompt)
    begin = active_from(model, prompt)
    for _ in range(count):
        tokens.append(int(logits(model, tokens, begin)[-1].argmax()))
    return tokens


@torch.no_grad()
def generate(model, prompt: list[int], count: int) -> list[int]:
    """The same by generate(), with its KV cache, where PEFT finds the invocation itself."""
    ids = torch.tensor([prompt])
    result = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=count,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    return result[0].tolist()


def summary(all_logits: torch.Tensor, positions: list[int]) -> dict[str, torch.Tensor]:
    chosen = all_logits[positions]
    best = torch.topk(chosen, TOP, dim=-1)
    return {
        "ids": best.indices.to(torch.int32),
        "logits": best.values.contiguous(),
        "lse": torch.logsumexp(chosen.double(), dim=-1).float(),
    }


def greedy_choices(all_logits: torch.Tensor, positions: list[int]) -> dict[str, list]:
    """The token that follows each position, and how far ahead of the next best it is."""
    best = torch.topk(all_logits[positions], 2, dim=-1)
    margins = (best.values[:, 0] - best.values[:, 1]).tolist()
    return {"tokens": best.indices[:, 0].tolist(), "margins": [round(m, 5) for m in margins]}


def rms_at_top(got: torch.Tensor, want: torch.Tensor, positions: list[int]) -> float:
    """Root mean square of the differences in the wanted top, as the C++ test computes it."""
    ids = torch.topk(want[positions], TOP, dim=-1).indices
    difference = got[positions].gather(1, ids) - want[positions].gather(1, ids)
    return float(difference.double().pow(2).mean().sqrt())


@torch.no_grad()
def mixed_batch(base, folders: dict[str, Path], requests: list[tuple]) -> list[torch.Tensor]:
    """Last logits of each (adapter or None, tokens, first position of an activated LoRA or None),
    computed by PEFT in one left-padded batch."""
    names = list(folders)
    model = PeftModel.from_pretrained(
        base, folders[names[0]], adapter_name=names[0], autocast_adapter_dtype=False
    )
    for name in names[1:]:
        model.load_adapter(folders[name], name, autocast_adapter_dtype=False)
    model.eval()
    longest = max(len(tokens) for _, tokens, _ in requests)
    padding = [longest - len(tokens) for _, tokens, _ in requests]
    rows = [[0] * pad + tokens for pad, (_, tokens, _) in zip(padding, requests, strict=True)]
    mask = torch.tensor([[0] * pad + [1] * (longest - pad) for pad in padding])
    result = model(
        torch.tensor(rows),
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        adapter_names=[name or "__base__" for name, _, _ in requests],
        alora_offsets=[
            None if begin is None else len(tokens) - begin for _, tokens, begin in requests
        ],
    )
    return list(result.logits[:, -1].float())
