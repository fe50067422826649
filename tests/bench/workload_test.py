"""Traces: S-LoRA's own bit for bit, and that the other shapes are what they say."""

import collections
import hashlib
import json
import math
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "bench"))

from workload import traces  # noqa: E402
from workload.legacy_random import LegacyRandom  # noqa: E402


def digest(requests):
    whole = hashlib.sha256()
    for r in requests:
        whole.update(struct.pack("<dqqq", r.arrival, r.adapter, r.prompt, r.output))
    return whole.hexdigest()[:16]


# Of S-LoRA's generator run with numpy 1.26.4: np.random.seed(42), then power, randint, randint,
# gamma, as whole arrays. (adapters, alpha, cv, rate, duration): digest of arrivals and the rest.
SLORA = {
    (200, 1, 1, 2, 300): "02560fb52398aa2c",
    (200, 0.1, 1, 2, 300): "81c77605dc9d2ef4",
    (200, 0.3, 1, 2, 300): "7d5927172c589a3a",
    (200, 1, 4, 2, 300): "fe562a9d4b23c26b",
    (200, 1, 8, 2, 300): "bbc3361f6a366d45",
    (2000, 1, 1, 10, 120): "12389bc03ecf11a7",
    (400, 1, 6, 6, 300): "8676152165ce221a",
    (26, 0.6, 2, 2.5, 300): "90e6485d81833f56",
    (10, 1, 0.5, 2, 300): "c4d2846c5a59242f",
}


class SloraTest(unittest.TestCase):
    def test_traces_are_those_of_numpy_to_the_last_bit(self):
        for (adapters, alpha, cv, rate, duration), expected in SLORA.items():
            requests = traces.make("slora", adapters=adapters, popularity=f"power:{alpha}",
                                   arrivals=f"gamma:{cv}", rate=rate, duration=duration)
            self.assertEqual(len(requests), int(rate * duration))
            self.assertEqual(digest(requests), expected, (adapters, alpha, cv, rate, duration))

    def test_first_and_last_request_of_the_papers_main_trace(self):
        requests = traces.make("slora")
        self.assertEqual(requests[0], (0.1598455812792035, 74, 12, 410, "tenant-0"))
        self.assertEqual(requests[-1], (301.00485344611263, 8, 388, 489, "tenant-0"))

    def test_without_adapters_the_rest_is_the_same(self):
        base, some = traces.make("slora", adapters=0), traces.make("slora")
        self.assertEqual([(r.arrival, r.prompt, r.output) for r in base],
                         [(r.arrival, r.prompt, r.output) for r in some])
        self.assertEqual({r.adapter for r in base}, {None})


class LegacyRandomTest(unittest.TestCase):
    def test_first_draws_are_those_of_numpy(self):
        draw = LegacyRandom(42)
        self.assertEqual([draw.random() for _ in range(2)],
                         [0.3745401188473625, 0.9507143064099162])
        draw = LegacyRandom(42)
        self.assertEqual([draw.normal() for _ in range(3)],
                         [0.4967141530112327, -0.13826430117118466, 0.6476885381006925])
        draw = LegacyRandom(42)
        self.assertEqual([draw.integer(8, 512) for _ in range(5)], [110, 443, 356, 278, 114])

    def test_what_has_no_meaning_is_refused(self):
        for call in (lambda: LegacyRandom(-1), lambda: LegacyRandom(1 << 32),
                     lambda: LegacyRandom(1).integer(5, 5)):
            with self.assertRaises(ValueError):
                call()


