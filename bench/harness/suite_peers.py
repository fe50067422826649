"""Suite `peers`: Chorus beside what a user would pick instead. Same machine, same weights, same
cores, same traces. All servers are up, and all but the one whose turn it is stand stopped."""

import datetime
import os
import signal
import statistics
import sys
import tempfile
import time

from harness import machine, report
from harness.suite_serving import CLIENT, DAEMON, ENGINE, model_directory
from peers import answers, cache, chorus_peer, figures, llama_cpp, peft_peer, trace, vllm
from peers.floor import Floor
from peers.place import DTYPE, Place

PEERS = (vllm, llama_cpp, peft_peer)
ROUNDS, QUICK_ROUNDS = 4, 2
QUICK_TOKENS = 32
LONG_SECONDS = 20  # what takes longer has turns in the first two rounds only
MIB = 1 << 20


def run(build, options):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what was started
    build.targets(ENGINE, DAEMON, CLIENT)
    with tempfile.TemporaryDirectory(prefix="chorus-peers-") as scratch:
        return Comparison(build, options, scratch).run()


class Comparison:
    def __init__(self, build, options, scratch):
        self._build, self._options, self._scratch = build, options, scratch
        self._place = Place(cache.Cache(), model_directory(build.root), machine.cores())
        self._vocabulary = self._place.vocabulary
        self._rounds = QUICK_ROUNDS if options.quick else ROUNDS
        self._max_tokens = QUICK_TOKENS if options.quick else trace.MAX_TOKENS
        self._missing = {}  # peer → why
        self._raw = {"seed": options.seed, "threads": self._place.threads,
                     "dtype": DTYPE, "torch_dtype": self._place.torch_dtype, "versions": {},
                     "start_seconds": {}, "memory_bytes": {}, "answers": {}}

    def run(self):
        self._place.write_adapters()
        self._figures = figures.Figures(self._place.cache.path("figures.json"), self._key(),
                                        self._options.keep)
        contenders = self._contenders()
        self._say_estimate(contenders)
        with Floor(self._build.program(ENGINE), self._place, self._scratch) as self._floor:
            try:
                self._open(contenders)
                self._check_answers(contenders)
                for which in range(self._rounds):
                    self._round(which, contenders)
                for contender in contenders:
                    if contender.server:
                        self._raw["memory_bytes"][contender.name] = (
                            contender.server.resident_bytes())
            finally:
                for contender in contenders:
                    contender.close()
            self._raw["ceilings"] = self._floor.summary()
        return self._result()

    def _key(self):
        """What figures must have in common to be one run's."""
        commit = machine.commit(self._build.root)
        if self._options.keep and commit.endswith("+"):
            raise SystemExit("--keep wants a tree without changes: they may have changed figures")
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as text:
            booted = text.read().strip()
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        return [booted, today, commit, self._options.seed, self._max_tokens]

    def _contenders(self):
        """Of Chorus and of every peer that is there and wanted."""
        names = {peer.NAME.lower() for peer in PEERS}
        unknown = set(self._options.peers or ()) - names
        if unknown:
            raise SystemExit(f'--peers: no {", ".join(sorted(unknown))}; there are '
                             + ", ".join(sorted(names)))
        found = chorus_peer.contenders(self._place, self._build.program(DAEMON),
                                       self._build.program(CLIENT), self._scratch)
        for peer in PEERS:
            why = peer.why_missing(self._place)
            if self._options.peers and peer.NAME.lower() not in self._options.peers:
                why = "left out by --peers"
            if why:
                self._missing[peer.NAME] = why
            else:
                self._raw["versions"] |= peer.versions(self._place)
                found += peer.contenders(self._place)
        return found

    def _say_estimate(self, contenders):
        for peer, why in self._missing.items():
            self._say(f"{peer} is left out: {why} (bench/peers/install)")
        seconds = figures.estimate(contenders, self._rounds, self._max_tokens, LONG_SECONDS,
                                   tries=not self._options.quick)
        names = ", ".join(dict.fromkeys(contender.peer for contender in contenders))
        self._say(f"{names}: about {seconds / 60:.0f} minutes, of which nothing is reused")

    def _needed(self, contender):
        return any(self._figures.get(case.name, contender.peer, which) is None
                   for case in contender.cases for which in range(self._rounds)
                   if not self._is_long(case, contender, which))

    def _is_long(self, case, contender, which):
        """Whether the round is left out, because a turn took too long before."""
        before = self._figures.get(case.name, contender.peer, 0)
        return which >= 2 and before is not None and before["seconds"] > LONG_SECONDS

    def _open(self, contenders):
        for contender in contenders:
            if not self._needed(contender):
                self._say(f"{contender.name}: its figures are kept")
                continue
            self._say(f"{contender.name}: starts")
            contender.setting = self._figures.settings.get(contender.name, {}).get("chosen")
            begin = time.monotonic()
            try:
                contender.open(choose=not self._options.quick and contender.setting is None,
                               vocabulary=self._vocabulary)
            except (RuntimeError, OSError) as error:
                self._give_up(contender, error)
                continue
            self._raw["start_seconds"][contender.name] = time.monotonic() - begin
            self._figures.settings.setdefault(
                contender.name, {"chosen": contender.setting, "tried": contender.tried})

    def _give_up(self, contender, error):
        if contender.peer == chorus_peer.NAME:
            raise error
        self._missing[contender.peer] = f"{contender.part}: {error}"
        self._say(f"{contender.name} is left out: {error}")
        contender.close()

    def _check_answers(self, contenders):
        running = [c for c in contenders if c.server and c.same_weights]
        oracle = next((c for c in running if c.peer == peft_peer.NAME), None)
        if oracle is None:
            self._raw["answers"] = "not checked: PEFT is not running"
            return
        self._say("answers: PEFT in f32, then every system")
        with oracle.turn() as server:
            check = answers.Check(server)
        degenerate = check.degenerate()
        if degenerate:
            raise RuntimeError(f'{", ".join(degenerate)}: answers with what the base answers')
        for contender in running:
            with contender.turn() as server:
                self._raw["answers"][contender.name] = check.of(server, contender.has_adapters)

    def _round(self, which, contenders):
        for case, contender in figures.turns(which, contenders):
            if (contender.server and not self._figures.get(case.name, contender.peer, which)
                    and not self._is_long(case, contender, which)):
                seed = 1000 * self._options.seed + 10 * which + trace.CASES.index(case)
                self._turn(which, contender, case,
                           case.wave(seed, self._vocabulary, self._max_tokens))

    def _turn(self, which, contender, case, wave):
        around = [self._floor.probe()]
        try:
            block = contender.measure(wave)
        except (RuntimeError, OSError) as error:
            self._give_up(contender, error)
            return
        around.append(self._floor.probe())
        block["read_bandwidth"] = statistics.mean(around)
        if case == trace.ALONE and contender.peer == chorus_peer.NAME:
            block["floor_ms"] = self._floor.milliseconds(around)
            block["between_ms"] = block["itl_ms"]["p50"]
        self._figures.add(case.name, contender.peer, which, block)
        self._say(f'round {which + 1}, {case.title}, {contender.peer}: '
                  f'{block["tokens_per_second"]:.0f} tokens/s in {block["seconds"]:.1f} s')

    def _result(self):
        judged, not_judged = figures.targets(self._figures, self._missing)
        self._raw |= {"blocks": self._figures.blocks, "settings": self._figures.settings,
                      "missing": self._missing, "not_judged": not_judged}
        if not self._options.json:
            self._print(not_judged)
        return {"raw": self._raw, "targets": judged}

    def _print(self, not_judged):
        raw = self._raw
        print(report.table(["case", "system", "tokens/s", "± %", "first ms", "next ms", "rounds",
                            "client %"], figures.rows(self._figures)))
        print(f"{trace.PROMPT_TOKENS} random token ids in, {self._max_tokens} out "
              f"(PEFT {min(self._max_tokens, peft_peer.MAX_TOKENS)}), tokens/s with prefill; "
              f"client: of a core; weights in {raw['dtype']} "
              f"(vLLM and PEFT: {raw['torch_dtype']}), but for Q4_1\n")
        print(report.table(["system", "best setting", "tried: tokens/s"], [
            [name, chosen["chosen"],
             "; ".join(f"{setting}: {rate:.0f}" for setting, rate in chosen["tried"].items())
             or None] for name, chosen in raw["settings"].items()]), end="\n\n")
        if isinstance(raw["answers"], str):
            print(raw["answers"])
        else:
            print(report.table(
                ["first 16 tokens against PEFT's in f32", "", "same", "near tie", "wrong"],
                [[name, how, *counts.values()] for name, found in raw["answers"].items()
                 for how, counts in found.items()]))
        print()
        print(report.table(["MiB resident", ""], [[name, held / MIB] for name, held in
                                                  raw["memory_bytes"].items()]), end="\n\n")
        ceilings = raw["ceilings"]
        print(f'read bandwidth: median {ceilings["read_bandwidth"]["median"] / 1e9:.0f} GB/s, best '
              f'{ceilings["read_bandwidth"]["best"] / 1e9:.0f}; '
              + ", ".join(f"{name} {version}" for name, version in raw["versions"].items()))
        for line in not_judged:
            print(f"not judged: {line}")
        print()

    def _say(self, line):
        if not self._options.json:
            print(f"· {line}", file=sys.stderr, flush=True)
