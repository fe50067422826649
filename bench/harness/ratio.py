"""The ratio of two medians, and how sure it is.

Two sides are measured in the same blocks, so a drift of the machine moves both. The half-width is
half the 95 % interval of the ratio under the bootstrap over blocks, as a share of the ratio: whole
blocks are drawn, so that what the sides have in common stays in common.
"""

import random
import statistics

RESAMPLES = 4000


class Ratio:
    """median(above) ÷ median(below) over the blocks that both were measured in."""

    def __init__(self, above, below, seed=1):
        if len(above) != len(below) or len(above) < 2:
            raise ValueError(f"blocks of both sides wanted, got {len(above)} and {len(below)}")
        self.blocks = len(above)
        self.value = statistics.median(above) / statistics.median(below)
        self.half_width = self._half_width(list(zip(above, below)), seed)

    def _half_width(self, pairs, seed):
        draw = random.Random(seed)
        ratios = []
        for _ in range(RESAMPLES):
            drawn = draw.choices(pairs, k=len(pairs))
            ratios.append(statistics.median(a for a, _ in drawn) /
                          statistics.median(b for _, b in drawn))
        ratios.sort()
        low = ratios[int(0.025 * (RESAMPLES - 1))]
        high = ratios[int(0.975 * (RESAMPLES - 1)) + 1]
        return (high - low) / 2 / self.value


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
