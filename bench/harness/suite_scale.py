"""Suite `scale`: how many adapters a server takes, on the CPU with SmolLM2 and synthetic adapters on
q, k, v and o. S-LoRA's grid (https://arxiv.org/abs/2311.03285): the count of adapters, their ranks
and their popularity, each point a trace that is replayed open loop at the rate that the base alone
was just able to serve; then, saturated and in turns, what the count costs, one pool against two and
what is left out; and cold loads. An interrupted run goes on where it was.
"""

import os
import shutil
import signal
import sys
import tempfile
import time

from workload import traces

from harness import bytes_model, cold_loads, duel, fleet, machine, points, ratio, report
from harness import scale_targets as targets
from harness.server_process import ServerProcess
from harness.suite_serving import model_directory

DAEMON, CLIENT = "chorusd", "chorus"
MIB = 1 << 20
POOL = 512 * MIB           # of the grid
RANKS_8, RANKS_MIXED = (8,), (64, 32, 16, 8)
LENGTHS = "uniform:8:120"  # tokens in and out: a window of a minute has some hundred requests
MEAN_LENGTH = 63.5
UNIFORM, SKEWED = "power:1", "power:0.3"
# Where adapters and KV together do not fit. Of the ranks of a stage: adapters, tokens in and out,
# pool. The pools are so small that a step reads weights more than it multiplies, on two cores too:
# only then do more rows a step make more tokens a second.
EXCEEDING = {
    "rank 8": (1, "split:8:32:128:384", 32 * MIB),           # KV most of all
    "ranks 64 32 16 8": (400, "split:8:32:32:96", 64 * MIB)  # adapters
}
SEPARATE = ("--experiment-adapter-pool-share=0.5",)
OPTIMISTIC = ("--admission=optimistic",)
ABLATIONS = {
    "padded to rank 64": ("--experiment-pad-rank=64",),
    "without LoRA's arithmetic": ("--no-experiment-lora-compute",),
    "idle adapters dropped": ("--no-experiment-idle-adapters",),
    "loads begin at admission": ("--no-experiment-prefetch",),
}

PARTS = ("grid", "cold", "count", "pools", "exceed", "ablate")

SHAPES = {  # beside the paper's: what changes, and its share of the rate
    "slora": ({"lengths": "uniform:8:512"}, 0.2), "chat": ({}, 0.5),
    "zipf-1.0": ({}, 1.0), "zipf-1.5": ({}, 1.0), "bursts": ({}, 1.0),
}
LOAD = 0.9  # of what the base alone serves; the drain tails would take the night
STREAMS = 96  # of a closed loop: more than run at a time, so that some always wait

FULL = {
    "rank 8": (0, 1, 5, 20, 100, 400, 2000), "ranks 64 32 16 8": (1, 5, 20, 100, 400),
    "popularity": (UNIFORM, SKEWED), "shapes": tuple(SHAPES), "exceeding": True,
    "warm": 15.0, "window": 60.0, "saturate": (5.0, 20.0),
    "turn": 2.0, "ramps": 1, "count": (120, 300), "pools": (16, 32), "again": (60, 240),
    "exceed": (60, 240), "ablate": (30, 60),
    "rest": 40, "cold": 8.0, "colds": (200, 320), "colds of": 2000,
    "sides": {"few": 5, "some": 100, "many": 2000}, "ablated": 20,
}
QUICK = {
    "rank 8": (0, 60), "ranks 64 32 16 8": (8,),
    "popularity": (UNIFORM,), "shapes": ("slora",), "exceeding": False,
    "warm": 1.0, "window": 3.0, "saturate": (1.0, 3.0),
    "turn": 0.2, "ramps": 0, "count": (4, 4), "pools": (2, 2), "again": (2, 2), "exceed": (2, 2),
    "ablate": (2, 2),
    "rest": 6, "cold": 1.5, "colds": (14, 14), "colds of": 160,
    "sides": {"few": 5, "some": 20, "many": 60}, "ablated": 8,
}


