"""Chorus itself, driven over gRPC by `chorus bench`."""

import json
import os
import signal

from harness import memory
from harness.server_process import MODEL_NAME, ServerProcess
from peers import trace
from peers.contender import Contender
from peers.place import DTYPE

NAME = "Chorus"
POOL_BYTES = 2 << 30


class Server(ServerProcess):
    """chorusd with every adapter uploaded."""

    def __init__(self, place, daemon, client, scratch):
        super().__init__(daemon, client, place.model, scratch, POOL_BYTES, place.threads,
                         ("--dtype", DTYPE))
        try:
            for name, path in place.adapters.items():
                self.client("adapters", "upload", name, path)
        except BaseException:
            self.close()
            raise

    def wave(self, wave):
        return self.bench(wave.concurrency, wave.prompt_tokens, wave.max_tokens, wave.seed,
                          [name or MODEL_NAME for name in wave.adapters])

    def answers(self, prompts, adapters, max_tokens, concurrency):
        """REQUIRES: one prompt where several go at once, and adapters all different."""
        together = len(prompts) if concurrency > 1 else 1
        outputs = []
        for first in range(0, len(prompts), together):
            names = [name or MODEL_NAME for name in adapters[first:first + together]]
            outputs += self._generate(prompts[first], names, max_tokens)
        return outputs

    def _generate(self, ids, models, max_tokens):
        lines = self.client(
            "generate", *(word for model in models for word in ("--model", model)),
            "--token-ids", ",".join(map(str, ids)), "--max-tokens", str(max_tokens),
            "--temperature", "0", "--ignore-eos", "--json").splitlines()
        tokens = {model: [] for model in models}
        for event in map(json.loads, lines):
            tokens[event["model"]] += event.get("token_ids", ())
        return [tokens[model] for model in models]

    def resident_bytes(self):
        return memory.resident(self.pid, POOL_BYTES)["pss"]

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def close(self):
        if self._process.poll() is None:
            self.resume()
        super().close()


def contenders(place, daemon, client, scratch):
    return [Contender(NAME, "chorusd", trace.CASES, ["its defaults"],
                      lambda _setting: Server(place, daemon, client, scratch))]
