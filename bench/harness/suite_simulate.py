"""Suite `simulate`: the scheduler in virtual time. S-LoRA's experiments on a machine like theirs,
beside their figures; policies against each other; fleets of 1 to 1,000 replicas; a soak."""

import json
import os
import sys
import tempfile

from harness import machine, ratio, report
from harness import slora_published as published
from harness.simulation import PROGRAM, Simulator

SOAK_REQUESTS = 1_000_000

# S-LoRA's two settings with Llama-7B: ranks of the adapters, in turns, on q, k, v and o.
SETTINGS = {"S1": [8], "S2": [64, 32, 16, 8]}
# S-LoRA's queue admits what fits to its end; it has no prefix cache, pins nothing and does not cut
# prompts.
LIKE_SLORA = {"admission": "conservative", "prefix_cache": False, "pin_budget": 0.0,
              "max_running": 256, "max_prefill_chunk": 512}


def run(build, options):
    build.targets(PROGRAM)
    with tempfile.TemporaryDirectory(prefix="chorus-simulate-") as scratch:
        simulator = Simulator(build.program(PROGRAM), scratch, options.threads or machine.cores())
        if options.soak:
            return soak(simulator, options)
        return Experiments(build, simulator, options).run()


def soak(simulator, options):
    requests = SOAK_REQUESTS // 50 if options.quick else SOAK_REQUESTS
    done = simulator.soak(requests, options.seed)
    if not options.json:
        print(report.table(["of the soak's requests", ""], list(done["counts"].items())))
        print(f'\nseed {options.seed}, {done["phases"]} phases, {done["wall_s"]:.0f} s; every token '
              "was what its request gets alone, every choice\nended once, and pages were counted "
              "after every step.\n")
    return {"raw": done, "targets": [], "suite": "simulate-soak",
            "verdict": f'{done["counts"]["requests"]} requests: nothing was lost.'}


def slora(simulator, setting, engine=None, on="a10g-llama-7b", **trace):
    """A scenario of S-LoRA's on a machine like theirs."""
    return {"machine": on, "trace": simulator.trace("slora", **trace),
            "adapters": {"ranks": SETTINGS[setting], "modules": "qkvo"},
            "engine": {**LIKE_SLORA, **(engine or {})}}


