"""The prefix cache: what is found again, and by whom."""

import adapter_files
from client import Client

PAGE = 16
PROMPT = list(range(20, 120))  # 100 tokens: six pages and a part of one
FIELDS = {"max_tokens": 12, "ignore_eos": True}


def test_a_prompt_is_found_again_in_whole_pages(client):
    first = client.generate("base", PROMPT, **FIELDS)
    again = client.generate("base", PROMPT, **FIELDS)
    assert first.usage.cached_tokens == 0
    assert again.usage.cached_tokens == 96
    assert again.said == first.said
    longer = client.generate("base", PROMPT[:64] + [9] * 40, **FIELDS)
    assert longer.usage.cached_tokens == 64
    assert client.generate("base", [9] + PROMPT, **FIELDS).usage.cached_tokens == 0


def test_at_least_one_token_is_computed(client):
    prompt = [500] + PROMPT[:63]
    client.generate("base", prompt, **FIELDS)
    assert client.generate("base", prompt, **FIELDS).usage.cached_tokens == 48  # of 64


def test_an_answer_is_found_again_as_a_prompt(client):
    prompt = [501] + PROMPT
    answer = client.generate("base", prompt, max_tokens=60, ignore_eos=True)
    more = client.generate("base", prompt + answer.only.token_ids, **FIELDS)
    assert more.usage.cached_tokens >= 96


def test_only_the_same_salt_finds_it(client):
    salted = {"cache_salt": "tuesday", **FIELDS}
    prompt = [502] + PROMPT
    first = client.generate("base", prompt, **salted)
    for other in ("", "wednesday", "tuesday "):
        answer = client.generate("base", prompt, cache_salt=other, **FIELDS)
        assert answer.usage.cached_tokens == 0
        assert answer.said == first.said
    assert client.generate("base", prompt, **salted).usage.cached_tokens == 96


def test_only_the_same_adapter_finds_it(client):
    prompt = [503] + PROMPT
    client.upload("a", adapter_files.make(1))
    client.upload("b", adapter_files.make(2))
    client.upload("twin", adapter_files.make(1))
    client.generate("base", prompt, **FIELDS)
    first = client.generate("a", prompt, **FIELDS)
    assert first.usage.cached_tokens == 0
    assert client.generate("b", prompt, **FIELDS).usage.cached_tokens == 0
    again = client.generate("a", prompt, **FIELDS)
    assert again.usage.cached_tokens == 96 and again.said == first.said
    # It is the content that counts, not the name.
    assert client.generate("twin", prompt, **FIELDS).usage.cached_tokens == 96


def test_requests_that_come_together_compute_their_prompt_once(client):
    prompt = [504] + PROMPT * 4
    running = [client.start("base", prompt, **FIELDS) for _ in range(6)]
    answers = [each.join() for each in running]
    assert len({str(answer.said) for answer in answers}) == 1
    assert sorted(answer.usage.cached_tokens for answer in answers)[1:] == [400] * 5


def test_without_the_cache_nothing_is_found(start_daemon):
    daemon = start_daemon(prefix_cache=False)
    with Client(daemon.address) as client:
        first = client.generate("base", PROMPT, **FIELDS)
        again = client.generate("base", PROMPT, **FIELDS)
        assert again.usage.cached_tokens == 0 and again.said == first.said
        assert client.load().pages_prefixes == 0
