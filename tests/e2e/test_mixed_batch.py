"""The law: a batch of mixed adapters gives each request what it gets alone, bit for bit, whatever
happens around it: chunks, prefix hits, preemption, threads, loads and evictions."""

import random

import pytest

import adapter_files
from adapter_files import ALL
from client import Client
from tiny_model import VOCABULARY

RANKS = [1, 2, 3, 5, 8, 16, 24, 33, 64, 100, 128, 255, 256]


def make_adapters() -> dict:
    chooser = random.Random(1)
    adapters = {}
    for rank in RANKS:
        targets = ALL if rank % 2 == 0 else tuple(chooser.sample(ALL, chooser.randint(1, 6)))
        fields = {"use_rslora": rank in (16, 33)}
        adapters[f"r{rank}"] = adapter_files.make(rank, rank, targets, **fields)
    return adapters


def make_requests(seed: int, count: int) -> list:
    chooser = random.Random(seed)
    shared = [chooser.randrange(5, VOCABULARY) for _ in range(120)]
    requests = []
    for i in range(count):
        model = "base" if i % 5 == 0 else f"r{chooser.choice(RANKS)}"
        own = [chooser.randrange(5, VOCABULARY) for _ in range(chooser.randint(1, 150))]
        prompt = shared[: chooser.choice([0, 0, 40, 96, 120])] + own
        sampling = {"seed": i, "temperature": chooser.choice([0.0, 0.0, 0.7, 1.5])}
        if chooser.random() < 0.3:
            sampling |= {"top_k": 40, "top_p": 0.9, "repetition_penalty": 1.3}
        fields = {
            "max_tokens": chooser.randint(10, 250),
            "n": chooser.choice([1, 1, 1, 2, 3]),
            "logprobs": chooser.choice([0, 3]),
            "ignore_eos": True,
            "priority": chooser.randint(-2, 2),
        }
        requests.append((model, prompt, sampling, fields))
    return requests


def heard(answer) -> list:
    """All that a client hears of the choices, to the last bit."""
    return [
        (index, choice.token_ids, choice.text, choice.finish)
        + tuple(logprobs.SerializeToString() for logprobs in choice.logprobs)
        for index, choice in sorted(answer.choices.items())
    ]


@pytest.fixture(scope="module")
def adapters() -> dict:
    return make_adapters()


@pytest.fixture(scope="module")
def alone(start_daemon, adapters):
    """alone(request): its answer where nothing else happens."""
    daemon = start_daemon(prefix_cache=False, threads=1)
    with Client(daemon.address) as client:
        for name, adapter in adapters.items():
            client.upload(name, adapter)

        def ask(request):
            model, prompt, sampling, fields = request
            return heard(client.generate(model, prompt, sampling=sampling, **fields))

        yield ask


CROWDED = {
    # 384 pages, of which the largest adapter takes 256: hardly room for the sequences beside it.
    "optimistic": {"admission": "optimistic", "pool_bytes": "3MiB", "admission_watermark": 0.0},
    "conservative": {"admission": "conservative", "pool_bytes": "3MiB"},
    "two threads": {"pool_bytes": "16MiB", "threads": 2, "max_prefill_chunk": 256},
}


@pytest.mark.parametrize("mode", CROWDED)
def test_each_request_of_a_crowd_gets_what_it_gets_alone(start_daemon, adapters, alone, mode):
    flags = {"max_step_tokens": 64, "max_prefill_chunk": 17, "pin_budget": 0.0, **CROWDED[mode]}
    if "threads" in CROWDED[mode]:
        flags["max_step_tokens"] = 512
    daemon = start_daemon(**flags)
    with Client(daemon.address) as client:
        for name, adapter in adapters.items():
            client.upload(name, adapter)
        cached = 0
        for seed in (11, 12):
            requests = make_requests(seed, 30)
            running = [
                client.start(model, prompt, sampling=sampling, **fields)
                for model, prompt, sampling, fields in requests
            ]
            answers = [each.join() for each in running]
            cached += sum(answer.usage.cached_tokens for answer in answers)
            for request, answer in zip(requests, answers):
                assert heard(answer) == alone(request), f"seed {seed}: {request}"
        load = client.load()
        # The crowd was one: else the test would prove nothing.
        assert cached > 0
        if mode == "optimistic":
            assert load.preemptions > 0
        if mode == "conservative":
            assert load.preemptions == 0
        assert load.adapter_loads > len(RANKS) or mode == "two threads"


def test_experiments_are_announced_and_do_what_they_say(start_daemon, adapters, alone):
    """Padded to one rank, the answers are the same and the pages more; without LoRA they are the
    base's. Either is said in the log and to the operator."""
    fields = {"max_tokens": 30, "ignore_eos": True, "logprobs": 3}
    greedy = {"temperature": 0.0}

    def ask(flag, name):
        daemon = start_daemon(**flag)
        with Client(daemon.address) as client:
            version = client.upload(name, adapters[name])
            words = list(client.info().experiments)
            assert len(words) == 1 and words[0] in daemon.log
            answer = client.generate(name, [7, 8, 9], sampling=greedy, **fields)
            return heard(answer), version.pages, client.load().pages_adapters

    expected = alone(("r8", [7, 8, 9], greedy, fields))
    base = alone(("base", [7, 8, 9], greedy, fields))
    assert expected != base
    padded, pages, resident = ask({"experiment_pad_rank": 64}, "r8")
    assert padded == expected
    without, true_pages, true_resident = ask({"experiment_lora_compute": False}, "r8")
    assert without == base
    assert pages > 4 * true_pages and resident == pages and true_resident == true_pages


def test_a_smaller_batch_sees_every_rank_at_once(start_daemon, adapters, alone):
    """One request of each rank, all of them decoding together."""
    daemon = start_daemon(pool_bytes="64MiB", max_running=32)
    with Client(daemon.address) as client:
        for name, adapter in adapters.items():
            client.upload(name, adapter)
        fields = {"max_tokens": 60, "ignore_eos": True, "logprobs": 5}
        requests = [
            (model, [7, 8, 9], {"temperature": 0.0}, fields) for model in ("base", *adapters)
        ]
        running = [client.start(m, p, sampling=s, **f) for m, p, s, f in requests]
        answers = [heard(each.join()) for each in running]
        assert len({str(answer) for answer in answers}) == len(requests)  # each its own voice
        for request, answer in zip(requests, answers):
            assert answer == alone(request), request[0]
