"""What the server in front of the engine costs: the same load, once to an engine without a front and
once to chorusd over gRPC, in random turns.

All streams begin at once, with prompts that nobody has seen. The client of chorusd shares the
machine's cores, so its processor time, divided by the cores, is taken out of the served time.
"""

import random
import statistics

from harness import ratio

STREAMS = 16
PROMPT = 128
MAX_TOKENS = 128


def run_bursts(engine, server, budget, cores, seed):
    """One block per turn of both: tokens a second of each, and the parts of the served time."""
    draw = random.Random(seed)
    _engine_burst(engine, 0)
    server.bench(STREAMS, PROMPT, MAX_TOKENS, 0)
    blocks = []
    while budget.goes_on(len(blocks), lambda: target(blocks)["met"] is not None):
        burst = draw.randrange(1, 1 << 31)
        block = {}
        for side in draw.sample(("engine", "served"), 2):
            if side == "engine":
                block["engine_seconds"] = _engine_burst(engine, burst)
            else:
                answer = server.bench(STREAMS, PROMPT, MAX_TOKENS, burst)
                block["served_seconds"] = answer["seconds"]
                block["client_cpu_seconds"] = answer["client_cpu_seconds"]
                block["ttft_ms"], block["itl_ms"] = answer["ttft_ms"], answer["itl_ms"]
        block["without_client_seconds"] = (
            block["served_seconds"] - block["client_cpu_seconds"] / cores)
        blocks.append(block)
    return blocks


def _engine_burst(engine, seed):
    return engine.wave(STREAMS, PROMPT, MAX_TOKENS, False, seed)["seconds"]


def target(blocks):
    r = ratio.Ratio([b["engine_seconds"] for b in blocks],
                    [b["without_client_seconds"] for b in blocks])
    return ratio.target(f"{STREAMS} streams: server's tokens/s ÷ engine's own", r.value, 0.90,
                        "higher", r.half_width, 0.03)


def figures(blocks):
    """Rows for people: what was measured, seconds, tokens a second."""
    rows = []
    for name, field in (("engine alone", "engine_seconds"),
                        ("chorusd, client's time taken out", "without_client_seconds"),
                        ("chorusd as its client saw it", "served_seconds")):
        seconds = statistics.median(b[field] for b in blocks)
        rows.append([name, seconds, STREAMS * MAX_TOKENS / seconds, len(blocks)])
    return rows
