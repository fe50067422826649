"""The whole of bench/run peers over servers that only pretend."""

import sys
import tempfile
import types
import unittest
from unittest import mock

sys.dont_write_bytecode = True

from peers_test import FakeServer  # noqa: E402, which finds what follows
from harness import suite_peers  # noqa: E402
from peers import cache, trace  # noqa: E402
from peers.contender import Contender  # noqa: E402


class FakeFloor:
    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def probe(self):
        return 1e10

    def milliseconds(self, _bandwidths):
        return 9.0

    def summary(self):
        return {"read_bandwidth": {"median": 1e10, "best": 2e10}}


class SuiteTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.place = types.SimpleNamespace(cache=cache.Cache(scratch.name), vocabulary=100, threads=2,
                                           torch_dtype="bf16", write_adapters=lambda: None)
        self.servers, self.turns = [], []
        for name, fake in (("Floor", FakeFloor), ("Place", lambda *_: self.place),
                           ("model_directory", str)):
            self.enterContext(mock.patch.object(suite_peers, name, fake))
        self.enterContext(mock.patch.object(suite_peers.machine, "commit", lambda _root: "c"))
        # What it compares with is PEFT itself.
        check = types.SimpleNamespace(degenerate=list, of=lambda *_: {"alone": {"same": 1}})
        self.enterContext(mock.patch.object(suite_peers.answers, "Check", lambda _oracle: check))
        chorus = self.peer("Chorus", trace.CASES, 300.0)
        self.enterContext(mock.patch.object(
            suite_peers.chorus_peer, "contenders", lambda *_: chorus.contenders(self.place)))

    def peer(self, name, cases, rate, why=None, fails_in=None):
        test = self

        class Server(FakeServer):
            def wave(self, wave):
                test.assertEqual([s for s in test.servers if not s.stopped and s is not self], [])
                if fails_in and wave.max_tokens > 8 and fails_in == wave.adapters[0]:
                    raise RuntimeError("its engine died")
                answer = super().wave(wave)
                if wave.max_tokens == trace.MAX_TOKENS:
                    test.turns.append((name, wave.adapters, wave.seed))
                return {**answer, "itl_ms": {"p50": 10.0}, "ttft_ms": {"p50": 20.0},
                        "client_cpu_seconds": 0.1}

            def close(self):
                super().close()
                test.servers.remove(self)

            def resident_bytes(self):
                return 1 << 20

        def start(_setting):
            test.servers.append(Server(rate))
            return test.servers[-1]

        return types.SimpleNamespace(
            NAME=name, why_missing=lambda _place: why, versions=lambda _place: {name: "1.0"},
            contenders=lambda _place: [Contender(name, "all", cases, ["a"], start)])

    def measure(self, *peers, **options):
        chosen = {"quick": False, "json": True, "seed": 1, "peers": None, "keep": False, **options}
        build = types.SimpleNamespace(root="/", program=lambda name: name)
        with mock.patch.object(suite_peers, "PEERS", peers):
            result = suite_peers.Comparison(build, types.SimpleNamespace(**chosen), "/").run()
        self.assertEqual(self.servers, [], "left running")
        return result

    def test_all_take_the_same_waves_in_turns_and_targets_are_judged(self):
        result = self.measure(self.peer("vLLM", trace.CASES, 50.0),
                              self.peer("llama.cpp", (trace.BASE, trace.ALONE), 100.0))
        for case in trace.CASES:
            waves = {name: [turn[1:] for turn in self.turns
                            if turn[0] == name and len(turn[1]) == len(case.wave(1, 1).adapters)]
                     for name in ("Chorus", "vLLM")}
            self.assertEqual(waves["Chorus"][:2], waves["vLLM"][:2])
        blocks = result["raw"]["blocks"]
        self.assertEqual(blocks["base"]["Chorus"].keys(), {0, 1, 2, 3})
        # 16 × 128 tokens at 50 a second take longer than is repeated.
        self.assertEqual(blocks["base"]["vLLM"].keys(), {0, 1})
        values = {t["name"]: t["value"] for t in result["targets"]}
        self.assertAlmostEqual(values["16 at once, no adapter: ÷ vLLM"], 6.0)
        self.assertAlmostEqual(values["one at a time, no adapter: ÷ llama.cpp"], 3.0)
        self.assertAlmostEqual(
            values["one at a time: bandwidth's floor ÷ time between tokens"], 0.9)
        self.assertEqual(len(result["raw"]["not_judged"]), 3)  # two of llama.cpp, one of PEFT
        self.assertEqual(result["raw"]["versions"], {"vLLM": "1.0", "llama.cpp": "1.0"})

    def test_who_is_not_there_is_left_out_with_the_reason(self):
        result = self.measure(self.peer("vLLM", trace.CASES, 50.0, why="not installed"))
        self.assertEqual(result["raw"]["missing"], {"vLLM": "not installed"})
        self.assertEqual([t["name"] for t in result["targets"]],
                         ["one at a time: bandwidth's floor ÷ time between tokens"])

    def test_who_fails_on_the_way_is_left_out_from_then_on(self):
        result = self.measure(self.peer("vLLM", trace.CASES, 50.0, fails_in=trace.adapter(0)),
                              self.peer("PEFT", (trace.DISTINCT,), 20.0))
        self.assertIn("its engine died", result["raw"]["missing"]["vLLM"])
        self.assertEqual(result["raw"]["blocks"]["base"]["vLLM"].keys(), {0})
        self.assertEqual(result["raw"]["blocks"]["distinct"]["PEFT"].keys(), {0, 1})

    def test_chorus_failing_ends_the_run_and_leaves_nothing_up(self):
        with mock.patch.object(suite_peers.chorus_peer, "contenders",
                               lambda *_: self.peer("Chorus", trace.CASES, 1.0, fails_in=None)
                               .contenders(self.place)):
            with mock.patch.object(FakeFloor, "probe", side_effect=RuntimeError("no probe")):
                with self.assertRaisesRegex(RuntimeError, "no probe"):
                    self.measure()
        self.assertEqual(self.servers, [])

    def test_kept_figures_are_not_measured_again(self):
        vllm_there = self.peer("vLLM", trace.CASES, 50.0)
        self.measure(vllm_there, peers=["vllm"])
        first, self.turns = self.turns, []
        result = self.measure(vllm_there, self.peer("PEFT", (trace.BASE,), 200.0), keep=True)
        self.assertEqual({name for name, _, _ in self.turns}, {"PEFT"})
        self.assertEqual(len(self.turns), 4)
        self.assertEqual(len(result["raw"]["blocks"]["base"]), 3)
        self.turns = []
        self.measure(vllm_there)
        self.assertEqual(self.turns, first)

    def test_a_name_that_is_no_peer_is_refused(self):
        with self.assertRaisesRegex(SystemExit, "no vlm; there are vllm"):
            self.measure(self.peer("vLLM", trace.CASES, 50.0), peers=["vlm"])


if __name__ == "__main__":
    unittest.main()
