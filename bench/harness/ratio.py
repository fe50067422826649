"""The ratio of two sides' medians, and how sure it is.

Two sides are measured in the same blocks, each block with a median of either side: so what slows the
machine down for a while slows both. The value is the median over the blocks of the ratio of these
medians. The half-width is half the 95 % interval of that value under the bootstrap over blocks, as
a share of the value.
"""

import random
import statistics
import time

RESAMPLES = 4000
FEWEST_BLOCKS = 4


class Ratio:
    """above ÷ below over the blocks that both were measured in."""

    def __init__(self, above, below, seed=1):
        if len(above) != len(below) or len(above) < 2:
            raise ValueError(f"blocks of both sides wanted, got {len(above)} and {len(below)}")
        self._ratios = [a / b for a, b in zip(above, below)]
        self.blocks = len(self._ratios)
        self.value = statistics.median(self._ratios)
        self.half_width = self._half_width(random.Random(seed))

    def _half_width(self, draw):
        medians = sorted(statistics.median(draw.choices(self._ratios, k=self.blocks))
                         for _ in range(RESAMPLES))
        low = medians[int(0.025 * (RESAMPLES - 1))]
        high = medians[int(0.975 * (RESAMPLES - 1)) + 1]
        return (high - low) / 2 / self.value


class Budget:
    """How long blocks are added: `seconds`, and up to `most` seconds while the half-widths are too
    wide. What the ratios are plays no part, so that stopping cannot favour a side."""

    CHECK_SECONDS = 10

    def __init__(self, seconds, most=None):
        self._begin = time.monotonic()
        self._seconds, self._most = seconds, most or seconds
        self._next_check = seconds

    def goes_on(self, num_blocks, resolved):
        """`resolved()` says whether the half-widths are narrow enough."""
        if num_blocks < FEWEST_BLOCKS:
            return True
        elapsed = time.monotonic() - self._begin
        if elapsed < self._seconds or elapsed >= self._most:
            return elapsed < self._seconds
        if elapsed < self._next_check:
            return True
        self._next_check = elapsed + self.CHECK_SECONDS
        return not resolved()


def target(name, value, limit, better, half_width=0.0, resolution=1.0, note=None):
    """One target as the results file has it. `met` is None (it reads "not resolved") when the
    half-width is above `resolution`."""
    holds = value <= limit if better == "lower" else value >= limit
    result = {
        "name": name,
        "value": value,
        "limit": limit,
        "better": better,
        "met": holds if half_width <= resolution else None,
        "half_width": half_width,
        "resolution": resolution,
    }
    if note:
        result["note"] = note
    return result
