"""A system in the comparison: which cases it takes, how it may be started, what it is now."""

import contextlib
import dataclasses
from typing import Callable

from peers import trace


@dataclasses.dataclass
class Contender:
    peer: str                # whose figures these are
    part: str                # a peer may need a server for each kind of case
    cases: tuple             # of trace.CASES
    settings: list           # names of settings, the likeliest best first
    start: Callable          # setting → server: wave(), answers(), pause(), resume(), close()
    trial: trace.Case = None  # what settings are compared by; default: the first case
    same_weights: bool = True  # so that its answers can be compared
    most_tokens: int = trace.MAX_TOKENS  # out, of a request; the rest of a wave is not asked for
    server: object = None    # stands stopped except in its turns
    setting: str = None
    tried: dict = dataclasses.field(default_factory=dict)  # setting → tokens/s of the trial

    @property
    def name(self):
        return f"{self.peer}, {self.part}"

    def open(self, choose, vocabulary):
        """Starts it under each setting, and keeps the best; without `choose`, under the first."""
        if not choose or len(self.settings) == 1:
            self.setting = self.setting or self.settings[0]
            self.server = self._warm(self.start(self.setting), vocabulary)
            self.server.pause()
            return
        for setting in self.settings:
            server = self._warm(self.start(setting), vocabulary)
            try:
                self.tried[setting] = self._try(server, vocabulary)
                server.pause()
            except BaseException:
                server.close()
                raise
            worse = server
            if self.tried[setting] == max(self.tried.values()):
                worse, self.server, self.setting = self.server, server, setting
            if worse is not None:
                worse.close()

    @contextlib.contextmanager
    def turn(self):
        """The server goes on for as long as this lasts."""
        self.server.resume()
        try:
            yield self.server
        finally:
            self.server.pause()

    def measure(self, wave):
        """What the wave took, in a turn. RuntimeError when not all tokens came."""
        wave = dataclasses.replace(wave, max_tokens=min(wave.max_tokens, self.most_tokens))
        with self.turn() as server:
            # Wakes up what has slept.
            server.wave(dataclasses.replace(wave, adapters=wave.adapters[:1], max_tokens=4,
                                            seed=wave.seed + 500, concurrency=1))
            answer = server.wave(wave)
        if answer["completion_tokens"] != wave.tokens_out:
            raise RuntimeError(f'{self.name}: {wave.tokens_out} tokens wanted, '
                               f'{answer["completion_tokens"]} came')
        answer["tokens_per_second"] = answer["completion_tokens"] / answer["seconds"]
        return answer

    @property
    def has_adapters(self):
        return any(name for case in self.cases for name in case.wave(1, 1).adapters)

    def close(self):
        if self.server is not None:
            self.server.close()
            self.server = None

    def _warm(self, server, vocabulary):
        """Every case once, short: adapters are loaded, code is compiled."""
        try:
            for case in self.cases:
                server.wave(case.wave(1, vocabulary, max_tokens=8))
            return server
        except BaseException:
            server.close()
            raise

    def _try(self, server, vocabulary):
        rates = []
        for seed in (2, 3):
            wave = (self.trial or self.cases[0]).wave(seed, vocabulary, max_tokens=32)
            answer = server.wave(wave)
            rates.append(answer["completion_tokens"] / answer["seconds"])
        return max(rates)
