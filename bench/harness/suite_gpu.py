"""Suite `gpu`: whole steps and LoRA kernels on a GPU; without one, what can be known of them."""

import importlib
import json
import os
import subprocess
import sys

from harness import gpu_model, gpu_targets, machine, report
from harness.build import Build

FULL_SECONDS, QUICK_SECONDS = 540, 150



def find_gpu(root):
    bundled = os.path.join(root, "bench", "gpu", "bundled")
    sys.path.insert(0, bundled)
    try:
        return importlib.import_module("find_gpu").find_gpu()
    finally:
        sys.path.remove(bundled)


def run(build, options):
    found = find_gpu(build.root)
    if found["usable"]:
        return measure(build, options, found)
    return model(build, options, found)


def measure(build, options, found):
    """Everything in the bundle, as on a machine that has nothing but it."""
    bundle = os.path.join(build.root, "build", "gpu-bundle")
    pack = [os.path.join(build.root, "bench", "gpu", "bundle"), "--out", bundle]
    if subprocess.run(pack, stdout=sys.stderr, check=False).returncode != 0:
        raise SystemExit("the bundle was not made")
    seconds = QUICK_SECONDS if options.quick else FULL_SECONDS
    only = ["--only", gpu_targets.STEPS] if options.quick else []
    # What was not measured to its end is missing in the report, and named below.
    subprocess.run([os.path.join(bundle, "measure"), "--budget", str(seconds), *only],
                   stdout=sys.stderr, check=False)
    with open(os.path.join(bundle, "results", "measure.json"), encoding="utf-8") as text:
        measured = json.load(text)
    targets, missing = gpu_targets.targets(measured)
    if not options.json:
        if targets:
            print(measured_table(targets), end="\n\n")
        for line in missing:
            print(f"not judged: {line}")
    gpu = found["gpus"][0]
    return {"raw": {"measured": measured, "missing": missing}, "targets": targets,
            "hardware": {**machine.hardware(), "gpu": gpu, "driver": found["driver_release"],
                         "cuda": found["driver"]},
            "slug": machine.plain(gpu["name"]),
            "verdict": None if targets else "Nothing was measured, so no target was judged."}


def measured_table(targets):
    """Ratios with what the base makes of its own floor."""
    rows = [[t["name"], t["value"], t["limit"], t["floor"], f'{100 * t["base_share"]:.0f} %',
             t.get("note", "")] for t in targets if "base_share" in t]
    return report.table(["step", "measured", "limit", "floor", "base ÷ its floor", ""], rows)


def model(build, options, found):
    build.targets(gpu_model.PROGRAM)
    program = build.program(gpu_model.PROGRAM)
    raw = {
        "timed": False,
        "why": found["why"],
        "looked": found["looked"],
        "rates": gpu_model.RATES,
        "steps": gpu_model.steps(program),
        "launches": gpu_model.launches(program),
        "kernels": gpu_model.kernels(build.root, Build(build.root, options.json, "cuda")),
    }
    raw["limits"] = modelled_limits(raw["steps"]["llama-3-8b"])
    if not options.json:
        say_model(raw)
    return {"raw": raw, "targets": [], "suite": "gpu-model", "slug": "",
            "verdict": "Nothing was timed, so no target was judged."}


def modelled_limits(cases):
    """The targets on ratios, each with the least that any kernels could make of it."""
    floors = {case["name"]: case["modelled"]["copy"]["ratio"] for case in cases}
    return [{"name": name, "limit": limit, "modelled": floors[name]}
            for name, limit, _ in gpu_targets.RATIOS]


def say_model(raw):
    print(f'Nothing was timed: {raw["why"]}. Looked for:')
    for line in raw["looked"]:
        print(f"  {line}")
    copy = gpu_model.RATES[0]
    print(f'\nModelled, not measured: the least that a step takes at {copy["read_gb_s"]} GB/s and '
          f'{copy["tflop_s"]} TFLOP/s.\n')
    for shape, cases in raw["steps"].items():
        rows = []
        for case in cases:
            cost, modelled = case["cost"]["with_adapters"], case["modelled"]["copy"]
            rows.append([case["name"], *(cost[f"{part}_bytes"] / 1e6
                                         for part in ("weight", "kv", "adapter")),
                         modelled["base_us"], modelled["with_adapters_us"], modelled["ratio"]])
        print(report.table([shape, "weights MB", "KV MB", "adapters MB", "modelled base µs",
                            "with adapters", "ratio"], rows), end="\n\n")
    print(report.table(
        ["target of Llama-3-8B, ÷ base", "limit", "modelled"],
        [[t["name"], t["limit"], t["modelled"]] for t in raw["limits"]]), end="\n\n")
    rows = [[kind, side.replace("_", " "), counts["layer"], counts["rest"]]
            for kind, sides in raw["launches"].items() for side, counts in sides.items()]
    print(report.table(["launches, as the simulator counts", "", "a layer", "rest of a step"],
                       rows), end="\n\n")
    if isinstance(raw["kernels"], str):
        print(f'No kernel was read: {raw["kernels"]}\n')
        return
    print(report.table(
        ["kernel", "arch", "registers", "threads", "blocks fit", "shared bytes", "instructions"],
        [[k["kernel"], k["arch"], k["registers"], k["threads"], k["blocks_fit"],
          k["shared_bytes"], k["instructions"]] for k in raw["kernels"]]), end="\n\n")
