"""Adapters: names and versions, replacing and deleting under running requests, pins, lists."""

import re
from datetime import datetime, timezone

import grpc
import pytest

import adapter_files
from client import adapters, refusal_of
from daemon import wait_until

PROMPT = "over the land"
LONG = {"max_tokens": 4000, "ignore_eos": True}
SHORT = {"max_tokens": 24, "ignore_eos": True}


@pytest.fixture(scope="module")
def daemon(start_daemon, slow_model_dir):
    # 512 pages, and a pin budget of 20 of them: one adapter of rank 64 (14 pages), not two.
    return start_daemon(slow_model_dir, pool_bytes="64MiB", pin_budget=0.04)


BUDGET = 20


def make(seed, rank=8, **fields):
    return adapter_files.make(seed, rank, layers=32, **fields)


def refused(call, *arguments, **fields):
    with pytest.raises(grpc.RpcError) as error:
        call(*arguments, **fields)
    return refusal_of(error.value)


def test_an_upload_says_what_is_stored(client):
    adapter = make(1, 16, targets=("q_proj", "v_proj", "down_proj"))
    stored = client.upload("voice", adapter)
    assert stored.name == "voice" and stored.version >= 1
    assert re.fullmatch("sha256:[0-9a-f]{64}", stored.digest)
    assert stored.state == stored.READY and not stored.shared and not stored.pinned
    assert (stored.config_bytes, stored.tensor_bytes) == (len(adapter.config), len(adapter.tensors))
    assert stored.max_rank == 16 and stored.pages > 0
    assert list(stored.modules) == ["q_proj", "v_proj", "down_proj"]
    assert stored.residency == stored.DISK
    age = datetime.now(timezone.utc) - stored.created.ToDatetime(timezone.utc)
    assert -5 < age.total_seconds() < 600
    assert client.get("voice") == stored
    assert [adapter.name for adapter in client.list().adapters] == ["voice"]


def test_an_adapter_speaks_with_its_own_voice_under_each_of_its_names(client):
    stored = client.upload("voice", make(1))
    other = client.upload("other", make(2))
    base = client.generate("base", PROMPT, **SHORT)
    answer = client.generate("voice", PROMPT, **SHORT)
    assert answer.started.model == "voice"
    assert answer.started.adapter_digest == stored.digest
    assert answer.started.adapter_version == stored.version
    for name in (f"voice@{stored.version}", stored.digest):
        same = client.generate(name, PROMPT, **SHORT)
        assert same.said == answer.said and same.started.model == "voice"
        assert client.get(name).name == "voice"
    said = {str(each.said) for each in (base, answer, client.generate("other", PROMPT, **SHORT))}
    assert len(said) == 3 and other.digest != stored.digest
    assert client.get("voice").residency == stored.RESIDENT


def test_another_base_model_that_fits_is_a_warning(client):
    assert not client.upload("plain", make(1)).warnings
    stored = client.upload("voice", make(1, base_model_name_or_path="someone/else"))
    assert stored.base_model_name_or_path == "someone/else"
    assert any("someone/else" in warning for warning in stored.warnings)


def test_a_retry_is_the_same_version(client):
    first = client.upload("voice", make(1))
    assert client.upload("voice", make(1)) == first
    for if_version in (0, first.version):  # the answer to the first try may have been lost
        assert client.upload("voice", make(1), if_version=if_version).version == first.version
    # The same content under another name is another adapter of the same digest.
    other = client.upload("other", make(1))
    assert other.digest == first.digest
    assert client.delete("voice").name == "voice"
    assert client.generate("other", PROMPT, **SHORT).started.adapter_digest == first.digest


def test_an_upload_replaces_what_it_names(client):
    first = client.upload("voice", make(1))
    second = client.upload("voice", make(2))
    assert (second.version, second.digest) != (first.version, first.digest)
    assert second.version == first.version + 1
    assert client.get("voice") == second


