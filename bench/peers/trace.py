"""What every system is asked: the same prompts, in the same order, of the same adapters."""

import bisect
import dataclasses
import itertools
import random

NUM_ADAPTERS = 64
STREAMS = 16
PROMPT_TOKENS = 128
MAX_TOKENS = 128
SKEWED_REQUESTS = 96

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15


def _mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def prompt(seed, index, vocabulary, count):
    """The ids that `chorus bench` sends with request `index` (FillPrompt in
    server/cli/load_generator.cc)."""
    state = _mix(seed) ^ _mix((index * _GAMMA + 1) & _MASK)
    ids = []
    for _ in range(count):
        state = (state + _GAMMA) & _MASK
        ids.append(_mix(state) % vocabulary)
    return ids


def adapter(index):
    return f"bench-{index}"


@dataclasses.dataclass(frozen=True)
class Wave:
    """Requests that follow each other on `concurrency` streams. `adapters` has one name a request,
    None for the base."""
    adapters: tuple
    seed: int
    vocabulary: int
    concurrency: int = STREAMS
    prompt_tokens: int = PROMPT_TOKENS
    max_tokens: int = MAX_TOKENS

    def prompts(self):
        return [prompt(self.seed, index, self.vocabulary, self.prompt_tokens)
                for index in range(len(self.adapters))]

    @property
    def tokens_out(self):
        return len(self.adapters) * self.max_tokens


def skewed(count, num_adapters, seed):
    """`count` adapters: each of `num_adapters` once, the rest by Zipf's law (exponent 1), shuffled.
    REQUIRES: count >= num_adapters."""
    draw = random.Random(seed)
    weights = list(itertools.accumulate(1 / (rank + 1) for rank in range(num_adapters)))
    chosen = list(range(num_adapters))
    while len(chosen) < count:
        chosen.append(bisect.bisect(weights, draw.random() * weights[-1]))
    draw.shuffle(chosen)
    return tuple(adapter(index) for index in chosen)


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    title: str
    concurrency: int = STREAMS

    def wave(self, seed, vocabulary, max_tokens=MAX_TOKENS):
        return Wave(adapters=_adapters_of(self.name, seed), seed=seed, vocabulary=vocabulary,
                    concurrency=self.concurrency, max_tokens=max_tokens)


BASE = Case("base", "16 at once, no adapter")
SHARED = Case("shared", "16 at once, one adapter shared")
DISTINCT = Case("distinct", "16 at once, 16 adapters")
SKEWED = Case("skewed", "16 at once, 64 adapters with skew")
ALONE = Case("alone", "one at a time, no adapter", concurrency=1)
CASES = (BASE, SHARED, DISTINCT, SKEWED, ALONE)


def _adapters_of(name, seed):
    if name == "base":
        return (None,) * STREAMS
    if name == "shared":
        return (adapter(0),) * STREAMS
    if name == "distinct":
        return tuple(adapter(index) for index in range(STREAMS))
    if name == "skewed":
        return skewed(SKEWED_REQUESTS, NUM_ADAPTERS, seed)
    return (None,) * 4  # alone
