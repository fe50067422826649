"""Step times of the engine against the floor of the machine, and against each other.

A round runs every side once, in random order, each between two probes of the ceilings. A side's
figure in a round is the median of its steps there. A floor is the larger of bytes ÷ read bandwidth
and operations ÷ bf16 rate, by the mean of the two probes around it.
"""

import random
import statistics

from harness import ratio

PROMPT = 120       # with 16 tokens out, decodes run at contexts around 128
MAX_TOKENS = 16
PREFILL = 512
STREAMS = 16


class Side:
    """A wave of requests, of which the steps with `rows` rows that all decode count."""

    def __init__(self, name, streams, adapters=False):
        self.name, self.streams, self.adapters = name, streams, adapters

    def measure(self, engine, _draw):
        # The same prompts each time: all but their last tokens come from the prefix cache.
        wave = engine.wave(self.streams, PROMPT, MAX_TOKENS, self.adapters, seed=1)
        return decode_steps(wave, self.streams)

    def block(self, steps, probe):
        return {
            "seconds": statistics.median(s["seconds"] for s in steps),
            "floor": statistics.median(floor(s, probe) for s in steps),
            "steps": len(steps),
        }


class PrefillSide:
    """A prompt that nobody has seen; its steps together, from the first one's start."""

    name = "prefill of 512"

    def measure(self, engine, draw):
        return engine.wave(1, PREFILL, 1, False, seed=draw.randrange(2, 1 << 31))["steps"]

    def block(self, steps, probe):
        return {
            "seconds": steps[-1]["end"] - steps[0]["begin"],
            "floor": sum(floor(s, probe) for s in steps),
            "steps": len(steps),
        }


def decode_steps(wave, streams):
    """Steps in which all streams decode, each from the end of the one before to its own end: with
    what the scheduler does between two runs. The first is left out."""
    steps = wave["steps"]
    found = []
    for before, step in zip(steps, steps[1:]):
        if all(s["rows"] == s["samples"] == streams for s in (before, step)):
            found.append({**step, "seconds": step["end"] - before["end"]})
    if not found:
        raise RuntimeError(f"no step in which all {streams} streams decode")
    return found


def floor(step, probe):
    return max(step["bytes"] / probe["read_bandwidth"], step["flops"] / probe["compute_rate"])


ONE = Side("1 row, base", 1)
BASE = Side("16 rows, base", STREAMS)
ADAPTERS = Side("16 rows, 16 adapters", STREAMS, adapters=True)
PREFILL_SIDE = PrefillSide()
SIDES = (ONE, BASE, ADAPTERS, PREFILL_SIDE)


def warm_up(engine):
    """Every side once: its prompts go to the prefix cache, the adapters into the pool."""
    for side in SIDES:
        side.measure(engine, random.Random(0))


def run_rounds(engine, budget, seed):
    """{side's name: its block of each round}, and the probes. REQUIRES: warm."""
    draw = random.Random(seed)
    blocks = {side.name: [] for side in SIDES}
    probes = [engine.ask("ceilings")]
    while budget.goes_on(len(blocks[ONE.name]), lambda: _resolved(step_targets(blocks))):
        for side in draw.sample(SIDES, len(SIDES)):
            steps = side.measure(engine, draw)
            probes.append(engine.ask("ceilings"))
            around = {name: statistics.mean(probe[name] for probe in probes[-2:])
                      for name in probes[-1]}
            blocks[side.name].append(side.block(steps, around))
    return {"blocks": blocks, "probes": probes}


def run_unused(engine, budget, seed):
    """Base steps with all adapters in the pool and with none, in random turns."""
    draw = random.Random(seed)
    blocks = {"load": [], "unload": []}
    while budget.goes_on(len(blocks["load"]), lambda: _resolved([unused_target(blocks)])):
        for state in draw.sample(("load", "unload"), 2):
            engine.ask(state)
            steps = BASE.measure(engine, draw)
            blocks[state].append(statistics.median(s["seconds"] for s in steps))
    engine.ask("load")
    return blocks


def _resolved(targets):
    return all(t["met"] is not None for t in targets)


def step_targets(blocks):
    def values(side, field):
        return [block[field] for block in blocks[side.name]]

    found = []
    for side, limit in ((ONE, 0.70), (BASE, 0.50), (PREFILL_SIDE, 0.60)):
        r = ratio.Ratio(values(side, "floor"), values(side, "seconds"))
        found.append(ratio.target(f"{side.name}: floor ÷ step", r.value, limit, "higher",
                                  r.half_width, 0.03))
    r = ratio.Ratio(values(ADAPTERS, "seconds"), values(BASE, "seconds"))
    found.append(ratio.target("16 rows: 16 adapters ÷ base", r.value, 1.6, "lower",
                              r.half_width, 0.03))
    return found


def unused_target(blocks):
    r = ratio.Ratio(blocks["load"], blocks["unload"])
    return ratio.target("16 rows, base: adapters loaded but unused ÷ none", r.value, 1.01, "lower",
                        r.half_width, 0.005)


def figures(rounds):
    """Rows for people: side, step in ms, floor in ms, tokens a second, steps counted."""
    rows = []
    for side in SIDES:
        blocks = rounds["blocks"][side.name]
        seconds = statistics.median(b["seconds"] for b in blocks)
        tokens = PREFILL if side is PREFILL_SIDE else side.streams
        rows.append([side.name, 1e3 * seconds,
                     1e3 * statistics.median(b["floor"] for b in blocks), tokens / seconds,
                     sum(b["steps"] for b in blocks)])
    return rows


def ceilings(rounds):
    """Median and best of the probes."""
    result = {}
    for name in ("read_bandwidth", "compute_rate"):
        probed = [probe[name] for probe in rounds["probes"]]
        result[name] = {"median": statistics.median(probed), "best": max(probed)}
    return result