class Experiments:
    def __init__(self, build, simulator, options):
        self._root = build.root
        self._simulator = simulator
        self._options = options
        self._raw = {"seed": options.seed}
        self._targets = []

    def run(self):
        for experiment in (self.adapters, self.rates, self.popularity, self.bursts, self.clusters,
                           self.memory, self.lengths, self.switches, self.fleets, self.burst,
                           self.speed):
            experiment()
        return {"raw": self._raw, "targets": self._targets}

    def adapters(self):
        numbers = (0, 1, 20, 50, 100, 200, 2000)
        found = self._run("adapters", {
            f"{setting} {n}": slora(self._simulator, setting, adapters=n)
            for setting in SETTINGS for n in numbers})
        self._beside("2 requests/s, by number of adapters", [
            (f"{setting} n={n}", found[f"{setting} {n}"], published.ADAPTERS[setting].get(n))
            for setting in SETTINGS for n in numbers])
        base = found["S1 0"]["throughput"]
        self._target("S1, n=0: throughput ÷ S-LoRA's own on an A10G, apart",
                     abs(base / published.ADAPTERS["S1"][0][0] - 1), 0.05, "lower")
        for setting in SETTINGS:
            self._target(f"{setting}: throughput of 2,000 adapters ÷ of 50",
                         found[f"{setting} 2000"]["throughput"] /
                         found[f"{setting} 50"]["throughput"], 0.90, "higher")

    def rates(self):
        rates = (1.0, 1.5, 2.0, 2.5)
        found = self._run("rates", {
            f"{setting} {rate}": slora(self._simulator, setting, rate=rate)
            for setting in SETTINGS for rate in rates})
        self._beside("200 adapters, by requests/s", [
            (f"{setting} {rate}/s", found[f"{setting} {rate}"], published.RATES[setting][rate])
            for setting in SETTINGS for rate in rates])

    def popularity(self):
        alphas = (0.1, 0.3, 0.6, 1.0)
        scenarios = {f"{setting} power:{alpha}": slora(self._simulator, setting,
                                                       popularity=f"power:{alpha}")
                     for setting in SETTINGS for alpha in alphas}
        scenarios |= {f"S2 zipf:{s}": slora(self._simulator, "S2", popularity=f"zipf:{s}")
                      for s in (1.0, 1.5)}
        found = self._run("popularity", scenarios)
        rows = [(f"{setting} alpha={alpha}", found[f"{setting} power:{alpha}"],
                 published.POPULARITY[setting][alpha]) for setting in SETTINGS for alpha in alphas]
        rows += [(f"S2 Zipf {s}", found[f"S2 zipf:{s}"], None) for s in (1.0, 1.5)]
        self._beside("200 adapters, 2 requests/s, by popularity (alpha 1 is uniform)", rows)

    def memory(self):
        """One pool for KV and adapters, and two: what S2's adapters in use need at most is a third."""
        pools = {"one pool": {}, "apart": {"adapter_pool_share": 0.33}}
        numbers = (0, 10, 50, 200)
        found = self._run("memory", {
            f"{setting} {pool} {n}": slora(self._simulator, setting,
                                           engine if n else {}, adapters=n, rate=2.5)
            for setting in SETTINGS for pool, engine in pools.items() for n in numbers})
        self._beside("2.5 requests/s, one pool or apart, by number of adapters", [
            (f"{setting} {pool} n={n}", found[f"{setting} {pool} {n}"],
             published.MEMORY[setting, pool][n])
            for setting in SETTINGS for pool in pools for n in numbers])
        self._target("S2, 200 adapters: throughput, one pool ÷ apart",
                     found["S2 one pool 200"]["throughput"] /
                     found["S2 apart 200"]["throughput"], 1.0, "higher")

    def lengths(self):
        """As many requests as the pool can serve, and more: by what admission knows of lengths."""
        modes = ("optimistic", "expected", "conservative")
        loads = {"8 to 512": {"rate": 2.0},
                 "256 to 1,024": {"rate": 1.1, "lengths": "split:8:64:256:1024"}}
        asked = {"as many": 0, "1,024": 1024}
        found = self._run("lengths", {
            f"{load} {name} {mode}": {
                **slora(self._simulator, "S1", {"admission": mode}, adapters=20, duration=1200.0,
                        **loads[load]), "max_tokens": asked[name]}
            for load in loads for name in asked for mode in modes})
        self._print("S1, 20 adapters, by tokens out, by the max_tokens that are asked for, and by "
                    "admission", ["out, asked, admission", "req/s", "TTFT s", "ITL p99 ms",
                                  "rows a step", "preemptions", "% computed again"],
                    [[name, figures["throughput"], figures["ttft_s"]["mean"],
                      1e3 * figures["itl_s"]["p99"], figures["steps"]["mean_rows"],
                      figures["preemptions"], 100 * figures["recomputed_tokens"] /
                      (figures["steps"]["mean_rows"] * figures["steps"]["count"])]
                     for name, figures in found.items()])

        def least(field, other):
            return min(found[f"{load} {name} expected"][field] /
                       found[f"{load} {name} {other}"][field] for load in loads for name in asked)
        self._target("the least of 4 loads: throughput, expected lengths ÷ optimistic",
                     least("throughput", "optimistic"), 0.97, "higher")
        self._target("the least of 4 loads: throughput, expected lengths ÷ conservative",
                     least("throughput", "conservative"), 0.97, "higher")

    def switches(self):
        """What S-LoRA does without: adapters that stay when idle, and loads ahead of admission."""
        variants = {"all": {}, "least recently used first": {"reclaim_policy": "lru"},
                    "idle adapters go": {"cache_idle_adapters": False},
                    "no prefetch": {"prefetch_adapters": False}}
        found = self._run("switches", {
            name: slora(self._simulator, "S2", engine, popularity="zipf:1.0", rate=1.5)
            for name, engine in variants.items()})
        self._beside("S2, Zipf 1.0 over 200 adapters, 1.5 requests/s, by what is switched off",
                     [(name, figures, None) for name, figures in found.items()])

    def bursts(self):
        """Bursts of arrivals, first come first served and with early abort."""
        policies = {"first come": {}, "early abort": {"first_token_limit_ms": 6000}}
        cvs = (1, 2, 4, 6, 8)
        found = self._run("bursts", {
            f"{policy} {cv}": slora(self._simulator, "S2", engine, arrivals=f"gamma:{cv}")
            for policy, engine in policies.items() for cv in cvs})
        self._beside("S2, 200 adapters, 2 requests/s, by cv of the gaps", [
            (f"{policy} cv={cv}", found[f"{policy} {cv}"], published.BURSTS[policy][cv])
            for policy in policies for cv in cvs])
        for cv in (1, 4, 8):
            self._target(f"S2, cv {cv}: attainment, early abort − first come",
                         found[f"early abort {cv}"]["attainment"] -
                         found[f"first come {cv}"]["attainment"], 0.1, "higher")

    def clusters(self):
        """At most d adapters at once while those that are there have requests; 0 is off."""
        points = {f"alpha={alpha} d={d or 'off'}": (alpha, d, theirs)
                  for alpha, by_d in published.CLUSTERS.items() for d, theirs in by_d.items()}
        found = self._run("clusters", {
            name: slora(self._simulator, "S2", {"cluster_adapters": d}, on="a100-llama-7b",
                        adapters=32, popularity=f"power:{alpha}", duration=120.0)
            for name, (alpha, d, _) in points.items()})
        self._beside("S2, 32 adapters, 2 requests/s, an A100, by alpha and d",
                     [(name, found[name], theirs) for name, (_, _, theirs) in points.items()])
        self._target("S2, 32 adapters, the least of 3 alphas: throughput, d=8 ÷ off", min(
            found[f"alpha={alpha} d=8"]["throughput"] / found[f"alpha={alpha} d=off"]["throughput"]
            for alpha in published.CLUSTERS), 0.97, "higher")

    def fleets(self):
        """As many requests a second and adapters for each replica, however many there are."""
        sizes = (1, 10, 100) if self._options.quick else (1, 10, 100, 1000)
        seconds = 20.0 if self._options.quick else 60.0
        scenarios = {}
        for size in sizes:
            trace = self._simulator.trace("chat", adapters=200 * size, rate=8.0 * size,
                                          duration=seconds, arrivals="gamma:1.5")
            routers = ("affine",) if size == 1 else ("affine", "random")
            if size == 10:
                routers += ("round-robin", "least-loaded")
            for router in routers:
                scenarios[f"{size} {router}"] = {
                    "machine": "h100-llama-3-8b", "trace": trace, "replicas": size,
                    "router": router, "seed": self._options.seed,
                    "adapters": {"ranks": [16], "modules": "all"}, "first_token_limit_s": 1.0,
                    "pool_pages": 6000}
        found = self._run("fleets", scenarios)
        rows = []
        for name, figures in found.items():
            replicas = figures["replicas"]
            rows.append([name, figures["throughput"], figures["adapters"]["hit_rate"],
                         1e3 * figures["ttft_s"]["p50"], 1e3 * figures["ttft_s"]["p99"],
                         1e3 * figures["itl_s"]["p50"], 1e3 * figures["itl_s"]["p99"],
                         figures["attainment"],
                         replicas["most_requests"] / max(replicas["fewest_requests"], 1)])
        self._print("replicas (h100-llama-3-8b, planned rates), 8 chats/s and 200 r16 adapters for "
                    "each,\nfirst tokens within 1 s",
                    ["replicas, router", "req/s", "hits", "TTFT p50 ms", "p99", "ITL p50 ms", "p99",
                     "attained", "most ÷ fewest"], rows)
        largest = sizes[-1]
        loads = {router: found[f"{largest} {router}"]["adapters"]["loads_started"]
                 for router in ("affine", "random")}
        self._target(f"{largest} replicas: adapter loads, affine ÷ random",
                     loads["affine"] / max(loads["random"], 1), 0.6, "lower")

    def burst(self):
        """What `bench/run serving` measures of the engine alone, where it was last measured."""
        measured = self._last_serving_burst()
        if measured is None:
            return
        trace = os.path.join(self._simulator.scratch, "burst.jsonl")
        with open(trace, "w", encoding="utf-8") as out:
            for _ in range(16):
                out.write(json.dumps({"arrival": 0.0, "adapter": None, "prompt": 128,
                                      "output": 128, "tenant": "t"}) + "\n")
        figures = self._run("burst", {"burst": {"machine": "cpu-smollm2", "trace": trace}})["burst"]
        simulated = figures["seconds"]
        self._print("16 streams of 128 in, 128 out at once, SmolLM2 on two cores",
                    ["", "s"], [["simulated", simulated], ["measured by bench/run serving",
                                                           measured]])
        self._target("the burst: simulated ÷ measured, apart", abs(simulated / measured - 1), 0.15,
                     "lower")

    def speed(self):
        """How fast the simulation is, at chats' lengths and a load that is met."""
        requests = 20_000 if self._options.quick else 1_000_000
        trace = self._simulator.trace("chat", adapters=500, rate=20.0, duration=requests / 20.0)
        figures = self._run("speed", {"speed": {
            "machine": "h100-llama-3-8b", "trace": trace,
            "adapters": {"ranks": [16], "modules": "all"}}})["speed"]
        own = figures["simulation"]
        self._print(f"{requests} chats on one replica", ["", "s"],
                    [["simulated time", figures["seconds"]],
                     ["processor's time", own["processor_s"]],
                     ["in Submit and loads' answers", own["submit_s"]],
                     ["in PlanStep", own["plan_s"]], ["in CommitStep", own["commit_s"]],
                     ["µs a step in all", 1e6 * own["processor_s"] / figures["steps"]["count"]]])
        self._target("requests simulated in a minute of one core",
                     60 * requests / own["processor_s"], 100_000, "higher")

    def _last_serving_burst(self):
        results = os.path.join(self._root, "bench", "results")
        names = sorted(name for name in os.listdir(results) if name.startswith("serving-"))
        if not names:
            return None
        with open(os.path.join(results, names[-1]), encoding="utf-8") as text:
            front = json.load(text)["raw"]["front"]
        seconds = sorted(block["engine_seconds"] for block in front)
        return seconds[len(seconds) // 2]

    def _run(self, name, scenarios):
        if not self._options.json:
            print(f"· {name}: {len(scenarios)} runs", file=sys.stderr, flush=True)
        found = self._simulator.run(scenarios)
        self._raw[name] = found
        return found

    def _beside(self, title, rows):
        """Rows of (name, figures, published point or None)."""
        table = []
        for name, figures, theirs in rows:
            table.append([name, figures["throughput"], figures["ttft_s"]["mean"],
                          figures["attainment"], figures["adapters"]["hit_rate"],
                          *(theirs or (None, None, None))])
        self._print(f"{title}: simulated, and beside it what S-LoRA's authors published",
                    ["", "req/s", "TTFT s", "attained", "hits", "S-LoRA req/s", "TTFT s",
                     "attained"], table)

    def _print(self, title, headings, rows):
        if not self._options.json:
            print(f"{title}\n{report.table(headings, rows)}\n")

    def _target(self, name, value, limit, better):
        self._targets.append(ratio.target(name, value, limit, better))