def run(build, options):
    unknown = set(options.only or ()) - set(PARTS)
    if unknown:
        raise SystemExit(f'--only: {", ".join(PARTS)} expected, got {", ".join(sorted(unknown))}')
    build.targets(DAEMON, CLIENT)
    # As Ctrl-C, so that gigabytes do not stay behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="chorus-scale-") as scratch:
        return Measurement(build, options, scratch).run()


class Stage:
    """A server and the adapters of one cycle of ranks, as long as points need them."""

    def __init__(self, measurement, name, ranks):
        self._m = measurement
        self.name = name
        self.fleet = fleet.Fleet(measurement.model, ranks)
        self.registered = []  # what registering took
        self._process, self._settings = None, None
        self._rival, self._rival_settings = None, None

    def server(self, count, flags=(), pool=POOL):
        """Running with these, and at least the first `count` adapters registered."""
        settings = (flags, pool)
        if self._settings != settings:
            self.close()
            self._process = self._m.start(self.name, pool, flags)
            self._settings = settings
        took = self.fleet.register(self._process, count, self._m.scratch)
        if took:
            took["store_bytes"] = fleet.tree_bytes(self._process.store)
            self.registered.append(took)
            self._m.say(f'  {took["adapters"]} adapters registered in {took["seconds"]:.0f} s, '
                        f'{took["upload_ms"]:.0f} ms each, '
                        f'{took["store_bytes"] / 1e9:.2f} GB in the store')
        return self._process

    def rival(self, flags=(), pool=POOL):
        """A second server, with the adapters that server() has by now."""
        settings = (flags, pool, len(self.fleet.digests))
        if self._rival_settings != settings:
            self.dismiss_rival()
            name = self.name + ", rival"
            fleet.link_store(self._m.store(self.name), self._m.store(name))
            self._rival = self._m.start(name, pool, flags)
            self._rival_settings = settings
        return self._rival

    def close(self):
        self.dismiss_rival()
        if self._process is not None:
            self._process.close()
        self._process, self._settings = None, None

    def dismiss_rival(self):
        if self._rival is not None:
            self._rival.close()
        self._rival, self._rival_settings = None, None

    def remove(self):
        self.close()
        for name in (self.name, self.name + ", rival"):
            shutil.rmtree(self._m.store(name), ignore_errors=True)


