"""A soak of chorusd: a tiny model, a pool of a few hundred pages, thousands of adapters, and clients
that generate, cancel, read slowly, upload, replace, delete, pin and send rubbish, all at once. Every
token is compared with what a second server says that does nothing else; at the end pages, files and
memory must be back where they were.

usage: soak.py [--minutes 10] [--seed N] [--contents 2500] [--workers 16] [--json FILE]

Exit status: 0 when nothing was wrong. Both servers listen on the loopback alone and end with it.
"""

import argparse
import collections
import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import grpc

import adapter_files
import tiny_model
from adapter_files import ALL, Adapter
from client import Answer, Client, Running, refusal_of, request
from daemon import Daemon, wait_until
from metrics_page import scrape

POOL_BYTES = 200 * 8192  # 200 pages of 2 layers x 2 (K, V) x 2 heads x 16 tokens x 16 x f32
MOST_UNCOMPARED = 500  # answers
MAX_TOKENS = 160
SAMPLINGS = ({"temperature": 0.0}, {"temperature": 1.0, "seed": 7}, {"temperature": 0.6, "seed": 9})
NUM_PROMPTS = 6
# What a client may be told although nothing is wrong.
FAIR = {
    grpc.StatusCode.NOT_FOUND,  # deleted a moment ago
    grpc.StatusCode.RESOURCE_EXHAUSTED,  # a queue, the pin budget, a reader that was too slow
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.ABORTED,  # somebody else replaced it
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}
MEMORY_SLACK = 24 << 20  # of the allocator's arenas and the store's names
FILES_SLACK = 4


def content(index: int) -> Adapter:
    chooser = random.Random(index)
    targets = tuple(chooser.sample(ALL, chooser.randint(1, 4)))
    return adapter_files.make(index, chooser.choice([1, 2, 4, 8, 16]), targets)


def prompts() -> list:
    chooser = random.Random(3)
    stem = [chooser.randrange(5, tiny_model.VOCABULARY) for _ in range(64)]
    lengths = [chooser.randint(1, 120) for _ in range(NUM_PROMPTS)]
    return [
        stem[: chooser.choice([0, 16, 40, 64])]
        + [chooser.randrange(5, tiny_model.VOCABULARY) for _ in range(length)]
        for length in lengths
    ]


def rubbish(chooser: random.Random) -> tuple:
    """What must not become an adapter, and what differs from an honest upload of it."""
    good = content(chooser.randrange(100))
    cut = chooser.randrange(1, len(good.tensors))
    config = json.loads(good.config)
    not_a_number = bytearray(good.tensors)
    not_a_number[-4:] = b"\x00\x00\xc0\x7f"
    return chooser.choice(
        [
            (Adapter(good.config, good.tensors[:cut]), {"tensor_bytes": len(good.tensors)}),
            (Adapter(good.config, good.tensors[:cut]), {}),
            (good, {"tensor_sha256": "0" * 64}),
            (Adapter(good.config, bytes(not_a_number)), {}),
            (Adapter(json.dumps({**config, "use_dora": True}).encode(), good.tensors), {}),
            (Adapter(json.dumps({**config, "r": config["r"] + 1}).encode(), good.tensors), {}),
            (Adapter(b"{", good.tensors), {}),
        ]
    )