class ShapeTest(unittest.TestCase):
    def test_popularity_of_zipf_falls_with_the_rank(self):
        for exponent in (1.0, 1.5):
            requests = traces.make(f"zipf-{exponent}", rate=100.0, adapters=50)
            seen = collections.Counter(r.adapter for r in requests)
            total = sum((i + 1) ** -exponent for i in range(50))
            for adapter in (0, 1, 7):
                share = (adapter + 1) ** -exponent / total
                error = math.sqrt(share * (1 - share) / len(requests))
                self.assertAlmostEqual(seen[adapter] / len(requests), share, delta=4 * error)
            self.assertLess(max(seen), 50)

    def test_chat_has_the_documented_means_and_limit(self):
        requests = traces.make("chat", rate=100.0)
        for lengths, mean in (([r.prompt for r in requests], 85),
                              ([r.output for r in requests], 165)):
            self.assertAlmostEqual(statistics.mean(lengths), mean, delta=2)
            self.assertGreaterEqual(min(lengths), 1)
            self.assertLess(max(lengths), 512)
        self.assertEqual(len({r.adapter for r in requests}), 26)

    def test_split_lengths_are_of_their_own_ranges(self):
        requests = traces.make("slora", lengths="split:8:32:64:192", rate=100.0)
        for lengths, low, high in (([r.prompt for r in requests], 8, 32),
                                   ([r.output for r in requests], 64, 192)):
            self.assertEqual((min(lengths), max(lengths)), (low, high - 1))

    def test_bursts_are_as_uneven_as_they_say_and_keep_the_rate(self):
        for cv in (1, 4):
            requests = traces.make("slora", arrivals=f"gamma:{cv}", rate=100.0, seed=7)
            gaps = [b.arrival - a.arrival for a, b in zip(requests, requests[1:])]
            mean = statistics.mean(gaps)
            self.assertAlmostEqual(mean, 0.01, delta=4 * cv * 0.01 / math.sqrt(len(gaps)))
            self.assertAlmostEqual(statistics.pstdev(gaps) / mean, cv, delta=0.15 * cv)

    def test_on_off_is_silent_most_of_the_time(self):
        requests = traces.make("on-off", rate=10.0, duration=4000.0)
        busy = len({int(r.arrival) for r in requests}) / requests[-1].arrival
        self.assertAlmostEqual(busy, 0.25, delta=0.1)
        self.assertAlmostEqual(requests[-1].arrival, 4000.0, delta=1000.0)

    def test_wave_rises_and_falls_by_its_depth(self):
        requests = traces.make("slora", arrivals="wave:1:0.5:300", rate=100.0)
        quarters = collections.Counter(int(r.arrival // 75) for r in requests)
        up, down = quarters[0] + quarters[1], quarters[2] + quarters[3]
        # The integral of 1 ± 0.5 sin over half a period: 1 ± 1/π.
        self.assertAlmostEqual(up / down, (1 + 1 / math.pi) / (1 - 1 / math.pi), delta=0.06)

    def test_wave_keeps_the_order_of_what_comes_together(self):
        bent = traces._wave([1e4 + i // 2 * 0.037 for i in range(4000)], 0.5, 300.0)
        self.assertEqual(bent, sorted(bent))

    def test_order_is_that_of_arrival_and_every_seed_another_trace(self):
        for shape in traces.SHAPES:
            requests = traces.make(shape)
            arrivals = [r.arrival for r in requests]
            self.assertEqual(arrivals, sorted(arrivals), shape)
            self.assertEqual(requests, traces.make(shape))
            self.assertNotEqual(requests, traces.make(shape, seed=1))

    def test_tenants_share_the_adapters_out(self):
        requests = traces.make("slora", tenants=3, adapters=10)
        self.assertEqual({r.tenant for r in requests}, {f"tenant-{i}" for i in range(3)})
        for r in requests:
            self.assertEqual(r.tenant, f"tenant-{r.adapter % 3}")

    def test_what_is_not_known_is_refused_by_name(self):
        for changed in ({"popularity": "zipf"}, {"lengths": "sharegpt"}, {"lengths": "split:8:32"},
                        {"arrivals": "wave:1:1:300"}, {"adapter": 3}):
            with self.assertRaises(ValueError):
                traces.make("slora", **changed)
        with self.assertRaises(ValueError):
            traces.make("azure")


class ProgramTest(unittest.TestCase):
    def test_lines_bring_back_every_bit(self):
        with tempfile.TemporaryDirectory() as scratch:
            path = os.path.join(scratch, "trace.jsonl")
            program = os.path.join(ROOT, "bench", "workload", "traces.py")
            subprocess.run([sys.executable, "-B", program, "bursts", "--rate", "5", "-o", path],
                           check=True)
            with open(path, encoding="utf-8") as lines:
                read = [traces.Request(**json.loads(line)) for line in lines]
        self.assertEqual(read, traces.make("bursts", rate=5.0))


if __name__ == "__main__":
    unittest.main()