@pytest.mark.reaches("ALREADY_EXISTS", "VERSION_MISMATCH")
def test_if_version_decides(client):
    first = client.upload("voice", make(1), if_version=0)
    taken = refused(client.upload, "voice", make(2), if_version=0)
    assert (taken.code, taken.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")
    assert "voice" in taken.object
    second = client.upload("voice", make(2), if_version=first.version)
    stale = refused(client.upload, "voice", make(3), if_version=first.version)
    assert (stale.code, stale.reason) == (grpc.StatusCode.ABORTED, "VERSION_MISMATCH")
    assert str(first.version) in stale.expected and str(second.version) in stale.got
    gone = refused(client.upload, "nobody", make(3), if_version=7)
    assert (gone.code, gone.reason) == (grpc.StatusCode.ABORTED, "VERSION_MISMATCH")
    kept = refused(client.delete, "voice", if_version=first.version)
    assert (kept.code, kept.reason) == (grpc.StatusCode.ABORTED, "VERSION_MISMATCH")
    assert client.get("voice").version == second.version
    client.delete("voice", if_version=second.version)


def test_a_replaced_version_goes_on_for_those_that_began_with_it(client):
    first = client.upload("voice", make(1))
    expected = client.generate("voice", PROMPT, max_tokens=200, ignore_eos=True)
    running = client.start("voice", PROMPT, request_id="old", **LONG).wait_for_tokens(10)
    second = client.upload("voice", make(2))
    fresh = client.generate("voice", PROMPT, **SHORT)
    assert fresh.started.adapter_version == second.version
    assert fresh.only.token_ids != expected.only.token_ids[:24]
    # While it is in use it can still be asked for by its number.
    old_name = f"voice@{first.version}"
    assert client.generate(old_name, PROMPT, **SHORT).only.token_ids == (
        expected.only.token_ids[:24]
    )
    running.wait_for_tokens(200)
    client.cancel("old")
    answer = running.join()
    assert answer.started.adapter_version == first.version
    assert answer.only.token_ids[:200] == expected.only.token_ids

    def old_is_gone():
        try:
            client.get(old_name)
        except grpc.RpcError as error:
            return refusal_of(error).reason == "ADAPTER_NOT_FOUND"
        return False

    wait_until(old_is_gone, "the replaced version goes with its last user")


@pytest.mark.reaches("ADAPTER_NOT_FOUND")
def test_a_deleted_adapter_lets_its_requests_finish_and_is_gone(client):
    client.upload("voice", make(1))
    expected = client.generate("voice", PROMPT, max_tokens=200, ignore_eos=True)
    running = client.start("voice", PROMPT, request_id="last", **LONG).wait_for_tokens(10)
    deleted = client.delete("voice")
    assert deleted.state == deleted.DELETING
    for call in (client.get, client.delete, client.pin):
        gone = refused(call, "voice")
        assert (gone.code, gone.reason) == (grpc.StatusCode.NOT_FOUND, "ADAPTER_NOT_FOUND")
    assert refused(client.generate, "voice", PROMPT).reason == "ADAPTER_NOT_FOUND"
    assert refused(client.get, deleted.digest).reason == "ADAPTER_NOT_FOUND"
    assert (
        refused(client.generate, f"voice@{deleted.version}", PROMPT).reason == "ADAPTER_NOT_FOUND"
    )
    assert client.names() == []
    running.wait_for_tokens(200)
    client.cancel("last")
    assert running.join().only.token_ids[:200] == expected.only.token_ids
    wait_until(lambda: client.load().pages_adapters == 0, "its pages are free")


def test_the_prefixes_of_a_deleted_adapter_are_gone(client):
    prompt = list(range(10, 110))
    client.upload("voice", make(1))
    client.generate("voice", prompt, **SHORT)
    assert client.generate("voice", prompt, **SHORT).usage.cached_tokens > 0
    first = client.delete("voice")
    wait_until(lambda: client.load().pages_adapters == 0, "its pages are free")
    again = client.upload("voice", make(1))
    assert again.digest == first.digest and again.version > first.version
    assert client.generate("voice", prompt, **SHORT).usage.cached_tokens == 0


def test_a_pinned_adapter_is_resident_before_it_is_asked_for_and_stays(client):
    client.upload("voice", make(1))
    pinned = client.pin("voice")
    assert pinned.pinned
    wait_until(lambda: client.get("voice").residency == pinned.RESIDENT, "it is loaded")
    assert client.pin("voice") == client.get("voice")  # again is no error
    # More adapters than the pool holds pass through it.
    total = client.info().pool_pages
    pages, wide = 0, []
    while pages <= total:
        wide.append(f"wide{len(wide)}")
        pages += client.upload(wide[-1], make(len(wide) + 9, 128, targets=adapter_files.ALL)).pages
        client.generate(wide[-1], PROMPT, max_tokens=2)
    assert pinned.DISK in [client.get(name).residency for name in wide]
    assert client.get("voice").residency == pinned.RESIDENT
    assert not client.pin("voice", False).pinned
    assert not client.get("voice").pinned


@pytest.mark.reaches("PIN_BUDGET")
def test_pins_have_a_budget(client):
    pages = client.upload("a", make(1, 64)).pages
    client.upload("b", make(2, 64))
    assert pages <= BUDGET < 2 * pages
    client.pin("a")
    full = refused(client.pin, "b")
    assert (full.code, full.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "PIN_BUDGET")
    assert full.got == str(pages) and str(BUDGET) in full.expected
    assert not client.get("b").pinned
    client.pin("a", False)
    assert client.pin("b").pinned
    client.delete("b")  # and the budget with it
    assert client.pin("a").pinned


def test_a_pin_follows_the_name_to_its_next_version(client):
    client.upload("voice", make(1))
    client.pin("voice")
    second = client.upload("voice", make(2))
    assert second.pinned
    wait_until(lambda: client.get("voice").residency == second.RESIDENT, "the new one is loaded")
    # Larger than the budget: stored, and unpinned with a warning.
    third = client.upload("voice", make(3, 256, targets=adapter_files.ALL))
    assert not third.pinned and any("pinned" in warning for warning in third.warnings)
    assert not client.get("voice").pinned


def test_only_names_are_pinned_and_a_refused_pin_changes_nothing(client):
    stored = client.upload("voice", make(1, 16))
    big = client.upload("big", make(2, 80))
    assert big.pages <= BUDGET < big.pages + stored.pages
    client.pin("voice")
    for other in (f"voice@{stored.version}", stored.digest):
        assert refused(client.pin, other).reason == "ADAPTER_NOT_FOUND"
        assert refused(client.pin, other, False).reason == "ADAPTER_NOT_FOUND"
        assert refused(client.delete, other).reason == "ADAPTER_NOT_FOUND"
    # It is still pinned in the pool, so there is no room for the other one.
    assert client.get("voice").pinned
    assert refused(client.pin, "big").reason == "PIN_BUDGET"
    client.pin("voice", False)
    assert client.pin("big").pinned


def test_a_pin_is_a_names_own_though_others_have_the_same_content(client):
    same = make(1, 16)
    pages = client.upload("a", same).pages
    client.upload("b", same)
    big = client.upload("big", make(2, 80))
    assert big.pages <= BUDGET < big.pages + pages

    def only_big_is_pinned():
        client.pin("big")  # or it is refused: the others still take of the budget
        return client.pin("big", False)

    client.pin("a")
    client.pin("b")
    client.pin("a", False)
    assert refused(client.pin, "big").reason == "PIN_BUDGET"  # b's pin is there
    client.pin("b", False)
    only_big_is_pinned()
    client.pin("a")
    client.delete("a")
    only_big_is_pinned()
    client.upload("a", same)
    client.pin("a")
    replaced = client.upload("a", make(3, 1))
    assert replaced.pinned and replaced.pages + big.pages <= BUDGET
    only_big_is_pinned()


@pytest.mark.parametrize("pinned", ["", "a", "ab"])
def test_a_deleted_name_is_let_go_though_another_has_its_content(client, pinned):
    stored = client.upload("a", make(1))
    client.upload("b", make(1))
    for name in pinned:
        client.pin(name)
    client.generate("a", PROMPT, **SHORT)  # it is resident, under this name
    watch = client.watch(client.list().revision)
    client.delete("a")
    of_a = (event for event in watch if event.adapter.version == stored.version)
    kinds = [adapters.AdapterEvent.Kind.Name(next(of_a).kind) for _ in range(2)]
    watch.cancel()
    assert kinds == ["DELETING", "DELETED"]
    assert client.generate("b", PROMPT, **SHORT).started.model == "b"


@pytest.mark.reaches("VALUE_OUT_OF_RANGE")
def test_lists_come_in_pages_by_name(client):
    names = ["a", "a.b", "a-b", "B", "b", "c_", "zebra"]
    for seed, name in enumerate(names):
        client.upload(name, make(seed, 1))
    pages, token = [], ""
    while True:
        page = client.list(page_size=3, page_token=token)
        pages.append([adapter.name for adapter in page.adapters])
        token = page.next_page_token
        if not token:
            break
    assert [len(page) for page in pages] == [3, 3, 1]
    assert sum(pages, []) == sorted(names)
    assert [adapter.name for adapter in client.list().adapters] == sorted(names)
    assert not client.list(page_size=7).next_page_token
    for size in (-1, 1001):
        bad = refused(client.list, page_size=size)
        assert (bad.reason, bad.object) == ("VALUE_OUT_OF_RANGE", "page_size")
