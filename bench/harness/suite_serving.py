"""Suite `serving`: engine steps in one process, and the server in front of the engine."""

import os
import sys
import tempfile

from harness import machine, memory, peft, ratio, report, steps
from harness.engine_process import EngineProcess

PROGRAM = "chorus_engine_bench"
POOL_BYTES = 1 << 30
NUM_ADAPTERS = 16


def model_directory(root):
    path = os.environ.get("CHORUS_SMOLLM2") or os.path.join(root, "build", "models", "smollm2")
    if not os.path.exists(os.path.join(path, "config.json")):
        raise SystemExit(f"{path}: no model there; deploy/convert_smollm2.py makes it, "
                         "CHORUS_SMOLLM2 says where it is")
    return path


def run(build, options):
    build.targets(PROGRAM)
    model = model_directory(build.root)
    with tempfile.TemporaryDirectory(prefix="chorus-bench-") as scratch:
        adapters = peft.write_adapters(os.path.join(scratch, "adapters"), model, NUM_ADAPTERS)
        with EngineProcess(build.program(PROGRAM), model, os.path.join(scratch, "store"),
                           POOL_BYTES, options.threads or machine.cores(), adapters) as engine:
            return _measure(engine, options)


def _say(options, text):
    if not options.json:
        print(text, file=sys.stderr, flush=True)


def _measure(engine, options):
    raw = {"engine": engine.description, "seed": options.seed}
    _say(options, "· steps, sides in random turns")
    # First of all, before the probes take memory of their own.
    for side in steps.SIDES:
        side.measure(engine, steps.random.Random(options.seed))
    held = memory.resident(engine.pid, engine.description["pool_bytes"])
    raw["memory"] = {"engine": held}
    rounds = steps.run_rounds(engine, 30 if options.quick else 150, options.seed)
    _say(options, "· adapters loaded but unused")
    unused = steps.run_unused(engine, 25 if options.quick else 120, options.seed)
    raw |= {"rounds": rounds, "unused": unused, "ceilings": steps.ceilings(rounds)}
    targets = steps.targets(rounds, unused)
    targets.append(_memory_target(held, engine.description))
    if not options.json:
        _print(rounds, raw)
    return {"raw": raw, "targets": targets}


def _memory_target(held, description):
    wanted = description["weights_bytes"] + description["pool_bytes"]
    return ratio.target("resident memory, pool full ÷ (weights + pool)", held["full"] / wanted,
                        1.15, "lower")


def _print(rounds, raw):
    print(report.table(["side", "step ms", "floor ms", "tokens/s", "steps"],
                       steps.figures(rounds)))
    ceilings = raw["ceilings"]
    print(f'\nread bandwidth {ceilings["read_bandwidth"]["median"] / 1e9:.1f} GB/s '
          f'(best {ceilings["read_bandwidth"]["best"] / 1e9:.1f}), '
          f'bf16 rate {ceilings["compute_rate"]["median"] / 1e12:.3f} TFLOP/s '
          f'(best {ceilings["compute_rate"]["best"] / 1e12:.3f})')
    held, engine = raw["memory"]["engine"], raw["engine"]
    mib = 1 << 20
    print(f'memory: {held["rss"] / mib:.0f} MiB resident after warm-up '
          f'(peak {held["peak"] / mib:.0f}), {held["full"] / mib:.0f} MiB with the whole pool '
          f'touched; weights {engine["weights_bytes"] / mib:.0f}, '
          f'pool {engine["pool_bytes"] / mib:.0f}, workspace {engine["workspace_bytes"] / mib:.0f}\n')
