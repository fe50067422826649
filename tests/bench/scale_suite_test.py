"""The arithmetic of bench/run scale: what is kept of an interrupted run, the bytes of a step, duels,
targets, and what counts as cold."""

import json
import os
import sys
import tempfile
import threading
import time
import types
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "bench"))

from harness import bytes_model, cold_loads, duel, fleet, points, ratio, report  # noqa: E402
from harness import suite_scale  # noqa: E402
from harness import scale_targets as targets  # noqa: E402


class PartsTest(unittest.TestCase):
    def test_one_that_is_not_known_is_refused_by_name(self):
        with self.assertRaisesRegex(SystemExit, "grid, cold.*expected, got pool$"):
            suite_scale.run(None, types.SimpleNamespace(only=["grid", "pool"]))


class PointsTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.path = os.path.join(scratch.name, "deep", "state.json")

    def test_what_was_measured_is_not_measured_again(self):
        first = points.Points(self.path, {"commit": "a", "counts": (1, 2)})
        self.assertEqual(first.measure("p", lambda: {"x": 1.5}), {"x": 1.5})
        again = points.Points(self.path, {"commit": "a", "counts": (1, 2)})
        self.assertEqual(again.found, 1)
        self.assertIn("p", again)
        self.assertEqual(again.measure("p", lambda: self.fail("measured again")), {"x": 1.5})
        self.assertEqual(again.measure("q", lambda: [2]), [2])
        self.assertEqual(points.Points(self.path, {"commit": "a", "counts": (1, 2)}).found, 2)

    def test_another_commit_begins_anew(self):
        points.Points(self.path, {"commit": "a"}).measure("p", lambda: 1)
        other = points.Points(self.path, {"commit": "b"})
        self.assertEqual(other.found, 0)
        self.assertEqual(other.measure("p", lambda: 2), 2)
        self.assertEqual(points.Points(self.path, {"commit": "a"}).found, 0)

    def test_a_run_that_is_interrupted_while_it_measures_keeps_the_points_before(self):
        kept = points.Points(self.path, {})
        kept.measure("p", lambda: 1)
        with self.assertRaises(KeyboardInterrupt):
            kept.measure("q", self._interrupt)
        again = points.Points(self.path, {})
        self.assertIn("p", again)
        self.assertNotIn("q", again)

    def test_a_complete_run_leaves_nothing(self):
        done = points.Points(self.path, {})
        done.measure("p", lambda: 1)
        done.forget()
        self.assertFalse(os.path.exists(self.path))
        self.assertEqual(points.Points(self.path, {}).found, 0)

    def test_a_torn_file_is_no_obstacle(self):
        os.makedirs(os.path.dirname(self.path))
        for text in ("", "{", "[]", '{"key": {}}'):
            with open(self.path, "w", encoding="utf-8") as out:
                out.write(text)
            self.assertEqual(points.Points(self.path, {}).found, 0)

    @staticmethod
    def _interrupt():
        raise KeyboardInterrupt


def counters(time, steps, rows, tokens, pages, adapters, ranks, seconds):
    return {"time": time, bytes_model.STEPS: steps, bytes_model.ROWS: rows,
            bytes_model.RECOMPUTED: 0.0, bytes_model.TOKENS: tokens, bytes_model.PAGES: pages,
            bytes_model.ADAPTERS: adapters, bytes_model.RANKS: ranks, bytes_model.SECONDS: seconds}


class BytesModelTest(unittest.TestCase):
    def test_a_mean_step_reads_weights_kv_and_each_adapter_once(self):
        before = counters(10.0, 100, 1000, 900, 5000, 300, 2400, 1.0)
        after = counters(14.0, 300, 4000, 3900, 25000, 2300, 18400, 3.0)
        mean = bytes_model.figures(before, after, weight_bytes=1000, page_bytes=2, rank_bytes=3)
        self.assertEqual(mean["steps"], 200)
        self.assertEqual(mean["rows"], 15)
        self.assertEqual(mean["tokens"], 15)
        self.assertEqual(mean["adapters"], 10)
        self.assertEqual(mean["ranks"], 80)
        self.assertEqual(mean["bytes"], 1000 + 100 * 2 + 80 * 3)
        self.assertEqual(mean["step_ms"], 10)
        self.assertEqual(mean["steps_per_second"], 50)

    def test_no_step_is_an_error(self):
        now = counters(1.0, 5, 1, 1, 1, 1, 1, 1.0)
        with self.assertRaises(ValueError):
            bytes_model.figures(now, {**now, "time": 2.0}, 1, 1, 1)

    def test_prediction_counts_rows_against_bytes(self):
        self.assertAlmostEqual(bytes_model.predicted_ratio(
            {"rows": 30, "bytes": 600}, {"rows": 32, "bytes": 400}), 30 / 32 * 400 / 600)


