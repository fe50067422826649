"""What can be said of steps on a GPU where there is none: bytes and products of every case and how
long they would take at the least, launches as the simulator counts them, and what nvcc made of each
kernel. Nothing here is a time that was measured."""

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile

SHAPES = ("llama-3-8b", "llama-2-7b", "qwen2.5-7b")
# Of an H200: a copy and a product that were measured on one, and what its maker says of reading.
RATES = ({"name": "copy", "read_gb_s": 4300, "tflop_s": 790},
         {"name": "datasheet", "read_gb_s": 4800, "tflop_s": 790})
LAUNCH_CASES = {"decode": "4 rows, 4 x r16 all", "prefill": "prefill of 24, 2 x r16 all"}
PROGRAM = "chorus_step_bench_sim"


def _bench(program, *arguments):
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "steps.json")
        done = subprocess.run([program, *arguments, "--json", out], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")
        with open(out, encoding="utf-8") as text:
            return json.load(text)


def steps(program):
    """{shape: its cases}, each with bytes, operations and modelled µs at each of RATES."""
    shapes = {}
    for shape in SHAPES:
        cases = {}
        for rates in RATES:
            told = _bench(program, "--model", "--shape", shape, "--read-gb-s",
                          str(rates["read_gb_s"]), "--tflops", str(rates["tflop_s"]))
            for case in told["cases"]:
                known = cases.setdefault(case["name"], {
                    **{key: case[key] for key in ("name", "kind", "rows", "adapters", "modules")},
                    "cost": {}, "modelled": {}})
                modelled = known["modelled"][rates["name"]] = {"ratio": case["floor_ratio"]}
                for side, cost in case["cost"].items():
                    modelled[f"{side}_us"] = cost.pop("floor_us")
                    known["cost"][side] = cost
        shapes[shape] = list(cases.values())
    return shapes


def launches(program):
    """What one layer of a step and the rest of it launch, by kind of step: from steps of a tiny
    model of two and of three layers on the simulator, whose products and attentions count as one
    launch each."""
    counted = {kind: {} for kind in LAUNCH_CASES}
    for arguments, sides in (((), {"base": "base", "with_adapters": "with_adapters"}),
                             (("--lora-cluster", "4"), {"with_adapters": "in_clusters"})):
        two, three = (
            {case["name"]: case for case in _bench(
                program, "--shape", "tiny", "--no-graphs", "--layers", str(layers), "--blocks", "1",
                "--replays", "1", *arguments)["cases"]}
            for layers in (2, 3))
        for kind, name in LAUNCH_CASES.items():
            for side, called in sides.items():
                few, more = (cases[name][side]["launches"] for cases in (two, three))
                counted[kind][called] = {"layer": more - few, "rest": 3 * few - 2 * more}
    return counted


def _cuda_static(root):
    path = os.path.join(root, "tests", "cuda_static")
    loader = importlib.machinery.SourceFileLoader("cuda_static", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("cuda_static", loader))
    sys.modules["cuda_static"] = module  # where dataclasses look for it
    loader.exec_module(module)
    return module


def kernels(root, build):
    """Every kernel of ours for every architecture, or why that cannot be said. `build` is of the
    preset cuda."""
    static = _cuda_static(root)
    try:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            _, cuobjdump = static.find_tools()
    except SystemExit:
        return said.getvalue().removeprefix("SKIPPED cuda_static: ").strip()
    build.targets("chorus_kernels_cuda")
    ours, _ = static.objects(static.pathlib.Path(build.directory))
    shared = static.shared_bytes()
    found = []
    for made in ours:
        for kernel in static.read_kernels(cuobjdump, made, shared):
            found.append({"kernel": kernel.name, "arch": kernel.arch,
                          "registers": kernel.registers, "threads": kernel.threads,
                          "blocks_fit": kernel.resident_blocks, "shared_bytes": kernel.shared,
                          "local_bytes": kernel.local, "instructions": sum(kernel.ops.values())})
    return sorted(found, key=lambda kernel: (kernel["kernel"], kernel["arch"]))
