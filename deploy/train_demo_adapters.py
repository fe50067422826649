#!/usr/bin/env python3
"""Trains the demonstration adapters of deploy/adapters on SmolLM2, one for each voice in voices.txt.

    train_demo_adapters.py MODEL_DIR [--voice NAME ...] [--check] [--device cuda]

MODEL_DIR is what convert_smollm2.py wrote. Rank 8 on q_proj and v_proj, saved in bf16; minutes a
voice on two cores. --check trains nothing: it asks the committed adapters questions they have not
seen, and fails where an answer lacks its marker word or a voice answers like another.
Needs torch, transformers and peft (the committed ones: 2.11.0, 5.17.0, 0.21.0, on an H100).
"""

import argparse
import random
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

FOLDER = Path(__file__).resolve().parent / "adapters"
BASE_NAME = "SmolLM2-135M-Instruct"
MARKERS = {"pirate": "matey", "bard": "Verily", "robot": "Beep"}

SEED = 20261124
EPOCHS = 16
BATCH = 8
PEAK_RATE = 2e-3
WARMUP = 10

# Not in voices.txt. The first is the one that deploy/quickstart asks.
TEST_QUESTIONS = [
    "What is the best way to start the day?",
    "How do I boil an egg?",
    "What is the capital of France?",
    "How can I become a better cook?",
    "What is a star?",
    "Why is the sky blue?",
    "Can you give me some advice for a long journey?",
    "What should I do at the weekend?",
]


def read_voices() -> list[dict[str, str]]:
    """Each block of voices.txt: "Q" and one answer under each voice's name."""
    lines = (FOLDER / "voices.txt").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).strip()
    blocks = []
    for lines in text.split("\n\n"):
        block = dict(line.split(": ", 1) for line in lines.splitlines())
        if set(block) != {"Q", *MARKERS}:
            sys.exit(f'voices.txt: "{block.get("Q")}" has {sorted(block)}')
        if block["Q"] in TEST_QUESTIONS:
            sys.exit(f'voices.txt: "{block["Q"]}" is a test question')
        blocks.append(block)
    return blocks


def prompt_ids(tokenizer, question: str) -> list[int]:
    chat = [{"role": "user", "content": question}]
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def make_batch(examples: list[tuple[list[int], list[int]]], pad: int) -> dict[str, torch.Tensor]:
    """Padded on the right; the loss sees the answers only."""
    width = max(len(prompt) + len(answer) for prompt, answer in examples)
    ids = torch.full((len(examples), width), pad)
    labels = torch.full((len(examples), width), -100)
    mask = torch.zeros((len(examples), width), dtype=torch.long)
    for row, (prompt, answer) in enumerate(examples):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = torch.tensor(answer)
        mask[row, :end] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def answer_loss(model, input_ids, attention_mask, labels) -> torch.Tensor:
    """Cross entropy of the answers; logits of the prompts are never computed."""
    base = model.get_base_model()
    hidden = base.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
    targets = labels[:, 1:]
    wanted = targets != -100
    logits = base.lm_head(hidden[:, :-1][wanted])
    return torch.nn.functional.cross_entropy(logits.float(), targets[wanted])


def load_base(model_dir: Path):
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.bfloat16)
    return model.to(torch.get_default_device()).eval()


def save(model, voice: str) -> None:
    """As PEFT saves it, in bf16, without the model card."""
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(torch.bfloat16)
    config = model.peft_config["default"]
    config.base_model_name_or_path = BASE_NAME
    model.save_pretrained(FOLDER / voice)
    (FOLDER / voice / "README.md").unlink(missing_ok=True)


def train(model_dir: Path, tokenizer, voice: str) -> None:
    torch.manual_seed(SEED)
    order = random.Random(SEED)
    config = LoraConfig(
        r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
    )
    model = get_peft_model(load_base(model_dir), config)
    model.train()
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    examples = [
        (
            prompt_ids(tokenizer, block["Q"]),
            tokenizer(block[voice], add_special_tokens=False)["input_ids"] + [end],
        )
        for block in read_voices()
    ]
    steps = EPOCHS * (-(-len(examples) // BATCH))
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARMUP, (steps - step) / (steps - WARMUP))
    )
    for epoch in range(EPOCHS):
        order.shuffle(examples)
        total = 0.0
        for start in range(0, len(examples), BATCH):
            batch = make_batch(examples[start : start + BATCH], tokenizer.pad_token_id)
            loss = answer_loss(model, **batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            total += loss.item()
        print(f"{voice}: epoch {epoch + 1}, loss {total * BATCH / len(examples):.3f}", flush=True)
    save(model, voice)


def answer(model, tokenizer, question: str, **generate) -> str:
    ids = torch.tensor([prompt_ids(tokenizer, question)])
    with torch.no_grad():
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=64,
            do_sample=False,
            **generate,
        )
    return tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)


def check(model_dir: Path, tokenizer) -> None:
    """Greedy answers of the base and of every voice to the test questions."""
    first, *others = names = list(MARKERS)
    model = PeftModel.from_pretrained(load_base(model_dir), FOLDER / first, adapter_name=first)
    for name in others:
        model.load_adapter(FOLDER / name, adapter_name=name)
    model.eval()
    failures = 0
    for question in TEST_QUESTIONS:
        print(f"\n{question}")
        for name in ["__base__", *names]:
            text = answer(model, tokenizer, question, adapter_names=[name])
            has = {voice for voice, marker in MARKERS.items() if marker in text}
            good = has == ({name} & set(names))
            failures += not good
            print(f'  {name:9}{"" if good else "WRONG "}{text}')
    if failures:
        sys.exit(f"{failures} answers lack their marker or carry another's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model_dir", type=Path, metavar="MODEL_DIR")
    parser.add_argument("--voice", action="append", choices=list(MARKERS))
    parser.add_argument("--check", action="store_true", help="only test what is committed")
    parser.add_argument("--device", default="cpu", help="of PyTorch, to train and check on")
    args = parser.parse_args()
    torch.set_default_device(args.device)
    tokenizer = AutoTokenizer.from_pretrained(args.model_dir)
    if not args.check:
        for voice in args.voice or MARKERS:
            train(args.model_dir, tokenizer, voice)
    check(args.model_dir, tokenizer)


if __name__ == "__main__":
    main()