class FakeServer:
    """Steps of 4 ms and so many rows, while it is not stopped."""

    STEP = 0.004

    def __init__(self, rows, others, requests=1 << 30):
        self.rows, self._others, self._steps_left = rows, others, requests
        self.recomputed = 0  # of the rows
        self._active, self._since = 0.0, time.monotonic()
        self.closed = False
        others.append(self)

    def pause(self):
        self._active, self._since = self._seconds(), None

    def resume(self):
        if self._since is None:
            self._since = time.monotonic()
        if not self.closed:
            assert [other for other in self._others if other.running()] == [self]

    def running(self):
        return self._since is not None

    def _seconds(self):
        return self._active + (time.monotonic() - self._since if self.running() else 0.0)

    def counters(self):
        assert self.running()
        steps = int(self._seconds() / self.STEP)
        return {**counters(time.monotonic(), steps, steps * self.rows, steps, 0, 0, 0, 0.0),
                bytes_model.RECOMPUTED: steps * self.recomputed,
                bytes_model.LOADS: 0.0, bytes_model.EVICTIONS: 0.0}

    def status(self):
        assert self.running()
        return {"weight_bytes": 1000, "pool_bytes": 100, "pool_pages": 10}

    def replay(self, _trace, *_flags, seed):
        self.seed = seed
        return self

    def ended(self):
        return self._seconds() > self._steps_left * self.STEP

    def close(self):
        self.closed = True


class DuelTest(unittest.TestCase):
    def fight(self, rows, requests=1 << 30):
        others = []
        self.servers = [FakeServer(count, others, requests) for count in rows]
        return duel.between(self.servers, ("a", "b"), 4, 1)

    def test_one_computes_at_a_time_and_rows_are_compared_by_their_seconds(self):
        with self.fight((75, 40)) as fight:
            self.servers[0].recomputed = 25
            fight.warm_up(0.02, 0.03)
            fight.take_turns(0.02, ratio.Budget(0.0), 0.02)
            above, below = fight.figures(1)
            for server in self.servers:
                server.closed = True
        found = duel.compare(above["turns"], below["turns"])
        self.assertEqual(found.blocks, ratio.FEWEST_BLOCKS)
        self.assertAlmostEqual(found.value, 1.25, delta=0.2)
        self.assertEqual(above["model"]["rows"], 75)
        self.assertAlmostEqual(above["model"]["recomputed"], 25)
        self.assertAlmostEqual(below["model"]["step_ms"], 4.0, delta=2.0)
        self.assertEqual(len(targets.duel_row("d", [above, below])),
                         1 + len(targets.DUEL_HEADINGS))

    def test_a_turn_goes_on_until_it_did_some_work(self):
        with self.fight((50, 40)) as fight:
            fight.warm_up(0.02, 0.0)
            idle = self.servers[0]
            idle.rows, rows = 0, idle.rows
            threading.Timer(0.2, setattr, (idle, "rows", rows)).start()
            fight.take_turns(0.02, ratio.Budget(0.0), 0.02)
            above, below = fight.figures(1)
            for server in self.servers:
                server.closed = True
        self.assertGreater(min(turn["rows"] for turn in above["turns"]), 0)
        self.assertGreater(duel.compare(above["turns"], below["turns"]).value, 0)

    def test_requests_that_end_before_the_duel_end_it(self):
        with self.assertRaisesRegex(RuntimeError, "requests to the end expected"):
            with self.fight((50, 40), requests=3) as fight:
                for server in self.servers:
                    server.closed = True
                fight.warm_up(0.02, 1.0)
        self.assertTrue(all(server.running() for server in self.servers))


