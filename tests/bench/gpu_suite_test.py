"""What bench/run gpu makes of a report of the bundle's, and what it says where no GPU is."""

import contextlib
import io
import os
import stat
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "bench"))

from harness import gpu_model, gpu_targets, report, suite_gpu  # noqa: E402


def step(name, ratio, share=0.9, spread=0.0):
    """A case of chorus_step_bench, of six blocks, with adapters `ratio` times as long as without,
    give or take `spread`."""
    base = [5000.0 + block for block in range(6)]
    return {"name": name, "floor_ratio": 1.01, "base": {"blocks_us": base, "share": share},
            "with_adapters": {"blocks_us": [us * (ratio + spread * (-1) ** i)
                                            for i, us in enumerate(base)]}}


def measured(steps, lora_share):
    return {"measurements": [
        {"name": "ceilings", "measured": {"read_gb_s": 3000}},
        {"name": "steps-llama-3-8b", "measured": {
            "cases": steps, "lora": [{"name": "64 rows, 64 x r16 all", "share": lora_share},
                                     {"name": "64 rows, 16 x r16 all", "share": 0.1}]}},
        {"name": "steps-llama-2-7b", "measured": None}]}


class TargetsTest(unittest.TestCase):
    def steps(self, **changed):
        """All cases at 0.5 % below their limits, but for those that are said."""
        cases = {name: step(name, 0.995 * limit) for name, limit, _ in gpu_targets.RATIOS}
        cases["1 rows, 1 x r16 all"] = step("1 rows, 1 x r16 all", 1.0, share=0.80)
        cases.update(changed)
        return [case for case in cases.values() if case]

    def test_all_are_met_at_their_limits(self):
        found, missing = gpu_targets.targets(measured(self.steps(), 0.65))
        self.assertEqual(missing, [])
        self.assertEqual(len(found), 7 + 2 + 1)
        self.assertEqual([t["name"] for t in found if t["met"] is not True], [])

    def test_each_is_missed_by_name(self):
        for name, limit, _ in gpu_targets.RATIOS:
            found, _ = gpu_targets.targets(
                measured(self.steps(**{name: step(name, 1.005 * limit)}), 0.65))
            self.assertEqual([t["name"] for t in found if t["met"] is False], [f"{name} ÷ base"])
        found, _ = gpu_targets.targets(measured(self.steps(
            **{"64 rows, 1 x r16 all": step("64 rows, 1 x r16 all", 1.0, share=0.74)}), 0.64))
        self.assertEqual([t["name"] for t in found if t["met"] is False],
                         ["64 rows, base: floor ÷ step",
                          "LoRA alone, 64 x r16 all: bytes ÷ time ÷ read bandwidth"])

    def test_a_ratio_over_a_slow_base_is_not_met_however_good(self):
        name = "64 rows, 64 x r16 all"
        found, _ = gpu_targets.targets(
            measured(self.steps(**{name: step(name, 1.0, share=0.699)}), 0.65))
        target = next(t for t in found if t["name"] == f"{name} ÷ base")
        self.assertIsNone(target["met"])
        self.assertEqual(target["note"], "the base is at 70 % of its floor")
        self.assertIn("the base is at 70 %", suite_gpu.measured_table(found))

    def test_one_that_spreads_too_far_is_not_resolved(self):
        name = "64 rows, 0 of 64 x r16 all"
        found, _ = gpu_targets.targets(
            measured(self.steps(**{name: step(name, 1.008, spread=0.004)}), 0.65))
        self.assertIsNone(next(t for t in found if t["name"] == f"{name} ÷ base")["met"])

    def test_what_was_not_measured_is_no_target_and_is_named(self):
        name = "64 rows, 64 x r16 all"
        skipped = {"name": name, "skipped": "needs 9 pages"}
        found, missing = gpu_targets.targets(measured(self.steps(**{name: skipped}), 0.65))
        self.assertEqual(missing, [f"{name}: needs 9 pages"])
        self.assertNotIn(f"{name} ÷ base", [t["name"] for t in found])
        found, missing = gpu_targets.targets({"measurements": []})
        self.assertEqual((found, len(missing)), ([], 7 + 2 + 1))


