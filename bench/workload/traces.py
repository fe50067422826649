#!/usr/bin/env python3
"""Writes traces: who asks what, and when. One JSON object a line, in order of arrival:

  {"arrival": 0.46926809, "adapter": 74, "prompt": 110, "output": 306, "tenant": "tenant-0"}

arrival in seconds from the start; adapter an index from 0, or null for the base model; prompt and
output in tokens. Replay it open loop: a request is sent when its time has come, however many wait.

shapes:
  slora     S-LoRA's own generator (benchmarks/trace.py of S-LoRA), bit for bit
  zipf-1.0  its lengths and arrivals, adapter of rank i as popular as 1/(i+1)
  zipf-1.5  likewise, 1/(i+1)^1.5
  bursts    S-LoRA's with cv 4: gaps between arrivals four times as uneven as Poisson's
  on-off    Poisson arrivals in bursts of 5 s, then 15 s of silence, both exponential
  chat      the shape of S-LoRA's real trace, which was never published: 26 adapters, lognormal
            lengths under 512 tokens with means of 85 in and 165 out, arrivals uneven (cv 1.5) under
            a wave of a period of 300 s. A shape: no conversation is in it

Options change a part of a shape:
  --popularity power:ALPHA | zipf:S       ALPHA 1 is uniform, towards 0 all ask the first adapter
  --lengths uniform:LOW:HIGH | split:LOW:HIGH:LOW:HIGH | chat
                                          tokens in and out, or in, then out; HIGH excluded
  --arrivals gamma:CV | on-off:ON_S:OFF_S | wave:CV:DEPTH:PERIOD_S
"""

import argparse
import bisect
import itertools
import json
import math
import os
import sys
from collections import namedtuple

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from legacy_random import LegacyRandom  # noqa: E402

Request = namedtuple("Request", "arrival adapter prompt output tenant")

SHAPES = {
    "slora": {},
    "zipf-1.0": {"popularity": "zipf:1.0"},
    "zipf-1.5": {"popularity": "zipf:1.5"},
    "bursts": {"arrivals": "gamma:4"},
    "on-off": {"arrivals": "on-off:5:15"},
    "chat": {"adapters": 26, "popularity": "zipf:1.0", "lengths": "chat",
             "arrivals": "wave:1.5:0.5:300"},
}
DEFAULTS = {"adapters": 200, "rate": 2.0, "duration": 300.0, "seed": 42, "tenants": 1,
            "popularity": "power:1", "lengths": "uniform:8:512", "arrivals": "gamma:1"}

# Lognormal lengths of `chat`: the mean and deviation of the logarithm, which give the documented
# means once lengths of 512 and more are drawn again, as S-LoRA drops such conversations.
CHAT_PROMPT = (3.98345, 1.2)
CHAT_OUTPUT = (4.99451, 0.9)
CHAT_LIMIT = 512


def make(shape, **changed):
    """The requests of a shape, in order of arrival. A draw makes a whole array, as S-LoRA's
    generator does: adapters, prompts, outputs, gaps."""
    unknown = set(changed) - set(DEFAULTS)
    if shape not in SHAPES or unknown:
        raise ValueError(f"traces: expected a shape of {', '.join(SHAPES)} with "
                         f"{', '.join(DEFAULTS)}, got {shape} {', '.join(sorted(unknown))}")
    spec = {**DEFAULTS, **SHAPES[shape], **changed}
    draw = LegacyRandom(spec["seed"])
    count = int(spec["rate"] * spec["duration"])
    adapters = _adapters(draw, spec["popularity"], spec["adapters"], count)
    prompts, outputs = _lengths(draw, spec["lengths"], count)
    arrivals = _arrivals(draw, spec["arrivals"], spec["rate"], count)
    requests = []
    for i, parts in enumerate(zip(arrivals, adapters, prompts, outputs)):
        owner = i if parts[1] is None else parts[1]
        requests.append(Request(*parts, f'tenant-{owner % spec["tenants"]}'))
    return requests


def write(requests, path):
    with open(path, "w", encoding="utf-8") as out:
        for request in requests:
            out.write(json.dumps(request._asdict()) + "\n")