def point(rate):
    times = {"mean": 1000.0, "p50": 1.0, "p95": 2.0, "p99": 3.0}
    figures = {"requests_per_second": rate / 10, "output_tokens_per_second": rate,
               "attainment": 1.0, "ttft_ms": times, "itl_ms": times, "latency_ms": times}
    return {"window": figures, "whole": figures, "late_ms": times, "cut": False, "model": model()}


def model(**changed):
    return {**dict.fromkeys(("rows", "tokens", "adapters", "ranks", "kv_bytes", "adapter_bytes",
                             "bytes", "step_ms", "steps", "rows_per_second", "loads",
                             "evictions", "preemptions", "recomputed"), 1.0), **changed}


def side(rates, **changed):
    return {"turns": [{"rows": 2 * rate, "seconds": 2.0} for rate in rates],
            "model": model(**changed)}


class TargetsTest(unittest.TestCase):
    SIDES = {"few": 5, "some": 100, "many": 2000}

    def count(self, turns, drawn):
        return {"in turn": [side([turns] * 5), side([100] * 5)],
                "uniform": [side([drawn] * 5, rows=10, bytes=125),
                            side([100] * 5, rows=10, bytes=100)]}

    def test_the_count_is_judged_by_itself_and_the_draw_by_the_bytes(self):
        turns, drawn = targets.count_targets(self.SIDES, self.count(98, 77))
        self.assertAlmostEqual(turns["value"], 0.98)
        self.assertTrue(turns["met"])
        self.assertAlmostEqual(drawn["value"], 0.77 / 0.8)
        self.assertTrue(drawn["met"])
        self.assertIn("0.800", drawn["name"])
        turns, drawn = targets.count_targets(self.SIDES, self.count(96, 75))
        self.assertFalse(turns["met"])
        self.assertFalse(drawn["met"])

    def test_pools_are_judged_where_the_lowest_points_were_measured_once_more(self):
        pools = {"a": [side([100] * 6), side([99] * 6)], "b": [side([85] * 6), side([100] * 6)]}
        self.assertEqual(targets.lowest(pools), "b")
        again = {"b": [side([95] * 6), side([100] * 6)], "d": [side([96] * 6), side([100] * 6)]}
        worst, exceeding = targets.pool_targets(
            pools, again, {"c": [side([140] * 6), side([100] * 6)]})
        self.assertAlmostEqual(worst["value"], 0.95)
        self.assertFalse(worst["met"])
        self.assertIn("lowest of 2 points", worst["name"])
        self.assertIn("(b)", worst["name"])
        self.assertTrue(exceeding["met"])
        self.assertEqual(targets.pool_targets({}, {}, {}), [])

    def test_tables_have_a_cell_for_each_heading(self):
        for headings, row in ((targets.POINT_HEADINGS, targets.point_row("p", point(10))),
                              (targets.MODEL_HEADINGS, targets.model_row("p", point(10))),
                              (["duel", *targets.DUEL_HEADINGS],
                               targets.duel_row("p", [side([1, 2]), side([2, 1])]))):
            self.assertEqual(len(headings), len(row))
            report.table(headings, [row])


class ColdTest(unittest.TestCase):
    def test_gaps_count_where_they_end(self):
        record = {"first": 1.0, "gaps_ms": [500, 500, 250, 1000]}  # 1.5, 2.0, 2.25, 3.25
        self.assertEqual(cold_loads.gaps_between(record, 1.5, 2.25), [500, 500])
        self.assertEqual(cold_loads.gaps_between(record, 2.0, 9), [500, 250, 1000])

    def test_percentile_interpolates(self):
        self.assertEqual(cold_loads.percentile([1, 2, 3, 4], 50), 2.5)
        self.assertEqual(cold_loads.percentile([7], 99), 7)

    def test_targets_compare_blocks(self):
        blocks = [{"cold": {"p99_ms": 21, "steps": 500}, "quiet": {"p99_ms": 20, "steps": 500}}] * 5
        found = cold_loads.itl_target(blocks)
        self.assertAlmostEqual(found["value"], 1.05)
        self.assertTrue(found["met"])
        self.assertEqual(found["note"], "5000 steps")
        late = cold_loads.first_token_target({"extra_ms": 3.0, "read_ms": 1.5, "copy_ms": 0.5})
        self.assertEqual((late["value"], late["met"]), (1.5, False))

    def test_what_was_made_cold_is_not_in_the_page_cache(self):
        with tempfile.TemporaryDirectory() as scratch:
            path = os.path.join(scratch, "image")
            with open(path, "wb") as out:
                out.write(os.urandom(1 << 20))
            with open(path, "r+b") as file:
                self.assertGreater(cold_loads.cached_pages(file.fileno()), 0)
            try:
                cold_loads.make_cold(path)
            except RuntimeError as error:
                self.skipTest(str(error))
            with open(path, "r+b") as file:
                self.assertEqual(cold_loads.cached_pages(file.fileno()), 0)
            read, copy = cold_loads.read_and_copy(path)
            self.assertGreater(read, 0)
            self.assertGreater(copy, 0)