# Launches: nine a layer and five more; with adapters eight more a layer and one, in clusters four.
PROGRAM = """#!/usr/bin/env python3
import json, sys
a = sys.argv
n = int(a[a.index("--layers") + 1])
lora = 4 if "--lora-cluster" in a else 8
sides = {"base": {"launches": 9 * n + 5}, "with_adapters": {"launches": (9 + lora) * n + 6}}
cases = [{"name": name, **sides}
         for name in ("4 rows, 4 x r16 all", "other", "prefill of 24, 2 x r16 all")]
json.dump({"cases": cases}, open(a[a.index("--json") + 1], "w"))
"""


class ModelTest(unittest.TestCase):
    def test_launches_are_told_apart_by_layer_and_rest(self):
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "program")
            with open(program, "w", encoding="utf-8") as text:
                text.write(PROGRAM)
            os.chmod(program, os.stat(program).st_mode | stat.S_IXUSR)
            counted = gpu_model.launches(program)
        for kind in ("decode", "prefill"):
            self.assertEqual(counted[kind], {"base": {"layer": 9, "rest": 5},
                                             "with_adapters": {"layer": 17, "rest": 6},
                                             "in_clusters": {"layer": 13, "rest": 6}})

    def test_a_program_that_fails_is_an_error(self):
        with self.assertRaises(RuntimeError):
            gpu_model.launches("/bin/false")

    def test_without_a_compiler_it_says_why_no_kernel_was_read(self):
        with mock.patch.dict(os.environ, {"CUDACXX": "/nonesuch/nvcc"}), \
                contextlib.redirect_stdout(io.StringIO()) as said:
            why = gpu_model.kernels(ROOT, None)
        self.assertIn("no CUDA compiler is here", why)
        self.assertEqual(said.getvalue(), "")

    def test_says_that_nothing_was_timed(self):
        case = {"name": "a step", "cost": {side: {f"{part}_bytes": 1e6
                                                  for part in ("weight", "kv", "adapter")}
                                           for side in ("base", "with_adapters")},
                "modelled": {"copy": {"base_us": 10.0, "with_adapters_us": 11.0, "ratio": 1.1}}}
        raw = {"why": "no GPU was found", "looked": ["libcuda.so.1: not there"],
               "steps": {"llama-3-8b": [case]}, "launches": {}, "kernels": "no compiler is here",
               "limits": [{"name": "a step", "limit": 1.2, "modelled": 1.1}]}
        with contextlib.redirect_stdout(io.StringIO()) as said:
            suite_gpu.say_model(raw)
        for text in ("Nothing was timed: no GPU was found", "libcuda.so.1: not there",
                     "Modelled, not measured", "No kernel was read: no compiler is here"):
            self.assertIn(text, said.getvalue())

    def test_every_ratio_with_a_limit_has_a_modelled_one_below_it(self):
        cases = [{"name": name, "modelled": {"copy": {"ratio": 1.0}}}
                 for name, _, _ in gpu_targets.RATIOS]
        limits = suite_gpu.modelled_limits(cases)
        self.assertEqual([t["limit"] for t in limits],
                         [1.005, 1.06, 1.15, 1.12, 1.35, 1.05, 1.12])


class TorchTest(unittest.TestCase):
    def test_is_told_apart_from_a_failure_where_pytorch_is_not(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "torch.py"), "w", encoding="utf-8") as text:
                text.write("raise ImportError('none')\n")
            program = os.path.join(ROOT, "bench/gpu/torch_baseline.py")
            for arguments, status in (([], 3), (["--shape", "gpt"], 2)):
                done = subprocess.run([sys.executable, program, *arguments], check=False, text=True,
                                      env={**os.environ, "PYTHONPATH": folder}, capture_output=True)
                self.assertEqual(done.returncode, status, done.stdout + done.stderr)


class FileNameTest(unittest.TestCase):
    def test_has_no_hardware_where_nothing_was_timed(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertRegex(os.path.basename(report.write(folder, "gpu-model", "", {})),
                             r"^gpu-model-\d{8}T\d{6}Z\.json$")
            self.assertRegex(os.path.basename(report.write(folder, "gpu", "nvidia-h100", {})),
                             r"^gpu-\d{8}T\d{6}Z-nvidia-h100\.json$")


if __name__ == "__main__":
    unittest.main()
