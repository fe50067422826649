"""Adapters.Watch: a snapshot, then every change in order."""

import grpc
import pytest

import adapter_files
from client import Client, adapters, refusal_of
from daemon import wait_until

Event = adapters.AdapterEvent
LONG = {"max_tokens": 60_000, "ignore_eos": True}


class Watcher:
    def __init__(self, client, since_revision=0):
        self.call = client.watch(since_revision)

    def next(self, count=1) -> list:
        return [next(self.call) for _ in range(count)]

    def snapshot(self) -> list:
        events = []
        while True:
            event = next(self.call)
            if event.kind == Event.SNAPSHOT_END:
                self.revision = event.revision
                return events
            assert event.kind == Event.PUT
            events.append(event.adapter.name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.call.cancel()


def kinds(events) -> list:
    return [(Event.Kind.Name(event.kind), event.adapter.name) for event in events]


def test_a_snapshot_then_changes_in_order(client):
    for seed, name in enumerate(("a", "b", "c")):
        client.upload(name, adapter_files.make(seed, 1))
    with Watcher(client) as watcher:
        assert sorted(watcher.snapshot()) == ["a", "b", "c"]
        assert watcher.revision == client.list().revision
        replaced = client.upload("a", adapter_files.make(9, 1))
        client.pin("b")
        client.pin("b", False)
        client.upload("a", adapter_files.make(9, 1))  # a retry changes nothing
        client.delete("c")
        fresh = client.upload("d", adapter_files.make(4, 1))
        events = watcher.next(6)
        assert kinds(e for e in events if e.kind != Event.DELETED) == [
            ("PUT", "a"),
            ("PINNED", "b"),
            ("PINNED", "b"),
            ("DELETING", "c"),
            ("PUT", "d"),
        ]
        assert kinds(e for e in events if e.kind == Event.DELETED) == [("DELETED", "c")]
        put, pin, unpin = events[:3]
        assert (put.adapter.version, put.adapter.digest) == (replaced.version, replaced.digest)
        assert pin.adapter.pinned and not unpin.adapter.pinned
        assert next(e for e in events if e.adapter.name == "d").adapter.digest == fresh.digest
        revisions = [event.revision for event in events]
        assert revisions == sorted(set(revisions)) and revisions[0] > watcher.revision
        assert revisions[-1] == client.list().revision


def test_a_watcher_that_comes_back_misses_nothing(client):
    client.upload("a", adapter_files.make(1, 1))
    since = client.list().revision
    client.upload("b", adapter_files.make(2, 1))
    client.pin("a")
    with Watcher(client, since) as watcher:
        events = watcher.next(2)
        assert kinds(events) == [("PUT", "b"), ("PINNED", "a")]
        client.pin("a", False)
        assert kinds(watcher.next()) == [("PINNED", "a")]
    # From the middle, by the revision of an event that was seen.
    with Watcher(client, events[0].revision) as watcher:
        assert kinds(watcher.next(2)) == [("PINNED", "a")] * 2


def test_deleted_comes_when_the_last_user_has_let_go(client):
    client.upload("a", adapter_files.make(1, 1))
    running = client.start("a", "go on", request_id="user", **LONG).wait_for_tokens()
    with Watcher(client) as watcher:
        assert watcher.snapshot() == ["a"]
        client.delete("a")
        assert kinds(watcher.next()) == [("DELETING", "a")]
        client.upload("b", adapter_files.make(2, 1))
        assert kinds(watcher.next()) == [("PUT", "b")]  # and not DELETED: it is in use
        client.cancel("user")
        running.join()
        assert kinds(watcher.next()) == [("DELETED", "a")]


@pytest.mark.reaches("WATCHER_BEHIND")
@pytest.mark.parametrize("ahead", [100, 10**6])
def test_a_revision_that_never_was_is_behind(client, ahead):
    with pytest.raises(grpc.RpcError) as error:
        next(client.watch(client.list().revision + ahead))
    behind = refusal_of(error.value)
    assert (behind.code, behind.reason) == (grpc.StatusCode.OUT_OF_RANGE, "WATCHER_BEHIND")


@pytest.mark.reaches("WATCHER_BEHIND")
def test_a_revision_of_an_earlier_server_is_behind(start_daemon):
    daemon = start_daemon()
    with Client(daemon.address) as client:
        client.upload("a", adapter_files.make(1, 1))
        since = client.list().revision
    assert daemon.stop() == 0
    daemon.start()
    with Client(daemon.address) as client:
        with pytest.raises(grpc.RpcError) as error:
            next(client.watch(since))
        assert refusal_of(error.value).reason == "WATCHER_BEHIND"
        with Watcher(client) as watcher:  # a snapshot always works
            assert watcher.snapshot() == ["a"]


@pytest.mark.reaches("WATCHER_BEHIND")
def test_a_watcher_that_does_not_read_is_cut_with_its_revision_and_can_go_on(client, daemon):
    client.upload("a", adapter_files.make(1, 1))
    small_window = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
    with Client(daemon.address, small_window) as other, Watcher(client) as keeping_up:
        slow = Watcher(other)
        assert slow.snapshot() == ["a"]
        keeping_up.snapshot()
        pinned, count = False, 0
        # 1024 may wait in the server's queue, and some hundred on the way to the client.
        while count < 1400:
            pinned, count = not pinned, count + 1
            client.pin("a", pinned)
            keeping_up.next()
        last = slow.revision
        with pytest.raises(grpc.RpcError) as error:
            for event in slow.call:
                assert event.revision == last + 1
                last = event.revision
        behind = refusal_of(error.value)
        assert (behind.code, behind.reason) == (grpc.StatusCode.OUT_OF_RANGE, "WATCHER_BEHIND")
        assert behind.got == str(last)
        with Watcher(other, last) as again:
            rest = again.next(client.list().revision - last)
            assert [event.revision for event in rest][0] == last + 1
            assert rest[-1].adapter.pinned == pinned


def test_watchers_that_leave_are_forgotten(client, daemon):
    client.upload("a", adapter_files.make(1, 1))
    with Client(daemon.address) as other:
        watchers = [Watcher(other) for _ in range(20)]
        for watcher in watchers:
            assert watcher.snapshot() == ["a"]
        for watcher in watchers[::2]:
            watcher.call.cancel()
        client.pin("a")
        for watcher in watchers[1::2]:
            assert kinds(watcher.next()) == [("PINNED", "a")]
    client.pin("a", False)
    client.delete("a")
    wait_until(lambda: client.load().pages_adapters == 0, "its pages are free")
