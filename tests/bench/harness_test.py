"""The arithmetic of bench/run: ratios and their half-widths, verdicts, tables, written adapters."""

import json
import os
import random
import struct
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "bench"))

from harness import activated, machine, memory, peft, ratio, report, steps  # noqa: E402


class RatioTest(unittest.TestCase):
    def test_drift_that_both_sides_share_does_not_widen_it(self):
        drift = [1.0 + 0.5 * i / 40 for i in range(40)]
        shared = ratio.Ratio([3.0 * d for d in drift], [2.0 * d for d in drift])
        self.assertAlmostEqual(shared.value, 1.5)
        self.assertLess(shared.half_width, 1e-9)

    def test_a_block_in_which_one_side_was_disturbed_moves_it_little(self):
        above, below = [1.5] * 21, [1.0] * 21
        above[3], below[7] = 9.0, 9.0
        self.assertEqual(ratio.Ratio(above, below).value, 1.5)

    def test_half_width_covers_the_true_ratio_as_often_as_it_says(self):
        draw = random.Random(7)
        covered = 0
        runs = 60
        for run in range(runs):
            above = [draw.gauss(1.2, 0.05) for _ in range(40)]
            below = [draw.gauss(1.0, 0.05) for _ in range(40)]
            r = ratio.Ratio(above, below, seed=run)
            covered += abs(r.value - 1.2) <= r.half_width * r.value
        # 95 % of 60 is 57; below 50 has a chance of one in ten thousand.
        self.assertGreaterEqual(covered, 50)
        self.assertLess(covered, runs + 1)

    def test_sides_of_different_lengths_are_refused(self):
        with self.assertRaises(ValueError):
            ratio.Ratio([1.0, 2.0], [1.0, 2.0, 3.0])


class BudgetTest(unittest.TestCase):
    def test_ends_with_its_time_when_it_is_resolved(self):
        budget = ratio.Budget(0.0, 60.0)
        self.assertTrue(budget.goes_on(ratio.FEWEST_BLOCKS - 1, lambda: True))
        self.assertFalse(budget.goes_on(ratio.FEWEST_BLOCKS, lambda: True))

    def test_goes_on_while_it_is_not_resolved_and_no_longer_than_its_most(self):
        self.assertTrue(ratio.Budget(0.0, 60.0).goes_on(100, lambda: False))
        self.assertFalse(ratio.Budget(0.0, 0.0).goes_on(100, lambda: False))
        self.assertTrue(ratio.Budget(60.0).goes_on(100, lambda: True))


class TargetTest(unittest.TestCase):
    def test_is_met_missed_or_not_resolved(self):
        for value, better, half_width, met in (
                (0.7, "higher", 0.01, True), (0.69, "higher", 0.01, False),
                (0.72, "higher", 0.04, None), (0.68, "higher", 0.04, None),
                (0.9, "higher", 0.04, True), (0.1, "higher", 0.04, False),
                (1.6, "lower", 0.03, True), (1.61, "lower", 0.0, False),
                (1.5, "lower", 0.1, None), (1.3, "lower", 0.1, True)):
            limit = 0.7 if better == "higher" else 1.6
            found = ratio.target("t", value, limit, better, half_width, 0.03)
            self.assertEqual(found["met"], met, found)

    def test_table_says_so(self):
        text = report.targets_table([
            ratio.target("a", 1.0, 2.0, "lower"), ratio.target("b", 3.0, 2.0, "lower"),
            ratio.target("c", 1.9, 2.0, "lower", half_width=0.2, resolution=0.1)])
        lines = text.splitlines()
        self.assertRegex(lines[2], r"^a +1\.000 +≤ 2 +yes$")
        self.assertRegex(lines[3], r"^b +3\.000 +≤ 2 +NO$")
        self.assertRegex(lines[4], r"^c +1\.900 +≤ 2 +not resolved \(±20 %\)$")


