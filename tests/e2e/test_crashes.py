"""kill -9 of chorusd in the middle of uploads: what was acknowledged is there, and nothing else."""

import random
import threading

import grpc

import adapter_files
from client import Client
from daemon import wait_until

KILLS = 20


class Uploader(threading.Thread):
    """Uploads, replaces and deletes under names of its own, and keeps what was acknowledged."""

    def __init__(self, address, seed):
        super().__init__(daemon=True)
        self.address = address
        self.chooser = random.Random(seed)
        self.prefix = f"u{seed % 3}-"
        self.acknowledged = {}  # name: digest, None once a deletion is acknowledged
        self.uncertain = {}  # name: what else may be true of it, after a call without an answer
        self.done = 0

    def run(self):
        with Client(self.address) as client:
            while True:
                name = f"{self.prefix}{self.chooser.randrange(4)}"
                delete = self.chooser.random() < 0.25 and self.acknowledged.get(name)
                try:
                    if delete:
                        self.uncertain[name] = None
                        client.delete(name)
                        self.acknowledged[name] = None
                    else:
                        rank = self.chooser.choice([1, 4, 32])
                        adapter = adapter_files.make(self.chooser.randrange(10**6), rank)
                        self.uncertain[name] = adapter
                        stored = client.upload(name, adapter, chunk=20_000)
                        self.acknowledged[name] = (stored.digest, adapter)
                except grpc.RpcError:
                    return
                del self.uncertain[name]
                self.done += 1


def test_twenty_kills_lose_nothing_that_was_acknowledged(start_daemon):
    daemon = start_daemon()
    chooser = random.Random(2026)
    expected = {}  # name: (digest, adapter)
    acknowledged = 0
    for kill in range(KILLS):
        uploaders = [Uploader(daemon.address, 3 * kill + i) for i in range(3)]
        for uploader in uploaders:
            uploader.acknowledged = {
                name: value for name, value in expected.items() if name.startswith(uploader.prefix)
            }
            uploader.start()
        wanted = chooser.randrange(1, 12)
        wait_until(lambda: sum(u.done for u in uploaders) >= wanted, "some calls are answered")
        daemon.kill()
        for uploader in uploaders:
            uploader.join(60)
            assert not uploader.is_alive()
        acknowledged += sum(u.done for u in uploaders)
        daemon.start()
        with Client(daemon.address) as client:
            there = {adapter.name: adapter for adapter in client.list(page_size=1000).adapters}
            expected = {}
            for uploader in uploaders:
                for name in {*uploader.acknowledged, *uploader.uncertain}:
                    check(client, uploader, name, there.pop(name, None), expected)
            assert not there, f"kill {kill}: nobody uploaded {sorted(there)}"
        staging = daemon.directory / "store" / "staging"
        assert not any(staging.iterdir())
        assert not any((daemon.directory / "store" / "quarantine").iterdir())
    assert acknowledged > KILLS
    # All of it still works.
    with Client(daemon.address) as client:
        for name, (digest, adapter) in expected.items():
            answer = client.generate(name, "hello", max_tokens=2)
            assert answer.started.adapter_digest == digest
            assert client.upload(name, adapter).version == client.get(name).version


def check(client, uploader, name, found, expected):
    """What is there is what was acknowledged last, or what was asked for and not answered."""
    told = uploader.acknowledged.get(name)
    if found is None:
        assert told is None or uploader.uncertain.get(name, told) is None, f"{name} is lost"
        return
    assert found.state == found.READY
    if told is not None and found.digest == told[0]:
        expected[name] = told
        return
    adapter = uploader.uncertain.get(name)
    assert adapter is not None, f"{name} is not what was acknowledged"
    # The upload without an answer was stored whole: sending it again finds it.
    again = client.upload(name, adapter)
    assert (again.version, again.digest) == (found.version, found.digest)
    expected[name] = (found.digest, adapter)
