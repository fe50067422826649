"""Figures of a run: what each system gave in each round of each case, the targets they are held
against, and the file that keeps them until the run is complete."""

import json
import os
import statistics

from harness import ratio
from peers import trace

# case, peer, the least that Chorus's tokens/s ÷ the peer's may be
LIMITS = (
    ("base", "vLLM", 1.5), ("base", "llama.cpp", 2.2),
    ("shared", "llama.cpp", 2.5), ("shared", "vLLM", 5.0),
    ("distinct", "vLLM", 5.0), ("distinct", "llama.cpp", 8.0), ("distinct", "PEFT", 15.0),
    ("skewed", "vLLM", 5.0),
    ("alone", "llama.cpp", 1.0),
)
FLOOR_LIMIT = 0.85
CHORUS = "Chorus"
# For the estimate of the whole run's time alone: seconds to start, tokens out a second, met once.
START_SECONDS = {"vLLM": 120, "PEFT": 40}
OTHER_START_SECONDS = 15
RATES = {
    "Chorus": {"alone": 90, "skewed": 400},
    "vLLM": {"base": 350, "shared": 80, "distinct": 79, "skewed": 50, "alone": 46},
    "llama.cpp": {"base": 230, "shared": 185, "distinct": 54, "alone": 82},
    "llama.cpp in Q4_1": {"alone": 149},
    "PEFT": {"base": 107, "shared": 83, "distinct": 28, "alone": 15},
}
OTHER_RATE = 500
TITLES = {case.name: case.title for case in trace.CASES}


class Figures:
    """blocks of one run. `key` says of which; blocks that the file has of another are not taken."""

    def __init__(self, path, key, keep):
        self._path, self._key = path, key
        self.blocks = {}    # case → peer → round → block
        self.settings = {}  # contender → {"chosen", "tried"}
        if keep and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                kept = json.load(file)
            if kept["key"] == key:
                self.settings = kept["settings"]
                self.blocks = {case: {peer: {int(r): block for r, block in rounds.items()}
                                      for peer, rounds in peers.items()}
                               for case, peers in kept["blocks"].items()}

    def get(self, case, peer, which):
        return self.blocks.get(case, {}).get(peer, {}).get(which)

    def add(self, case, peer, which, block):
        self.blocks.setdefault(case, {}).setdefault(peer, {})[which] = block
        self.save()

    def save(self):
        part = self._path + ".part"
        with open(part, "w", encoding="utf-8") as file:
            json.dump({"key": self._key, "settings": self.settings, "blocks": self.blocks}, file)
        os.replace(part, self._path)

    def of(self, case, peer, field="tokens_per_second"):
        """{round: value}"""
        return {which: block[field]
                for which, block in self.blocks.get(case, {}).get(peer, {}).items()
                if field in block}


def targets(figures, missing):
    """The targets that can be judged, and lines on those that cannot. `missing` is {peer: why}."""
    judged, not_judged = [], []
    for case, peer, limit in LIMITS:
        name = f"{TITLES[case]}: ÷ {peer}"
        # Round for round, so that what slows the machine for a while slows both.
        found = _paired(figures.of(case, CHORUS), figures.of(case, peer))
        if found is None:
            not_judged.append(f'{name}: {missing.get(peer) or "not measured in two rounds"}')
        else:
            judged.append(_target(name, found, limit))
    found = _paired(figures.of("alone", CHORUS, "floor_ms"),
                    figures.of("alone", CHORUS, "between_ms"))
    name = "one at a time: bandwidth's floor ÷ time between tokens"
    if found is None:
        not_judged.append(f"{name}: not measured in two rounds")
    else:
        judged.append(_target(name, found, FLOOR_LIMIT))
    return judged, not_judged


def _paired(above, below):
    rounds = sorted(above.keys() & below.keys())
    if len(rounds) < 2:
        return None
    return ratio.Ratio([above[r] for r in rounds], [below[r] for r in rounds])


def _target(name, found, limit):
    """Resolved when the limit does not lie within the half-width."""
    return ratio.target(name, found.value, limit, "higher", found.half_width, resolution=0.0)


def rows(figures):
    """For people: case, system, tokens/s, half their range in %, ms to the first token and between
    tokens, rounds, the client's share of a core in %."""
    found = []
    for case in trace.CASES:
        for peer, rounds in figures.blocks.get(case.name, {}).items():
            blocks = list(rounds.values())
            rates = [block["tokens_per_second"] for block in blocks]
            middle = statistics.median(rates)
            found.append([case.title, peer, middle, 50 * (max(rates) - min(rates)) / middle,
                          _median(blocks, "ttft_ms"), _median(blocks, "itl_ms"), len(blocks),
                          _client_share(blocks)])
    return found


def _median(blocks, field):
    values = [block[field]["p50"] for block in blocks if field in block]
    return statistics.median(values) if values else None


def _client_share(blocks):
    shares = [100 * block["client_cpu_seconds"] / block["seconds"] for block in blocks
              if "client_cpu_seconds" in block]
    return statistics.median(shares) if shares else None


def turns(which, contenders):
    """(case, contender) of a round: every case, each system in its turn; in every other round the
    other way round, so that what comes before a system is not always the same."""
    cases = trace.CASES if which % 2 == 0 else trace.CASES[::-1]
    order = contenders if which % 2 == 0 else contenders[::-1]
    return [(case, contender) for case in cases for contender in order if case in contender.cases]


def estimate(contenders, rounds, max_tokens, long_seconds, tries):
    """Seconds that a whole run takes."""
    total = 0.0
    for contender in contenders:
        start = START_SECONDS.get(contender.peer, OTHER_START_SECONDS)
        total += start * (len(contender.settings) if tries else 1)
        for case in contender.cases:
            rate = RATES.get(contender.peer, {}).get(case.name, OTHER_RATE)
            seconds = case.wave(1, 1, max_tokens).tokens_out / rate
            total += seconds * (min(rounds, 2) if seconds > long_seconds else rounds)
    return total
