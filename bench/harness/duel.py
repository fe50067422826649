"""Two servers under loads that keep them saturated, in turns: one computes while the other stands
stopped. So what slows the machine down for a while slows both.

Work is counted in rows, the tokens that steps computed, of prompts and of answers alike (how many of
a few seconds' tokens are answers is chance), less those that were computed again after a preemption.
A turn ends where a step does, to a few milliseconds, and not before it did some work.
"""

import contextlib
import random
import statistics
import time

from harness import bytes_model, ratio

POLL_SECONDS = 0.005
STEP_SECONDS = 60.0  # within which a step with work is expected


class Side:
    """A server, and the closed loop of requests that it answers in its turns."""

    def __init__(self, server, trace, streams, seed):
        self._server = server
        self._status = server.status()
        self._replay = server.replay(trace, "--concurrency", str(streams), seed=seed)
        self._first = self._last = None  # counters, where the turns begin and end
        self.turns = []  # {rows, seconds} of each
        server.pause()

    def close(self):
        self._server.resume()
        self._replay.close()

    def turn(self, seconds, counts):
        """Computes for so long, and to the end of a step. What does not count is not kept."""
        self._server.resume()
        begin = time.monotonic()
        time.sleep(seconds)
        after = self._end_of_step()
        self._server.pause()
        if counts:
            self._first = self._first or self._last
            self.turns.append({"rows": _useful_rows(after) - _useful_rows(self._last),
                               "seconds": after["time"] - begin})
        self._last = after

    def _end_of_step(self):
        begin = now = self._server.counters()
        done = _useful_rows(self._last) if self._last else 0
        while now[bytes_model.STEPS] == begin[bytes_model.STEPS] or _useful_rows(now) <= done:
            if self._replay.ended():
                raise RuntimeError("duel: requests to the end expected, got no more of them")
            if now["time"] > begin["time"] + STEP_SECONDS:
                raise RuntimeError(f"duel: work within {STEP_SECONDS:.0f} s expected, got none")
            time.sleep(POLL_SECONDS)
            now = self._server.counters()
        return now

    def figures(self, rank_bytes):
        """Its turns, and the mean step of them all."""
        mean = bytes_model.mean_step(self._first, self._last, self._status, rank_bytes)
        seconds = sum(turn["seconds"] for turn in self.turns)
        # By the engine's clock a step that was under way in a pause took that long.
        mean |= {"steps_per_second": mean["steps"] / seconds,
                 "rows_per_second": sum(turn["rows"] for turn in self.turns) / seconds,
                 "step_ms": 1000 * seconds / mean["steps"]}
        return {"turns": self.turns, "model": mean}


def _useful_rows(counters):
    return counters[bytes_model.ROWS] - counters[bytes_model.RECOMPUTED]


@contextlib.contextmanager
def between(servers, traces, streams, seed):
    """A Duel of two servers, each under its trace; the first is compared with the second."""
    with contextlib.ExitStack() as ends:
        yield Duel([ends.enter_context(contextlib.closing(Side(server, trace, streams, seed)))
                    for server, trace in zip(servers, traces)], random.Random(seed))


class Duel:
    def __init__(self, sides, draw):
        self._sides, self._draw = sides, draw

    def warm_up(self, seconds, lead):
        """Turns of so many seconds that do not count, `lead` seconds at least for each. REQUIRES: to
        come first."""
        for _ in range(1 + int(lead / seconds)):
            self._take_turns(seconds, counts=False)

    def take_turns(self, seconds, budget, resolution):
        """In random order, until the budget is used up or the ratio is known well enough."""
        while budget.goes_on(len(self._sides[0].turns), lambda: compare(
                *(side.turns for side in self._sides)).half_width <= resolution):
            self._take_turns(seconds, counts=True)

    def _take_turns(self, seconds, counts):
        for side in self._draw.sample(self._sides, 2):
            side.turn(seconds, counts)

    def figures(self, rank_bytes):
        """[above, below] as Side.figures"""
        return [side.figures(rank_bytes) for side in self._sides]


def compare(above, below):
    """Of the rows a second of two sides' turns. A turn's own are half chance, prompts or answers, so
    their geometric mean: it is a third surer than the median."""
    return ratio.Ratio(*([turn["rows"] / turn["seconds"] for turn in turns]
                         for turns in (above, below)), middle=statistics.geometric_mean)
