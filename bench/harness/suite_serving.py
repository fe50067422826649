"""Suite `serving`: engine steps in one process, the server in front of the engine, and what an
activated LoRA saves."""

import os
import sys
import tempfile

from harness import activated, front, machine, memory, peft, ratio, report, steps
from harness.engine_process import EngineProcess
from harness.server_process import ServerProcess

ENGINE, DAEMON, CLIENT = "chorus_engine_bench", "chorusd", "chorus"
POOL_BYTES = 1 << 30
NUM_ADAPTERS = 16
MIB = 1 << 20

# Seconds for each part, and how long it may go on while a half-width is too wide.
FULL = {"steps": (150, 400), "unused": (100, 400), "front": (100, 300), "activated": (30, 120)}
QUICK = {"steps": (30, 30), "unused": (25, 25), "front": (25, 25), "activated": (8, 8)}


def model_directory(root):
    path = os.environ.get("CHORUS_SMOLLM2") or os.path.join(root, "build", "models", "smollm2")
    if not os.path.exists(os.path.join(path, "config.json")):
        raise SystemExit(f"{path}: no model there; deploy/convert_smollm2.py makes it, "
                         "CHORUS_SMOLLM2 says where it is")
    return path


def run(build, options):
    build.targets(ENGINE, DAEMON, CLIENT)
    with tempfile.TemporaryDirectory(prefix="chorus-bench-") as scratch:
        return Measurement(build, options, scratch).run()


class Measurement:
    def __init__(self, build, options, scratch):
        self._build = build
        self._options = options
        self._scratch = scratch
        self._model = model_directory(build.root)
        self._threads = options.threads or machine.cores()
        self._raw = {"seed": options.seed, "threads": self._threads}

    def run(self):
        adapters = peft.write_adapters(os.path.join(self._scratch, "adapters"), self._model,
                                       NUM_ADAPTERS)
        with EngineProcess(self._build.program(ENGINE), self._model,
                           os.path.join(self._scratch, "store"), POOL_BYTES, self._threads,
                           adapters) as engine:
            self._raw["engine"] = engine.description
            targets = self._measure_steps(engine) + self._measure_front(engine)
        if not self._options.json:
            self._print()
        return {"raw": self._raw, "targets": targets}

    def _measure_steps(self, engine):
        seed = self._options.seed
        steps.warm_up(engine)
        # Before the probes of the ceilings take memory of their own.
        held = memory.resident(engine.pid, engine.description["pool_bytes"])
        self._raw["memory"] = {"engine": held}
        rounds = steps.run_rounds(engine, self._budget("steps", "steps, sides in turns"), seed)
        unused = steps.run_unused(engine, self._budget("unused", "adapters loaded but unused"),
                                  seed)
        self._raw |= {"rounds": rounds, "unused": unused, "ceilings": steps.ceilings(rounds)}
        return steps.step_targets(rounds["blocks"]) + [steps.unused_target(unused)]

    def _measure_front(self, engine):
        with ServerProcess(self._build.program(DAEMON), self._build.program(CLIENT), self._model,
                           self._scratch, POOL_BYTES, self._threads) as server:
            blocks = front.run_bursts(
                engine, server, self._budget("front", "the server in front of the engine"),
                machine.cores(), self._options.seed)
            held = memory.resident(server.pid, engine.description["pool_bytes"])
            self._raw["activated"] = self._measure_activated(server)
        self._raw["front"] = blocks
        self._raw["memory"]["chorusd"] = held
        wanted = engine.description["weights_bytes"] + engine.description["pool_bytes"]
        return [front.target(blocks), activated.target(self._raw["activated"]),
                ratio.target("chorusd: resident memory, pool full ÷ (weights + pool)",
                             held["full"] / wanted, 1.15, "lower")]

    def _measure_activated(self, server):
        activated.upload(server, self._model, self._scratch)
        return activated.run_blocks(server, peft.model_config(self._model)["vocab_size"],
                                    self._budget("activated", "LoRA and aLoRA behind a context"),
                                    self._options.seed)

    def _budget(self, part, title):
        seconds, most = (QUICK if self._options.quick else FULL)[part]
        if not self._options.json:
            longer = f", up to {most} s until it is resolved" if most > seconds else ""
            print(f"· {title}: {seconds} s{longer}", file=sys.stderr, flush=True)
        return ratio.Budget(seconds, most)

    def _print(self):
        raw = self._raw
        print(report.table(["engine steps", "step ms", "floor ms", "tokens/s", "steps"],
                           steps.figures(raw["rounds"])), end="\n\n")
        for name, unit in (("read_bandwidth", "B/s"), ("compute_rate", "FLOP/s")):
            probed = raw["ceilings"][name]
            print(f'{name.replace("_", " ")}: median {probed["median"] / 1e9:.0f} G{unit}, '
                  f'best {probed["best"] / 1e9:.0f}')
        print()
        print(report.table(["16 streams, 128 in, 128 out", "seconds", "tokens/s", "bursts"],
                           front.figures(raw["front"])), end="\n\n")
        print(report.table([f"{activated.CONTEXT} tokens, then", "first token ms", "cached",
                            "contexts"], activated.figures(raw["activated"])), end="\n\n")
        rows = [[who] + [held[field] / MIB for field in ("rss", "pss", "peak", "full")]
                for who, held in raw["memory"].items()]
        print(report.table(["MiB resident", "now", "pss", "peak", "with all the pool touched"],
                           rows))
        engine = raw["engine"]
        print(", ".join(f'{part} {engine[part + "_bytes"] / MIB:.0f} MiB'
                        for part in ("weights", "pool", "workspace")), end="\n\n")
