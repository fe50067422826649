"""What an activated LoRA saves: the first token of an adapter that is asked about a context which the
base has read. An aLoRA finds the base's KV up to its invocation; a LoRA of the same tensors reads all
of it again.
"""

import os
import random
import statistics

from harness import peft, ratio
from harness.server_process import MODEL_NAME

CONTEXT = 1024
INVOCATION = (300, 301, 302)
BASE = "base, nothing cached"
SIDES = {"aLoRA": {"alora_invocation_tokens": INVOCATION}, "LoRA": {}}
RANK = 16


def upload(server, model_dir, scratch):
    """The adapters of both sides, of rank 16 on all seven linears."""
    shape = peft.Shape(model_dir, RANK)
    for side, fields in SIDES.items():
        directory = os.path.join(scratch, "activated-" + side)
        shape.write(directory, seed=0, **fields)
        server.upload(side, directory)


def run_blocks(server, vocabulary, budget, seed):
    """One block a context, the sides in random order: milliseconds to the first token, and how much
    of the prompt came out of the cache."""
    draw = random.Random(seed)
    _block(server, draw, vocabulary)
    blocks = []
    while budget.goes_on(len(blocks), lambda: target(blocks)["met"] is not None):
        blocks.append(_block(server, draw, vocabulary))
    return blocks


def _block(server, draw, vocabulary):
    context = [draw.randrange(vocabulary) for _ in range(CONTEXT)]
    block = {BASE: _ask(server, MODEL_NAME, context)}
    for side in draw.sample(list(SIDES), len(SIDES)):
        block[side] = _ask(server, side, context + list(INVOCATION))
    return block


def _ask(server, model, ids):
    summary = server.generate(ids, [model], 1)[-1]
    return {"first_ms": summary["time_to_first_token_us"] / 1000,
            "cached_tokens": summary["cached_tokens"]}


def target(blocks):
    r = ratio.Ratio(*([b[side]["first_ms"] for b in blocks] for side in ("aLoRA", "LoRA")))
    return ratio.target(f"first token after {CONTEXT} tokens that the base has read: aLoRA ÷ LoRA",
                        r.value, 0.1, "lower", r.half_width, 0.2)


def figures(blocks):
    """Rows for people: who is asked, milliseconds to the first token, tokens from the cache."""
    return [[who, *(statistics.median(b[who][field] for b in blocks)
                    for field in ("first_ms", "cached_tokens")), len(blocks)]
            for who in (BASE, *SIDES)]
