"""What all systems are given: the model, the adapters, the cores."""

import dataclasses
import hashlib
import os

from harness import machine, peft
from peers import trace
from peers.cache import Cache

DTYPE = "bf16"  # of the weights
SCALING = 8  # of adapters, so that answers tell whose they are


@dataclasses.dataclass
class Place:
    cache: Cache
    model: str           # a Hugging Face directory
    threads: int

    @property
    def adapters(self):
        """{name: PEFT directory}"""
        return {trace.adapter(i): self.cache.path("adapters", trace.adapter(i))
                for i in range(trace.NUM_ADAPTERS)}

    @property
    def vocabulary(self):
        return peft.model_config(self.model)["vocab_size"]

    @property
    def torch_dtype(self):
        """Of the weights under PyTorch: f32 where the processor multiplies no bf16, since it takes 4
        to 27 times as long in bf16 there (one linear on 16 and on 1 rows, Zen 3)."""
        return DTYPE if machine.hardware()["avx512_bf16"] else "f32"

    def fingerprint(self):
        """Differs between models, and between machines for which programs are compiled."""
        digest = hashlib.sha256()
        for name in ("config.json", "model.safetensors"):
            path = os.path.join(self.model, name)
            digest.update(str(os.path.getsize(path)).encode())
            with open(path, "rb") as file:
                digest.update(file.read(1 << 20))
        return digest.hexdigest()

    def write_adapters(self):
        """All adapters, unless they are there."""
        stamp, text = os.path.join("adapters", "stamp"), f"{SCALING} {self.fingerprint()}"
        if not self.cache.has(stamp, text):
            peft.write_adapters(self.cache.path("adapters"), self.model, trace.NUM_ADAPTERS,
                                SCALING)
            self.cache.done(stamp, text)


def machine_name():
    return machine.slug(machine.hardware())
