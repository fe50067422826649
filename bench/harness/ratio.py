"""The ratio of two sides, and how sure it is.

Two sides are measured in the same blocks, so what slows the machine down for a while slows both. The
value is the middle over the blocks of the ratio of the two: their median, or another mean where it
tells more. The half-width is half the 95 % interval of that value under the bootstrap over blocks,
as a share of the value.
"""

import random
import statistics
import time

RESAMPLES = 4000
FEWEST_BLOCKS = 4


class Ratio:
    """above ÷ below over the blocks that both were measured in."""

    def __init__(self, above, below, seed=1, middle=statistics.median):
        if len(above) != len(below) or len(above) < 2:
            raise ValueError(f"blocks of both sides wanted, got {len(above)} and {len(below)}")
        self._ratios = [a / b for a, b in zip(above, below)]
        self.blocks = len(self._ratios)
        self._middle = middle
        self.value = middle(self._ratios)
        self.half_width = self._half_width(random.Random(seed))

    def _half_width(self, draw):
        middles = sorted(self._middle(draw.choices(self._ratios, k=self.blocks))
                         for _ in range(RESAMPLES))
        low = middles[int(0.025 * (RESAMPLES - 1))]
        high = middles[int(0.975 * (RESAMPLES - 1)) + 1]
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
    """One target as the results file has it. `met` is None (it reads "not resolved") when the limit
    lies within the half-width and that is above `resolution`."""
    holds = value <= limit if better == "lower" else value >= limit
    resolved = half_width <= resolution or abs(value - limit) > half_width * value
    result = {
        "name": name,
        "value": value,
        "limit": limit,
        "better": better,
        "met": holds if resolved else None,
        "half_width": half_width,
        "resolution": resolution,
    }
    if note:
        result["note"] = note
    return result
