"""Activated LoRAs (aLoRA): from their last invocation in a prompt on, and the base's KV before it."""

import adapter_files
from client import Client, adapters

INVOCATION = [300, 301, 302]
FIELDS = {"max_tokens": 12, "ignore_eos": True}


def activated(seed=1, **fields):
    return adapter_files.make(seed, alora_invocation_tokens=INVOCATION, **fields)


def prompt(first: int, *places: int) -> list:
    """100 tokens, six pages and a part of one, that invoke at `places`."""
    ids = [first, *range(20, 119)]
    for at in places:
        ids[at : at + len(INVOCATION)] = INVOCATION
    return ids


def position_of(answer):
    assert answer.started.HasField("activation")
    activation = answer.started.activation
    return activation.position if activation.HasField("position") else None


def test_what_activates_it_is_part_of_what_it_is(client):
    plain = client.upload("plain", adapter_files.make(1))
    one = client.upload("one", activated())
    assert list(one.alora_invocation_tokens) == INVOCATION and not plain.alora_invocation_tokens
    assert one.digest != plain.digest
    assert list(client.get("one").alora_invocation_tokens) == INVOCATION
    listed = {a.name: list(a.alora_invocation_tokens) for a in client.list().adapters}
    assert listed == {"one": INVOCATION, "plain": []}
    other = client.upload("other", adapter_files.make(1, alora_invocation_tokens=[300]))
    assert other.digest not in (one.digest, plain.digest)
    none = client.upload("none", adapter_files.make(1, alora_invocation_tokens=None))
    assert none.digest == plain.digest


def test_it_answers_from_its_last_invocation_on_and_says_where(client):
    client.upload("plain", adapter_files.make(1))
    client.upload("one", activated())
    base = client.generate("base", prompt(500, 10, 40), **FIELDS)
    plain = client.generate("plain", prompt(500, 10, 40), **FIELDS)
    one = client.generate("one", prompt(500, 10, 40), **FIELDS)
    assert position_of(one) == 40
    assert not base.started.HasField("activation") and not plain.started.HasField("activation")
    assert base.only.token_ids != one.only.token_ids != plain.only.token_ids
    # Where it is active from the first token on, it is an ordinary LoRA.
    one = client.generate("one", prompt(501, 0), **FIELDS)
    assert position_of(one) == 0
    assert one.said == client.generate("plain", prompt(501, 0), **FIELDS).said


def test_without_an_invocation_the_base_answers_and_it_is_said(client):
    client.upload("one", activated())
    cut_off = prompt(502)[:98] + INVOCATION[:2]
    for ids in (prompt(503), cut_off):
        answer = client.generate("one", ids, **FIELDS)
        assert position_of(answer) is None
        assert answer.started.model == "one" and answer.started.adapter_version == 1
        again = client.generate("base", ids, **FIELDS)
        assert answer.said == again.said and again.usage.cached_tokens == 96
    assert client.get("one").residency == adapters.Adapter.DISK  # nothing was loaded for it


def test_the_base_s_prefix_is_everybody_s_and_survives_the_adapter(client):
    client.upload("one", activated(1))
    client.upload("two", activated(2))
    ids = prompt(504, 70)
    alone = client.generate("one", ids, cache_salt="alone", **FIELDS)
    assert alone.usage.cached_tokens == 0
    client.generate("base", ids, **FIELDS)
    first = client.generate("one", ids, **FIELDS)
    assert first.usage.cached_tokens == 64 and first.said == alone.said
    again = client.generate("one", ids, **FIELDS)
    assert again.usage.cached_tokens == 96 and again.said == alone.said
    two = client.generate("two", ids, **FIELDS)
    assert two.usage.cached_tokens == 64 and two.said != alone.said
    # Active one page later, in the same prompt but for that.
    later = client.generate("one", prompt(504, 80), **FIELDS)
    assert position_of(later) == 80 and later.usage.cached_tokens == 64
    client.delete("one")
    assert client.generate("base", ids, **FIELDS).usage.cached_tokens == 96
    client.upload("one", activated(1))
    back = client.generate("one", ids, **FIELDS)
    assert back.usage.cached_tokens == 64 and back.said == alone.said


def test_a_prefix_that_an_activated_one_computed_is_the_base_s(client):
    client.upload("one", activated())
    ids = prompt(505, 64)
    client.generate("one", ids, **FIELDS)
    client.delete("one")
    base = client.generate("base", ids, **FIELDS)
    assert base.usage.cached_tokens == 64
    assert base.said == client.generate("base", ids, cache_salt="alone", **FIELDS).said


def test_together_each_gets_what_it_gets_alone(start_daemon):
    daemon = start_daemon(max_prefill_chunk=24, max_step_tokens=64, max_running=8)
    with Client(daemon.address) as client:
        client.upload("one", activated(1, rank=16))
        client.upload("two", activated(2, rank=4, targets=adapter_files.ALL))
        client.upload("plain", adapter_files.make(3))
        requests = [
            (model, prompt(600 + i % 3, *places))
            for i, places in enumerate([(), (0,), (15,), (16,), (33, 60), (97,)])
            for model in ("base", "one", "two", "plain")
        ]
        alone = [
            client.generate(model, ids, cache_salt=str(i), **FIELDS).said
            for i, (model, ids) in enumerate(requests)
        ]
        running = [client.start(model, ids, **FIELDS) for model, ids in requests]
        assert [each.join().said for each in running] == alone
