"""Suite `kernels`: Google Benchmark over every op, against the measured ceilings."""

import json
import os
import subprocess
import tempfile

from harness import report

PROGRAM = "chorus_kernels_bench"
COUNTERS = ("us", "MB", "GB/s", "GFLOP/s", "share", "read_GB/s", "dot_GFLOP/s")


def run(build, options):
    build.targets(PROGRAM)
    # Seconds an op at least; those of a few microseconds need no more.
    min_time = "0.1" if options.quick else "0.5"
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "kernels.json")
        environment = dict(os.environ)
        if options.threads:
            environment["CHORUS_BENCH_THREADS"] = str(options.threads)
        subprocess.run(
            [build.program(PROGRAM), f"--benchmark_min_time={min_time}",
             f"--benchmark_out={out}", "--benchmark_out_format=json"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment, check=True)
        with open(out, encoding="utf-8") as text:
            measured = json.load(text)["benchmarks"]
    if not options.json:
        print(_table(measured))
        print("\nshare = floor ÷ best time; floor = the larger of bytes ÷ read bandwidth and FLOPs ÷"
              " rate,\nboth the best measured in turns with the op. Ops whose data stay in the caches"
              " exceed 1.\n")
    return {"raw": {"benchmarks": measured}, "targets": []}


def _table(measured):
    rows = []
    for bench in measured:
        name = bench["name"].removeprefix("BM_").removesuffix("/manual_time")
        if "us" in bench:
            rows.append([name] + [bench[c] for c in COUNTERS])
        elif "error_message" in bench:
            rows.append([f'{name}: {bench["error_message"]}'] + [None] * len(COUNTERS))
        else:
            scale = {"ns": 1e-3, "us": 1.0, "ms": 1e3}[bench["time_unit"]]
            rows.append([name, bench["real_time"] * scale] + [None] * (len(COUNTERS) - 1))
    return report.table(["op", *COUNTERS], rows)
