"""What bench/run simulate makes of the simulator's figures."""

import contextlib
import io
import json
import os
import sys
import tempfile
import types
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "bench"))

from harness import slora_published, suite_simulate  # noqa: E402


class CannedSimulator:
    """Answers every scenario by `figures`; keeps what was asked."""

    def __init__(self, figures, scratch):
        self.figures = figures
        self.scratch = scratch
        self.asked = []

    def trace(self, shape, **changed):
        return json.dumps([shape, changed])

    def run(self, scenarios):
        self.asked += scenarios.values()
        return {name: self.figures(scenario) for name, scenario in scenarios.items()}


def good(scenario):
    random = scenario.get("router") == "random"
    in_time = 0.9 if scenario.get("engine", {}).get("first_token_limit_ms") else 0.7
    return {"throughput": 1.86, "seconds": 1.8, "attainment": in_time,
            "ttft_s": {"mean": 0.5, "p50": 0.4, "p99": 2.0},
            "itl_s": {"p50": 0.01, "p99": 0.02},
            "adapters": {"hit_rate": 0.9, "loads_started": 1000 if random else 100},
            "replicas": {"fewest_requests": 0, "most_requests": 9},
            "steps": {"count": 1000, "mean_rows": 30.0}, "preemptions": 3, "recomputed_tokens": 60,
            "simulation": {"processor_s": 1.0, "submit_s": 0.1, "plan_s": 0.3, "commit_s": 0.2}}


class ExperimentsTest(unittest.TestCase):
    def run_suite(self, figures, quick=True):
        options = types.SimpleNamespace(seed=1, quick=quick, json=False)
        build = types.SimpleNamespace(root=ROOT)
        with tempfile.TemporaryDirectory() as scratch:
            simulator = CannedSimulator(figures, scratch)
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
                measured = suite_simulate.Experiments(build, simulator, options).run()
        return simulator, measured, said.getvalue()

    def missed(self, figures):
        _, measured, _ = self.run_suite(figures)
        return [t["name"] for t in measured["targets"] if not t["met"]]

    def test_good_figures_meet_all_targets(self):
        self.assertEqual(self.missed(good), [])

    def test_what_is_bad_is_missed_by_name(self):
        def many_adapters_cost(scenario):
            slow = '"adapters": 2000' in scenario["trace"]
            return {**good(scenario), "throughput": 1.6 if slow else 1.86}
        self.assertEqual(self.missed(many_adapters_cost),
                         [f"{s}: throughput of 2,000 adapters ÷ of 50" for s in ("S1", "S2")])

        def nobody_is_in_time(scenario):
            return {**good(scenario), "attainment": 0.4}
        self.assertEqual(self.missed(nobody_is_in_time), [
            f"S2, cv {cv}: attainment, early abort − first come" for cv in (1, 4, 8)])

        def nobody_knows_lengths(scenario):
            slow = scenario.get("engine", {}).get("admission") == "expected"
            return {**good(scenario), "throughput": 1.8 if slow else 1.86}
        self.assertEqual(self.missed(nobody_knows_lengths), [
            f"the least of 4 loads: throughput, expected lengths ÷ {mode}"
            for mode in ("optimistic", "conservative")])

        def affinity_is_for_nothing(scenario):
            return {**good(scenario), "adapters": {"hit_rate": 0.1, "loads_started": 1000}}
        self.assertEqual(self.missed(affinity_is_for_nothing),
                         ["100 replicas: adapter loads, affine ÷ random"])

    def test_published_figures_stand_beside_and_are_called_theirs(self):
        _, _, said = self.run_suite(good)
        self.assertIn("beside it what S-LoRA's authors published", said)
        row = next(line for line in said.splitlines() if line.startswith("S2 n=200 "))
        self.assertEqual(row.split()[-3:], ["1.58", "23.58", "0.27"], row)

    def test_only_the_full_run_has_a_thousand_replicas(self):
        sizes = [{s.get("replicas", 1) for s in self.run_suite(good, quick)[0].asked}
                 for quick in (True, False)]
        self.assertEqual(sizes, [{1, 10, 100}, {1, 10, 100, 1000}])

    def test_points_are_complete(self):
        tables = {name: table for name, table in vars(slora_published).items() if name.isupper()}
        self.assertGreaterEqual(len(tables), 6)
        for name, table in tables.items():
            for of, points in table.items():
                for point in points.values():
                    throughput, first_token, share = point
                    self.assertTrue(0 < throughput < 3 and first_token > 0 and 0 < share <= 1,
                                    (name, of, point))


if __name__ == "__main__":
    unittest.main()