class Measurement:
    def __init__(self, build, options, scratch):
        self._build, self._options, self.scratch = build, options, scratch
        self._plan = QUICK if options.quick else FULL
        self.model = model_directory(build.root)
        self._threads = options.threads or machine.cores()
        hardware = machine.hardware()
        key = {"hardware": machine.slug(hardware), "commit": machine.commit(build.root),
               "plan": self._plan, "pool": POOL, "lengths": LENGTHS, "threads": self._threads,
               "seed": options.seed, "parts": sorted(options.only or PARTS)}
        name = f'scale-{"quick" if options.quick else "full"}.json'
        self._points = points.Points(os.path.join(build.directory, "bench", name), key)
        if options.fresh:
            self._points.forget()
        self._experiments = None
        self._ramp_seconds = None

    # What the parts stand on

    def say(self, text):
        if not self._options.json:
            print(text, file=sys.stderr, flush=True)

    def store(self, name):
        return os.path.join(self.scratch, "store-" + name.replace(" ", "-"))

    def start(self, name, pool, flags):
        return ServerProcess(
            self._build.program(DAEMON), self._build.program(CLIENT), self.model, self.scratch,
            pool, self._threads, flags,
            store=os.path.basename(self.store(name)))

    def knows(self, flags):
        """Whether this chorusd has these experiments."""
        if self._experiments is None:
            self._experiments = self._build.output(DAEMON, "--help")
        names = (flag.split("=")[0].removeprefix("--no-").removeprefix("--") for flag in flags)
        return all(name in self._experiments for name in names)

    def _wants(self, part):
        return part in (self._options.only or PARTS)

    def run(self):
        begin = time.monotonic()
        if self._points.found:
            self.say(f"· {self._points.found} points of an interrupted run are kept")
        stages = [Stage(self, "rank 8", RANKS_8), Stage(self, "ranks 64 32 16 8", RANKS_MIXED)]
        self._check_room(stages)
        try:
            result = self._measure(*stages)
        finally:
            for stage in stages:
                stage.close()
        self._points.forget()
        result["raw"]["seconds"] = time.monotonic() - begin
        result["raw"]["registered"] = {s.name: s.registered for s in stages}
        if not self._options.json:
            self._print(result["raw"])
        return result

    def _check_room(self, stages):
        """One stage's store goes before the next one's comes."""
        eight, mixed = stages
        counts = {eight: max(*self._plan[eight.name], self._plan["colds of"]),
                  mixed: max(self._plan[mixed.name])}
        wanted = {stage: stage.fleet.disk_bytes(count) for stage, count in counts.items()}
        for stage, size in wanted.items():
            self.say(f"· {stage.name}: {counts[stage]} adapters, {size / 1e9:.2f} GB on disk "
                     f"under {self.scratch}")
        fleet.check_room(max(wanted.values()), self.scratch)

    def _measure(self, eight, mixed):
        raw = {"grid": {}, "count": {}, "pools": {}, "pools_again": {}, "exceeding": {},
               "ablations": {},
               "settings": {"pool": POOL, "lengths": LENGTHS, "threads": self._threads}}
        judged = []
        if self._wants("grid"):
            raw["base"], raw["rate"] = self._rate(eight)
            self._grid(eight, raw["rate"], raw["grid"])
            self._shapes(eight, raw["rate"], raw["grid"])
        if self._wants("cold"):
            raw["at_rest"], raw["cold"] = self._points.measure(
                "cold loads", lambda: self._cold_loads(eight))
            judged += [cold_loads.itl_target(raw["cold"]),
                       cold_loads.first_token_target(raw["at_rest"])]
        if self._wants("count"):
            self._count(eight, raw["count"])
            judged += targets.count_targets(self._plan["sides"], raw["count"])
        if self._wants("pools"):
            self._pools(eight, raw["pools"], raw["pools_again"])
        if self._wants("exceed"):
            self._exceed(eight, raw["exceeding"], raw["ablations"])
        eight.remove()
        if self._wants("grid"):
            self._grid(mixed, raw["rate"], raw["grid"])
        if self._wants("pools"):
            self._pools(mixed, raw["pools"], raw["pools_again"])
        if self._wants("exceed"):
            self._exceed(mixed, raw["exceeding"], raw["ablations"])
        if self._wants("ablate"):
            self._ablate(mixed, raw["ablations"])
        mixed.remove()
        return {"raw": raw, "targets": [
            *judged, *targets.pool_targets(raw["pools"], raw["pools_again"], raw["exceeding"])]}

    def _rate(self, stage):
        """What the base alone serves when it is saturated, and the requests/s of the grid."""
        self.say("· what the base alone serves")
        base = self._points.measure("saturation", lambda: self._saturated(stage, 0))
        rate = LOAD * base["window"]["output_tokens_per_second"] / MEAN_LENGTH
        self.say(f"  the grid's rate: {rate:.2f} requests/s")
        return base, rate

    # The parts

    def _grid_points(self, stage):
        """(name, count, popularity)"""
        for count in self._plan[stage.name]:
            for popularity in self._plan["popularity"] if count >= 5 else (UNIFORM,):
                yield f"{stage.name}, n {count}, {popularity}", count, popularity

    def _grid(self, stage, rate, grid):
        for name, count, popularity in self._grid_points(stage):
            grid[name] = self._points.measure(name, lambda: self._point(
                stage, name, count, rate, popularity=popularity))

    def _shapes(self, stage, rate, grid):
        count = self._plan["sides"]["some"]
        for shape in self._plan["shapes"]:
            changed, share = SHAPES[shape]
            name = f"{stage.name}, n {count}, " + " ".join([shape, *changed.values()])
            grid[name] = self._points.measure(name, lambda: self._point(
                stage, name, count, rate * share, shape, **changed))

    def _count(self, stage, count):
        """Few adapters and many drawn uniformly; some and many in turn, so that every row of a step
        has an adapter of its own."""
        sides = self._plan["sides"]
        for how, below in (("in turn", "some"), ("uniform", "few")):
            count[how] = self._duel(
                stage, f'{sides["many"]} adapters ÷ {sides[below]}, {how}', sides["many"], "count",
                [self._saturating(sides[side], how == "in turn") for side in ("many", below)])

    def _pools(self, stage, pools, again):
        """Each point of the grid, with one pool and with separate ones; then the lowest once more,
        and for longer: of so many one is low by chance."""
        if not self.knows(SEPARATE):
            return
        points = {name: of for name, *of in self._grid_points(stage)}

        def fight(name, title, budget):
            count, popularity = points[name]
            return self._duel(stage, f"{name}, {title}", count, budget,
                              [self._saturating(count, popularity=popularity)], SEPARATE)

        found = {name: fight(name, "one pool ÷ two", "pools") for name in points}
        pools.update(found)
        name = targets.lowest(found)
        again[name] = fight(name, "one pool ÷ two, once more", "again")

    def _exceed(self, stage, exceeding, ablations):
        if not self._plan["exceeding"] or not self.knows(SEPARATE):
            return
        count, lengths, pool = EXCEEDING[stage.name]
        name = f"n {count} of {stage.name}, tokens {lengths}, pool {pool // MIB} MiB"
        requests = self._saturating(count, lengths=lengths)

        def fight(against, flags):
            return self._duel(stage, f"{name}, {against}", count, "exceed", [requests], flags, pool)

        exceeding[name] = fight("one pool ÷ two", SEPARATE)
        ablations[f"{name}, optimistic"] = fight("as it is ÷ optimistic", OPTIMISTIC)

    def _ablate(self, stage, ablations):
        """What is left out or done as others do it, against what it is."""
        count = self._plan["ablated"]
        for what, flags in ABLATIONS.items():
            if self.knows(flags):
                ablations[what] = self._duel(
                    stage, f"{stage.name}, n {count}, as it is ÷ {what}", count, "ablate",
                    [self._saturating(count)], flags)

    def _saturating(self, count, in_turn=False, **changed):
        """More requests than a duel takes."""
        requests = self._requests("slora", adapters=count, rate=100.0, duration=60.0, **changed)
        if in_turn:
            requests = [r._replace(adapter=i % count) for i, r in enumerate(requests)]
        return requests

    def _duel(self, stage, name, count, *how):
        return self._points.measure(name, lambda: self._fight(stage, name, count, *how))

    def _fight(self, stage, name, count, budget, requests, flags=(), pool=POOL):
        """The stage's server and, with these flags, its rival, each saturated by its own of
        `requests`, or both by the same."""
        self.say(f"· {name}")
        servers = (stage.server(count, pool=pool), stage.rival(flags, pool))
        lead = self._plan["ramps"] * self._ramp(servers[0])
        paths = [self._write(r, f"duel-{i}") for i, r in enumerate(requests)]
        with duel.between(servers, (paths[0], paths[-1]), STREAMS, self._options.seed) as fight:
            fight.warm_up(self._plan["turn"], lead)
            fight.take_turns(self._plan["turn"], ratio.Budget(*self._plan[budget]),
                             targets.RESOLUTION)
            return fight.figures(stage.fleet.rank_bytes)

    def _saturated(self, stage, count):
        """The trace's requests in order, as many at a time as keep the queue filled."""
        server = stage.server(count)
        lead, window = self._plan["saturate"]
        lead += self._ramp(server)
        with server.replay(self._write(self._saturating(count), "saturated"),
                           "--concurrency", str(STREAMS), "--window-begin", f"{lead}s",
                           "--window", f"{window}s") as replay:
            return {**self._watch(server, stage, replay, lead, window), "cut": True}

    def _cold_loads(self, stage):
        server = stage.server(self._plan["colds of"])
        self.say("· cold loads")
        images = cold_loads.Images(server, stage.fleet.digests)
        rest = cold_loads.at_rest(server, images, self.scratch, self._plan["rest"])
        blocks = cold_loads.beside_runners(server, images, self.scratch, self._plan["cold"],
                                           ratio.Budget(*self._plan["colds"]),
                                           self._options.seed)
        return rest, blocks

    # One measurement

    def _requests(self, shape, **changed):
        if shape == "chat":  # has its own lengths, and its own count
            changed.pop("adapters")
        else:
            changed.setdefault("lengths", LENGTHS)
        return traces.make(shape, **changed)

    def _write(self, requests, name):
        path = os.path.join(self.scratch, name.replace(" ", "-") + ".jsonl")
        traces.write(requests, path)
        return path

    def _point(self, stage, name, count, rate, shape="slora", **changed):
        """A trace replayed open loop: its figures in the window and over all, the mean step."""
        warm, window = self._plan["warm"], self._plan["window"]
        server = stage.server(count)
        trace = self._write(self._requests(shape, adapters=count, rate=rate,
                                           duration=warm + window, **changed), "trace")
        self.say(f"· {name}")
        with server.replay(trace, "--window-begin", f"{warm}s", "--window", f"{window}s",
                           seed=self._options.seed) as replay:
            return {**self._watch(server, stage, replay, warm, window), "cut": False}

    def _ramp(self, server):
        """Seconds that the first prompts of a closed loop take, by those of a few."""
        if self._ramp_seconds is None:
            few = STREAMS // 8
            begin = time.monotonic()
            server.bench(few, round(MEAN_LENGTH), 1, self._options.seed)
            self._ramp_seconds = (time.monotonic() - begin) * STREAMS / few
        return self._ramp_seconds

    def _watch(self, server, stage, replay, begin, window):
        """What the replay says, and the mean step of its window."""
        replay.sleep_until(begin)
        before = server.counters()
        replay.sleep_until(begin + window)
        after = server.counters()
        answer = replay.finish()
        return {**answer, "model": bytes_model.mean_step(before, after, server.status(),
                                                         stage.fleet.rank_bytes)}

    def _print(self, raw):
        if raw["grid"]:
            every = {"saturated, base alone": raw["base"], **raw["grid"]}
            for headings, row in ((targets.POINT_HEADINGS, targets.point_row),
                                  (targets.MODEL_HEADINGS, targets.model_row)):
                print(report.table(headings, [row(*item) for item in every.items()]), end="\n\n")
        for title, duels in (("many adapters ÷ fewer", raw["count"]),
                             ("one pool ÷ two", raw["pools"] | raw["exceeding"]),
                             ("the lowest once more", raw["pools_again"]),
                             ("as it is ÷", raw["ablations"])):
            if duels:
                print(report.table([title, *targets.DUEL_HEADINGS],
                                   [targets.duel_row(*item) for item in duels.items()]),
                      end="\n\n")
        if "at_rest" in raw:
            print("a cold adapter at rest: first token after {cold_ms:.1f} ms, of a resident one "
                  "after {warm_ms:.1f}; read {read_ms:.2f} ms, one copy {copy_ms:.2f} ms"
                  .format(**raw["at_rest"]))
        print(f'all measured in {raw["seconds"] / 60:.0f} minutes', end="\n\n")
