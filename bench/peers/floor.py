"""What the machine's memory allows, one request at a time: a token cannot come before all that it
reads has been read."""

import contextlib
import os
import signal
import statistics

from harness import steps
from harness.engine_process import EngineProcess
from peers import trace

POOL_BYTES = 64 << 20
PROBES = 5


class Floor:
    """chorus_engine_bench, which counts a step's bytes and probes the bandwidth in its turns."""

    def __init__(self, program, place, scratch):
        self._engine = EngineProcess(program, place.model, os.path.join(scratch, "floor-store"),
                                     POOL_BYTES, place.threads, [])
        wave = self._engine.wave(1, trace.PROMPT_TOKENS, trace.MAX_TOKENS, False, seed=1)
        self.token_bytes = statistics.median(s["bytes"] for s in steps.decode_steps(wave, 1))
        self.probes = []
        self._signal(signal.SIGSTOP)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self._signal(signal.SIGCONT)
        self._engine.__exit__(*failure)

    def probe(self):
        """Bytes a second: the median of some readings now."""
        self._signal(signal.SIGCONT)
        try:
            found = [self._engine.ask("ceilings") for _ in range(PROBES)]
        finally:
            self._signal(signal.SIGSTOP)
        self.probes += found
        return statistics.median(probe["read_bandwidth"] for probe in found)

    def summary(self):
        """Median and best of all probes."""
        return steps.ceilings({"probes": self.probes})

    def milliseconds(self, bandwidths):
        """A token's floor by the mean of the probes around it."""
        return 1e3 * self.token_bytes / statistics.mean(bandwidths)

    def _signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._engine.pid, number)