class Soak:
    def __init__(self, daemon: Daemon, alone: Daemon, options):
        self.daemon, self.alone, self.options = daemon, alone, options
        self.prompts = prompts()
        self.names = [f"n{i}" for i in range(options.contents)]
        self.lock = threading.Lock()
        self.digests = {"": None}  # of an answer -> index of the content; None is the base
        self.said = collections.deque()  # what the clients heard, to be compared
        self.expected = {}  # (content, prompt, sampling) -> tokens by choice
        self.counts = collections.Counter()
        self.problems = []
        self.stop_at = 0.0

    # Clients

    def problem(self, text: str):
        with self.lock:
            self.problems.append(text)
        self.stop_at = 0.0

    def count(self, what: str):
        with self.lock:
            self.counts[what] += 1

    def work(self, number: int):
        chooser = random.Random(self.options.seed * 1000 + number)
        acts = {
            self.generate: 60,
            self.cancel: 10,
            self.read_slowly: 3,
            self.upload: 14,
            self.delete: 6,
            self.send_rubbish: 4,
            self.pin: 2,
            self.look: 1,
        }
        with Client(self.daemon.address) as client:
            while time.monotonic() < self.stop_at:
                act = chooser.choices(list(acts), list(acts.values()))[0]
                try:
                    act(client, chooser)
                    self.count(act.__name__)
                except grpc.RpcError as error:
                    if error.code() not in FAIR:
                        self.problem(f"{act.__name__}: {error.code()}: {error.details()}")
                    self.count(f"{act.__name__} refused: {error.code().name}")
                except Exception as error:  # noqa: BLE001: whatever it is, it must be told
                    self.problem(f"{act.__name__}: {type(error).__name__}: {error}")

    def name(self, chooser) -> str:
        # Few are asked for often, and all now and then.
        return self.names[int(len(self.names) * chooser.random() ** 3)]

    def question(self, chooser, max_tokens=MAX_TOKENS):
        """A request, and what is needed to ask the same again."""
        prompt = chooser.randrange(NUM_PROMPTS)
        sampling = chooser.randrange(len(SAMPLINGS))
        message = request(
            "base" if chooser.random() < 0.15 else self.name(chooser),
            self.prompts[prompt],
            sampling=SAMPLINGS[sampling],
            n=chooser.choice([1, 1, 1, 2]),
            ignore_eos=True,
            priority=chooser.randint(-1, 1),
            max_tokens=max_tokens,
        )
        return message, (prompt, sampling)

    def hear(self, answer, asked):
        """What came, though it may have ended early."""
        if answer.started is None:
            return
        tokens = {i: list(c.token_ids) for i, c in answer.choices.items()}
        self.said.append((answer.started.adapter_digest, *asked, tokens))

    def generate(self, client, chooser):
        # On a slow machine comparing takes longer than asking.
        while len(self.said) > MOST_UNCOMPARED and time.monotonic() < self.stop_at:
            time.sleep(0.05)
        message, asked = self.question(chooser, chooser.randint(1, MAX_TOKENS))
        timeout = chooser.choice([120.0, 120.0, 120.0, chooser.random() * 0.2])
        running = Running(client.inference.Generate(message, timeout=timeout))
        try:
            running.join()
        finally:
            self.hear(running.answer, asked)

    def cancel(self, client, chooser):
        message, asked = self.question(chooser)
        running = Running(client.inference.Generate(message, timeout=120.0))
        try:
            running.wait_for_tokens(chooser.randint(1, MAX_TOKENS // 2))
            running.call.cancel()
            running.join()
        finally:
            self.hear(running.answer, asked)

    def read_slowly(self, client, chooser):
        message, asked = self.question(chooser)
        answer = Answer()
        try:
            for part in client.inference.Generate(message, timeout=120.0):
                answer.add(part)
                time.sleep(chooser.random() * 0.03)
        finally:
            self.hear(answer, asked)

    def upload(self, client, chooser):
        index = chooser.randrange(self.options.contents)
        # A replacement as often as not: the name holds something else already.
        stored = client.upload(self.name(chooser), content(index))
        with self.lock:
            known = self.digests.setdefault(stored.digest, index)
        if known != index:
            self.problem(f"contents {known} and {index} have the digest {stored.digest}")

    def delete(self, client, chooser):
        client.delete(self.name(chooser))

    def send_rubbish(self, client, chooser):
        adapter, fields = rubbish(chooser)
        try:
            client.upload(f"rubbish{chooser.randrange(10)}", adapter, **fields)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
                refusal_of(error)  # asserts that it says what was wrong
                return
            raise
        self.problem("rubbish became an adapter")

    def pin(self, client, chooser):
        client.pin(self.name(chooser), chooser.random() < 0.5)

    def look(self, client, chooser):
        load = client.load()
        parts = load.pages_free + load.pages_sequences + load.pages_prefixes
        parts += load.pages_adapters + load.pages_draining
        if parts != load.pages_total:
            self.problem(f"pages: {parts} of {load.pages_total}: {load}")
        client.list(page_size=chooser.randint(1, 1000))
        client.info()
        scrape(self.daemon)

    # Comparing

    def compare(self, until_empty: threading.Event):
        with Client(self.alone.address) as client:
            while not (until_empty.is_set() and not self.said):
                try:
                    digest, prompt, sampling, tokens = self.said.popleft()
                except IndexError:
                    time.sleep(0.01)
                    continue
                with self.lock:
                    index = self.digests.get(digest, "unknown")
                if index == "unknown":  # its upload's answer is still under way
                    time.sleep(0.01)
                    self.said.append((digest, prompt, sampling, tokens))
                    self.count("comparisons put off")
                    if self.counts["comparisons put off"] > 100000:
                        self.problem(f"an answer came of {digest}, which nobody uploaded")
                        return
                    continue
                want = self.alone_says(client, index, prompt, sampling)
                for choice, got in tokens.items():
                    if got != want[choice][: len(got)]:
                        self.problem(
                            f"content {index}, prompt {prompt}, sampling {sampling}, choice "
                            f"{choice}: heard {got}, alone {want[choice][: len(got)]}"
                        )
                    with self.lock:
                        self.counts["tokens compared"] += len(got)
                self.count("answers compared")

    def alone_says(self, client, index, prompt, sampling) -> dict:
        key = (index, prompt, sampling)
        if key not in self.expected:
            model = "base"
            if index is not None:
                model = "alone"
                client.upload(model, content(index))
            answer = client.generate(
                model,
                self.prompts[prompt],
                sampling=SAMPLINGS[sampling],
                n=2,
                ignore_eos=True,
                max_tokens=MAX_TOKENS,
            )
            self.expected[key] = {i: list(c.token_ids) for i, c in answer.choices.items()}
        return self.expected[key]

    # Rounds

    def round(self, seconds: float) -> dict:
        """Clients at work, then everything deleted; what the server holds after that."""
        self.stop_at = time.monotonic() + seconds
        done = threading.Event()
        checker = threading.Thread(target=self.compare, args=(done,))
        workers = [
            threading.Thread(target=self.work, args=(i,)) for i in range(self.options.workers)
        ]
        for thread in (checker, *workers):
            thread.start()
        for worker in workers:
            worker.join()
        done.set()
        checker.join()
        with Client(self.daemon.address) as client:
            wait_until(client.idle, "the server is idle after the clients have gone")
            while names := client.names():
                for name in names:
                    client.delete(name)
            wait_until(lambda: client.load().pages_adapters == 0, "no adapter is left in the pool")
            load = client.load()
        page = wait_until(self.page_with_files_closed, "the clients' files are closed")
        return {
            "resident_bytes": page.get("process_resident_memory_bytes"),
            "open_files": page.get("process_open_fds"),
            "pages_free": load.pages_free,
            "pages_prefixes": load.pages_prefixes,
            "pages_total": load.pages_total,
            "preemptions": load.preemptions,
            "adapter_loads": load.adapter_loads,
            "kv_pages_restored": page.get("chorus_kv_pages_restored_total"),
        }

    def page_with_files_closed(self):
        page = scrape(self.daemon)
        return page.get("process_open_fds") <= self.files_at_start + FILES_SLACK and page

    def run(self) -> dict:
        self.files_at_start = scrape(self.daemon).get("process_open_fds")
        seconds = 60.0 * self.options.minutes
        # The first round fills what fills once: arenas, threads, the prefix cache.
        rounds = [self.round(0.3 * seconds)]
        if not self.problems:
            rounds.append(self.round(0.7 * seconds))
            grown = rounds[1]["resident_bytes"] - rounds[0]["resident_bytes"]
            if grown > MEMORY_SLACK:
                self.problem(f"memory grew by {grown / 1e6:.1f} MB from the first round's end")
        for after in rounds:
            if after["pages_free"] + after["pages_prefixes"] != after["pages_total"]:
                self.problem(f"pages are missing: {after}")
        if self.daemon.ended:
            self.problem(f"chorusd ended with {self.daemon.process.returncode}")
        elif (status := self.daemon.stop()) != 0:
            self.problem(f"chorusd's exit status is {status}")
        if self.problems:
            print(self.daemon.log[-4000:], file=sys.stderr)
        return {
            "seed": self.options.seed,
            "minutes": self.options.minutes,
            "counts": dict(sorted(self.counts.items())),
            "rounds": rounds,
            "problems": self.problems[:20],
        }


def soak(options) -> dict:
    with tempfile.TemporaryDirectory(prefix="chorus-soak-") as scratch:
        scratch = Path(scratch)
        model = tiny_model.write(scratch / "model")
        flags = {
            "pool_bytes": POOL_BYTES,
            "kv_host_bytes": "1MiB",
            "max_running": 24,
            "max_step_adapters": 12,
            "max_loads": 3,
            "pin_budget": 0.1,
            "admission_watermark": 0.0,
        }
        daemon = Daemon(scratch / "soaked", model, **flags)
        alone = Daemon(scratch / "alone", model)
        try:
            return Soak(daemon.start(), alone.start(), options).run()
        finally:
            daemon.kill()
            alone.kill()


def main(arguments) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--contents", type=int, default=2500, help="adapters, and names")
    parser.add_argument("--workers", type=int, default=16, help="clients at a time")
    parser.add_argument("--json", type=Path, help="writes what was seen there too")
    options = parser.parse_args(arguments)
    print(f"soak: seed {options.seed}, {options.minutes} minutes", flush=True)
    result = soak(options)
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print("soak: NOT all is well" if result["problems"] else "soak: all is well")
    return 1 if result["problems"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
