"""chorus_simulate, and the scenarios that are asked of it."""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

from workload import traces

PROGRAM = "chorus_simulate"


class Simulator:
    """Runs scenarios, as many at once as there are cores, and writes each trace once."""

    def __init__(self, program, scratch, cores):
        self._program = program
        self.scratch = scratch
        self._pool = ThreadPoolExecutor(cores)
        self._traces = {}

    def trace(self, shape, **changed):
        """The path of a trace of bench/workload/traces.py."""
        key = json.dumps([shape, changed], sort_keys=True)
        if key not in self._traces:
            path = os.path.join(self.scratch, f"trace-{len(self._traces)}.jsonl")
            traces.write(traces.make(shape, **changed), path)
            self._traces[key] = path
        return self._traces[key]

    def run(self, scenarios):
        """{name: figures} of {name: scenario}."""
        done = self._pool.map(self._run_one, scenarios.values())
        return dict(zip(scenarios, done))

    def _run_one(self, scenario):
        done = subprocess.run([self._program], input=json.dumps(scenario), capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{PROGRAM}: {done.stderr} (status {done.returncode}) of {scenario}")
        return json.loads(done.stdout)

    def soak(self, requests, seed):
        """Its counts. What it CHECKs ends the program, and its seed has been said before."""
        done = subprocess.run([self._program, "soak", str(requests), str(seed)],
                              stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"the soak failed with status {done.returncode}")
        return json.loads(done.stdout)
