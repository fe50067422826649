"""Step times of the engine against the floor of the machine, and against each other.

A round runs every side once, in random order, each after a probe of the ceilings. A side's figure in
a round is the median of its steps there. A floor is the larger of bytes ÷ read bandwidth and
operations ÷ bf16 rate, by the probe of the same round.
"""

import random
import statistics
import time

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


def run_rounds(engine, seconds, seed):
    """{side's name: its block of each round}, and the probes. REQUIRES: warm."""
    draw = random.Random(seed)
    blocks = {side.name: [] for side in SIDES}
    probes = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(probes) < 2 * len(SIDES):
        for side in draw.sample(SIDES, len(SIDES)):
            probe = engine.ask("ceilings")
            blocks[side.name].append(side.block(side.measure(engine, draw), probe))
            probes.append(probe)
    return {"blocks": blocks, "probes": probes}


def run_unused(engine, seconds, seed):
    """Base steps with all adapters in the pool and with none, in random turns."""
    draw = random.Random(seed)
    blocks = {"load": [], "unload": []}
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(blocks["load"]) < 4:
        for state in draw.sample(("load", "unload"), 2):
            engine.ask(state)
            steps = BASE.measure(engine, draw) + BASE.measure(engine, draw)
            blocks[state].append(statistics.median(s["seconds"] for s in steps))
    engine.ask("load")
    return blocks


def targets(rounds, unused):
    def values(side, field):
        return [block[field] for block in rounds["blocks"][side.name]]

    found = []
    for side, limit in ((ONE, 0.70), (BASE, 0.50), (PREFILL_SIDE, 0.60)):
        r = ratio.Ratio(values(side, "floor"), values(side, "seconds"))
        found.append(ratio.target(f"{side.name}: floor ÷ step", r.value, limit, "higher",
                                  r.half_width, 0.03))
    r = ratio.Ratio(values(ADAPTERS, "seconds"), values(BASE, "seconds"))
    found.append(ratio.target("16 rows: 16 adapters ÷ base", r.value, 1.6, "lower",
                              r.half_width, 0.03))
    r = ratio.Ratio(unused["load"], unused["unload"])
    found.append(ratio.target("16 rows, base: adapters loaded but unused ÷ none", r.value, 1.01,
                              "lower", r.half_width, 0.005))
    return found


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