def _parse(text, kinds):
    """"kind:1:2" as ("kind", 1.0, 2.0), where `kinds` says how many numbers each takes."""
    kind, *numbers = text.split(":")
    if kinds.get(kind) != len(numbers):
        known = ", ".join(f"{name} with {count} numbers" for name, count in kinds.items())
        raise ValueError(f"traces: expected {known}, got {text}")
    return kind, *map(float, numbers)


def _adapters(draw, popularity, num_adapters, count):
    kind, exponent = _parse(popularity, {"power": 1, "zipf": 1})
    # Without adapters the draws are made too, so that lengths and arrivals are the same.
    drawn = [draw.power(exponent) if kind == "power" else draw.random() for _ in range(count)]
    if num_adapters == 0:
        return [None] * count
    if kind == "power":
        return [int(x * num_adapters) for x in drawn]
    shares = list(itertools.accumulate((i + 1) ** -exponent for i in range(num_adapters)))
    return [bisect.bisect_right(shares, x * shares[-1], hi=num_adapters - 1) for x in drawn]


def _lengths(draw, lengths, count):
    kind, *bounds = _parse(lengths, {"uniform": 2, "split": 4, "chat": 0})
    if kind == "chat":
        return [[_chat_length(draw, *of) for _ in range(count)]
                for of in (CHAT_PROMPT, CHAT_OUTPUT)]
    return [[draw.integer(int(low), int(high)) for _ in range(count)]
            for low, high in (bounds[:2], bounds[-2:])]


def _chat_length(draw, mean, sigma):
    while True:
        length = int(draw.lognormal(mean, sigma))
        if 1 <= length < CHAT_LIMIT:
            return length


def _arrivals(draw, arrivals, rate, count):
    kind, *numbers = _parse(arrivals, {"gamma": 1, "on-off": 2, "wave": 3})
    cv = numbers[0] if kind != "on-off" else 1.0
    burst_rate = rate * sum(numbers) / numbers[0] if kind == "on-off" else rate
    gaps = [draw.gamma(1 / (cv * cv), cv * cv / burst_rate) for _ in range(count)]
    times = list(itertools.accumulate(gaps))
    if kind == "on-off":
        return _pause(draw, times, *numbers)
    if kind == "wave":
        return _wave(times, *numbers[1:])
    return times


def _pause(draw, times, on_seconds, off_seconds):
    """Lets the time stand still every now and then."""
    paused, next_pause = 0.0, on_seconds * draw.exponential()
    result = []
    for time in times:
        while time >= next_pause:
            paused += off_seconds * draw.exponential()
            next_pause += on_seconds * draw.exponential()
        result.append(time + paused)
    return result


def _wave(times, depth, period):
    """Bends the time so that the rate goes as 1 + depth · sin(2π t / period)."""
    if not 0.0 <= depth < 1.0:
        raise ValueError(f"traces: wave: expected a depth from 0 to below 1, got {depth:g}")
    turn = 2 * math.pi / period
    result, t = [], 0.0
    for time in times:
        while True:  # Newton: t + depth/turn · (1 - cos(turn t)) = time
            step = ((t + depth / turn * (1 - math.cos(turn * t)) - time) /
                    (1 + depth * math.sin(turn * t)))
            t -= step
            if abs(step) < 1e-9:
                break
        result.append(max(t, result[-1]) if result else t)  # of two at once, one may round down
    return result


def main(arguments):
    parser = argparse.ArgumentParser(
        prog="traces.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("-o", "--output", default="/dev/stdout", metavar="FILE")
    for name, default in DEFAULTS.items():
        parser.add_argument(f"--{name}", type=type(default),
                            help=f"default {default}, if the shape says nothing else")
    options = vars(parser.parse_args(arguments))
    changed = {name: options[name] for name in DEFAULTS if options[name] is not None}
    try:
        requests = make(options["shape"], **changed)
    except ValueError as error:
        parser.error(str(error))
    write(requests, options["output"])


if __name__ == "__main__":
    main(sys.argv[1:])