class StepsTest(unittest.TestCase):
    def test_only_steps_in_which_all_decode_count_but_for_the_first(self):
        def step(end, rows, samples):
            return {"end": end, "rows": rows, "samples": samples}
        wave = {"steps": [step(1, 32, 4), step(2, 4, 4), step(4, 4, 4), step(7, 4, 4),
                          step(8, 3, 3)]}
        self.assertEqual([s["seconds"] for s in steps.decode_steps(wave, 4)], [2, 3])

    def test_a_wave_without_such_a_step_is_an_error(self):
        with self.assertRaises(RuntimeError):
            steps.decode_steps({"steps": [{"end": 1, "rows": 2, "samples": 2}] * 3}, 4)

    def test_floor_is_the_larger_of_reading_and_computing(self):
        probe = {"read_bandwidth": 10.0, "compute_rate": 100.0}
        self.assertEqual(steps.floor({"bytes": 50.0, "flops": 100.0}, probe), 5.0)
        self.assertEqual(steps.floor({"bytes": 50.0, "flops": 900.0}, probe), 9.0)


class CachingServer:
    """Takes a millisecond a token, but for what it has read for the same owner of KV."""

    def __init__(self):
        self._read = {}

    def generate(self, ids, models, _max_tokens):
        owner = "LoRA" if models == ["LoRA"] else "base"
        before = self._read.setdefault(owner, [])
        cached = max((len(os.path.commonprefix([old, ids])) for old in before), default=0)
        before.append(ids)
        return [{"event": "started"}, {"event": "summary", "cached_tokens": cached,
                                       "time_to_first_token_us": 1000 * (len(ids) - cached)}]


class ActivatedTest(unittest.TestCase):
    def test_each_side_is_asked_about_contexts_that_the_base_alone_has_read(self):
        blocks = activated.run_blocks(CachingServer(), 49152, ratio.Budget(0.0), seed=3)
        self.assertEqual(len(blocks), ratio.FEWEST_BLOCKS)
        context, tail = activated.CONTEXT, len(activated.INVOCATION)
        self.assertEqual(activated.figures(blocks), [
            ["base, nothing cached", context, 0, len(blocks)],
            ["aLoRA", tail, context, len(blocks)], ["LoRA", context + tail, 0, len(blocks)]])
        self.assertAlmostEqual(activated.target(blocks)["value"], tail / (context + tail))


class MemoryTest(unittest.TestCase):
    def test_own_process_holds_what_it_says(self):
        ballast = bytearray(os.urandom(8 << 20))
        held = memory.resident(os.getpid(), 1 << 50)
        self.assertGreaterEqual(held["rss"], len(ballast))
        self.assertGreaterEqual(held["peak"], held["rss"])
        self.assertEqual(held["full"], held["rss"])


class PeftTest(unittest.TestCase):
    def test_adapter_has_every_linear_in_the_right_shape_and_finite_values(self):
        model = {"hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1,
                 "intermediate_size": 12, "num_hidden_layers": 2}
        with tempfile.TemporaryDirectory() as scratch:
            with open(os.path.join(scratch, "config.json"), "w", encoding="utf-8") as out:
                json.dump(model, out)
            path = peft.write_adapters(os.path.join(scratch, "a"), scratch, 1)[0]
            with open(os.path.join(path, "adapter_model.safetensors"), "rb") as file:
                content = file.read()
        size = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8:8 + size])
        self.assertEqual(len(header), 2 * 7 * 2)
        down = header["base_model.model.model.layers.1.mlp.down_proj.lora_A.weight"]
        self.assertEqual(down["shape"], [16, 12])
        data = content[8 + size:]
        self.assertEqual(max(t["data_offsets"][1] for t in header.values()), len(data))
        for (bits,) in struct.iter_unpack("<H", data):
            value = struct.unpack("<f", struct.pack("<I", bits << 16))[0]
            self.assertTrue(2**-8 < abs(value) < 2**-4, value)


class MachineTest(unittest.TestCase):
    def test_slug_is_fit_for_a_file_name(self):
        name = machine.slug({"processor": "AMD EPYC™ 9B14 (x2)", "family": "25", "model": "17",
                             "cores": 2})
        self.assertEqual(name, "amd-epyc-9b14-x2-f25m17-2c")


if __name__ == "__main__":
    unittest.main()
