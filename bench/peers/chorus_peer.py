"""Chorus itself, driven over gRPC by `chorus bench`."""

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
        tokens = {model: [] for model in models}
        for event in self.generate(ids, models, max_tokens):
            tokens[event["model"]] += event.get("token_ids", ())
        return [tokens[model] for model in models]

    def resident_bytes(self):
        return memory.resident(self.pid, POOL_BYTES)["pss"]


def contenders(place, daemon, client, scratch):
    return [Contender(NAME, "chorusd", trace.CASES, ["its defaults"],
                      lambda _setting: Server(place, daemon, client, scratch))]
