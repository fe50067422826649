"""PEFT with transformers: one static batch, adapters by name."""

import json
import os

from peers import cache, trace
from peers.child import Child
from peers.contender import Contender

NAME = "PEFT"
VENV = "peft"
READY_SECONDS = 180
LOADED = trace.STREAMS  # adapters; the case with 64 is not put to PEFT
MAX_TOKENS = 48         # of a request; it is slow, and these are enough to tell its rate


def install(place, _jobs):
    if not place.cache.has_venv(VENV):
        place.cache.want_space(NAME, 2_700_000_000, 6_000_000_000)
        place.cache.make_venv(VENV)


def why_missing(place):
    return None if place.cache.has_venv(VENV) else "not installed"


def versions(_place):
    return {name: cache.pinned(VENV, name) for name in ("peft", "transformers", "torch")}


# How a batch goes through one adapter that all its rows share.
SETTINGS = {"adapters by name": False, "one adapter for all: made active": True}


class Server(Child):
    def __init__(self, place, setting):
        self._one_active = SETTINGS[setting]
        adapters = list(place.adapters.items())[:LOADED]
        super().__init__([place.cache.python(VENV), os.path.join(cache.HERE, "peft_worker.py"),
                          place.model, str(place.threads), place.torch_dtype,
                          *(f"{n}={p}" for n, p in adapters)],
                         place.cache.log("peft.log"), pipes=True)
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def wave(self, wave):
        answer = self._wave(wave.prompts(), wave.adapters, wave.max_tokens, wave.concurrency)
        answer.pop("outputs")
        return answer

    def answers(self, prompts, adapters, max_tokens, concurrency):
        """REQUIRES: prompts of one length where they go at once."""
        return self._wave(prompts, adapters, max_tokens, concurrency)["outputs"]

    def encode(self, texts):
        return self.ask({"do": "encode", "texts": texts})["prompts"]

    def oracle(self, prompts, adapters, max_tokens, best):
        return self.ask({"do": "oracle", "prompts": prompts, "adapters": adapters,
                         "max_tokens": max_tokens, "best": best})["answers"]

    def ask(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _wave(self, prompts, adapters, max_tokens, batch):
        return self.ask({"do": "wave", "prompts": prompts, "adapters": list(adapters),
                         "max_tokens": max_tokens, "batch": batch,
                         "one_active": self._one_active})

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise self.failed("no answer")
        return json.loads(line)


def contenders(place):
    return [Contender(NAME, "generate", (trace.BASE, trace.SHARED, trace.DISTINCT, trace.ALONE),
                      list(SETTINGS), lambda setting: Server(place, setting), trial=trace.SHARED,
                      most_tokens=MAX_TOKENS)]