class FleetTest(unittest.TestCase):
    MODEL = {"hidden_size": 576, "num_attention_heads": 9, "num_key_value_heads": 3,
             "intermediate_size": 1536, "num_hidden_layers": 30}

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = scratch.name
        with open(os.path.join(self.scratch, "config.json"), "w", encoding="utf-8") as out:
            json.dump(self.MODEL, out)

    def test_ranks_follow_one_another_and_the_bytes_are_those_of_the_files(self):
        mixed = fleet.Fleet(self.scratch, (64, 32, 16, 8))
        self.assertEqual([mixed.shape(i).rank for i in range(5)], [64, 32, 16, 8, 64])
        # q and o are 576 to 576, k and v 576 to 192.
        self.assertEqual(mixed.rank_bytes, 2 * 30 * (2 * (576 + 576) + 2 * (576 + 192)))
        directory = os.path.join(self.scratch, "a")
        for i in range(4):
            shape = mixed.shape(i)
            shape.write(directory, seed=i)
            self.assertEqual(fleet.tree_bytes(directory), shape.tensor_bytes + len(shape.config()))
            self.assertGreater(shape.image_bytes(), shape.rank * mixed.rank_bytes)
        self.assertGreater(mixed.disk_bytes(5), 2 * mixed.rank_bytes * (64 + 32 + 16 + 8 + 64))

    def test_the_same_seed_writes_the_same_adapter_and_another_one_another(self):
        shape = fleet.Fleet(self.scratch, (8,)).shape(0)
        contents = []
        for seed in (1, 1, 2):
            shape.write(self.scratch, seed)
            with open(os.path.join(self.scratch, "adapter_model.safetensors"), "rb") as file:
                contents.append(file.read())
        self.assertEqual(contents[0], contents[1])
        self.assertNotEqual(contents[0], contents[2])

    def test_a_linked_store_has_the_same_files_but_the_lock_and_keeps_them(self):
        store, copy = (os.path.join(self.scratch, name) for name in ("store", "copy"))
        for name, text in (("LOCK", ""), ("objects/a", "1"), ("manifests/m", "2")):
            path = os.path.join(store, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as out:
                out.write(text)
        for _ in range(2):
            fleet.link_store(store, copy)
            self.assertEqual(sorted(os.listdir(copy)), ["manifests", "objects"])
            self.assertTrue(os.path.samefile(os.path.join(store, "objects/a"),
                                             os.path.join(copy, "objects/a")))
        os.unlink(os.path.join(copy, "objects/a"))
        self.assertTrue(os.path.exists(os.path.join(store, "objects/a")))

    def test_more_than_the_limit_or_than_is_free_ends_the_program(self):
        with self.assertRaisesRegex(SystemExit, "at most 16 GB"):
            fleet.check_room(fleet.MOST_BYTES + 1, self.scratch)
        old, fleet.MOST_BYTES = fleet.MOST_BYTES, 1 << 62
        self.addCleanup(setattr, fleet, "MOST_BYTES", old)
        with self.assertRaisesRegex(SystemExit, "are free"):
            fleet.check_room(1 << 61, self.scratch)
        fleet.check_room(1 << 10, self.scratch)


if __name__ == "__main__":
    unittest.main()
