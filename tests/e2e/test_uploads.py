"""Uploads: what is announced is held to, and what is refused leaves nothing behind."""

import hashlib
import queue
import shutil

import grpc
import pytest

import adapter_files
from client import CALL_SECONDS, Client, adapters, refusal_of, upload_messages
from daemon import wait_until
from metrics_page import scrape

GOOD = adapter_files.make(1, 8)


def begin(name="voice", adapter=GOOD, **fields):
    return next(iter(upload_messages(name, adapter, **fields)))


def config(data):
    return adapters.UploadRequest(config=data)


def tensors(data):
    return adapters.UploadRequest(tensors=data)


WHOLE = [begin(), config(GOOD.config), tensors(GOOD.tensors)]


class OpenUpload:
    """An upload whose messages are sent one by one."""

    def __init__(self, client, *messages):
        self._queue = queue.SimpleQueue()
        self.call = client.adapters.Upload.future(iter(self._queue.get, None), timeout=CALL_SECONDS)
        self.send(*messages)

    def send(self, *messages):
        for message in messages:
            self._queue.put(message)

    def finish(self):
        self._queue.put(None)
        return self.call.result()


def refused(client, *messages):
    with pytest.raises(grpc.RpcError) as error:
        client.adapters.Upload(iter(messages), timeout=CALL_SECONDS)
    return refusal_of(error.value)


def stored_files(daemon) -> set:
    """What the store has of adapters; "+floor" only says from where versions go on."""
    store = daemon.directory / "store"
    return {
        str(path.relative_to(store))
        for folder in ("staging", "objects", "manifests", "images", "quarantine")
        for path in (store / folder).rglob("*")
        if path.is_file() and path.name != "+floor"
    }


@pytest.fixture
def clean(client, daemon):
    """The store is empty before the test and after it, and uploads still work."""
    wait_until(lambda: not stored_files(daemon), "the store is empty")
    yield
    assert client.names() == []
    wait_until(lambda: not stored_files(daemon), "the store is empty again")
    assert client.upload("after", GOOD).name == "after"


NO_SHA = {"config_sha256": "", "tensor_sha256": ""}

# What is wrong with the announcement or the order, as (reason, object, messages).
WRONG = {
    "name empty": ("NAME_INVALID", "name", [begin("")]),
    "name with a slash": ("NAME_INVALID", "name", [begin("a/b")]),
    "name that climbs": ("NAME_INVALID", "name", [begin("..")]),
    "name with a dash first": ("NAME_INVALID", "name", [begin("-a")]),
    "name with an at": ("NAME_INVALID", "name", [begin("a@1")]),
    "name too long": ("NAME_INVALID", "name", [begin("a" * 129)]),
    "name not ASCII": ("NAME_INVALID", "name", [begin("ä")]),
    "name of the base model": ("NAME_INVALID", "name", [begin("base")]),
    "if_version below zero": ("VALUE_OUT_OF_RANGE", "if_version", [begin(if_version=-1)]),
    "no config": ("ADAPTER_TOO_LARGE", "config", [begin(config_bytes=0)]),
    "no tensors": ("ADAPTER_TOO_LARGE", "tensors", [begin(tensor_bytes=0)]),
    "config above 1 MiB": ("ADAPTER_TOO_LARGE", "config", [begin(config_bytes=(1 << 20) + 1)]),
    "config of 2^64 - 1": ("ADAPTER_TOO_LARGE", "config", [begin(config_bytes=2**64 - 1)]),
    "tensors above the limit": (
        "ADAPTER_TOO_LARGE",
        "tensors",
        [begin(tensor_bytes=(4 << 30) + 1)],
    ),
    "tensors of 2^64 - 1": ("ADAPTER_TOO_LARGE", "tensors", [begin(tensor_bytes=2**64 - 1)]),
    "config hash that is none": ("DIGEST_MISMATCH", "config_sha256", [begin(config_sha256="xy")]),
    "tensor hash that is none": (
        "DIGEST_MISMATCH",
        "tensor_sha256",
        [begin(tensor_sha256="0" * 63)],
    ),
    "digest that is none": ("DIGEST_MISMATCH", "digest", [begin(digest="sha256:0")]),
    "one byte of config too few": (
        "SIZE_MISMATCH",
        "voice",
        [begin(), config(GOOD.config[:-1])],
    ),
    "one byte of config too many": (
        "SIZE_MISMATCH",
        "config",
        [begin(), config(GOOD.config + b" "), tensors(GOOD.tensors)],
    ),
    "one byte of tensors too few": (
        "SIZE_MISMATCH",
        "voice",
        [*WHOLE[:2], tensors(GOOD.tensors[:-1])],
    ),
    "one byte of tensors too many": ("SIZE_MISMATCH", "tensors", [*WHOLE, tensors(b"\0")]),
    "nothing behind the announcement": ("SIZE_MISMATCH", "voice", [begin()]),
    "another config hash": (
        "DIGEST_MISMATCH",
        "config",
        [begin(config_sha256="0" * 64), *WHOLE[1:]],
    ),
    "another tensor hash": (
        "DIGEST_MISMATCH",
        "tensors",
        [begin(tensor_sha256=hashlib.sha256(b"").hexdigest()), *WHOLE[1:]],
    ),
    "another digest": (
        "DIGEST_MISMATCH",
        "voice",
        [begin(digest="sha256:" + "0" * 64), *WHOLE[1:]],
    ),
    "no announcement": ("UPLOAD_OUT_OF_ORDER", "upload", [config(GOOD.config)]),
    "nothing at all": ("UPLOAD_OUT_OF_ORDER", "upload", []),
    "two announcements": ("UPLOAD_OUT_OF_ORDER", "upload", [begin(), begin()]),
    "an empty message": ("UPLOAD_OUT_OF_ORDER", "upload", [begin(), adapters.UploadRequest()]),
    "tensors before the config": (
        "UPLOAD_OUT_OF_ORDER",
        "voice",
        [begin(), tensors(GOOD.tensors), config(GOOD.config)],
    ),
    "config between the tensors": (
        "UPLOAD_OUT_OF_ORDER",
        "upload",
        [*WHOLE[:2], tensors(GOOD.tensors[:9]), config(b" "), tensors(GOOD.tensors[9:])],
    ),
    "a chunk above 1 MiB": (
        "SIZE_MISMATCH",
        "tensors",
        [begin(tensor_bytes=2 << 20), config(GOOD.config), tensors(bytes((1 << 20) + 1))],
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_upload_is_refused_and_leaves_nothing_behind(client, clean, what):
    reason, named, messages = WRONG[what]
    refusal = refused(client, *messages)
    assert (refusal.reason, named in refusal.object) == (reason, True), refusal
    assert refusal.expected and refusal.message.startswith(refusal.object)


def test_an_upload_in_the_smallest_pieces_is_the_same(client):
    whole = client.upload("voice", GOOD)
    pieces = client.upload("pieces", GOOD, chunk=97)
    assert pieces.digest == whole.digest
    assert client.upload("exact", GOOD, digest=whole.digest).digest == whole.digest
    assert client.upload("bare", GOOD, **NO_SHA).digest == whole.digest


def test_a_chunk_of_exactly_1_mib_is_taken(client):
    large = adapter_files.make(2, 256, targets=adapter_files.ALL)
    assert len(large.tensors) > 1 << 20
    stored = client.upload("large", large, chunk=1 << 20)
    assert stored.tensor_bytes == len(large.tensors)


def abandoned(daemon) -> float:
    return scrape(daemon).get("chorus_uploads_total", result="abandoned")


def staged(daemon) -> set:
    return {name for name in stored_files(daemon) if name.startswith("staging/")}


@pytest.mark.parametrize("sent", [1, 2, 3])
def test_a_torn_upload_leaves_nothing_behind(daemon, clean, sent):
    before = abandoned(daemon)
    messages = [begin(), config(GOOD.config), tensors(GOOD.tensors[:1000])]
    with Client(daemon.address) as other:
        upload = OpenUpload(other, *messages[:sent])
        wait_until(lambda: staged(daemon), "the upload has begun")
    # The connection is closed, and the upload with it.
    wait_until(lambda: abandoned(daemon) == before + 1, "the upload is given up")
    upload.send(None)


def test_a_cancelled_upload_leaves_nothing_behind(client, daemon, clean):
    upload = OpenUpload(client, *WHOLE[:2])
    wait_until(lambda: staged(daemon), "the upload has begun")
    upload.call.cancel()
    with pytest.raises(grpc.FutureCancelledError):
        upload.finish()


def test_an_announcement_is_refused_before_anything_else_is_sent(client, clean):
    for bad in (begin("a/b"), begin(tensor_bytes=5 << 30)):
        upload = OpenUpload(client, bad)
        assert isinstance(upload.call.exception(), grpc.RpcError)
        refusal_of(upload.call.exception())
        upload.send(None)


@pytest.mark.reaches("TOO_MANY_UPLOADS")
def test_uploads_at_one_time_are_bounded(client, daemon, clean):
    uploads = [OpenUpload(client, begin(f"u{i}")) for i in range(8)]
    wait_until(lambda: len(staged(daemon)) == 8, "all eight have begun")
    refusal = refused(client, *WHOLE)
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "TOO_MANY_UPLOADS",
    )
    assert refusal.retry_after_ms > 0
    uploads[0].send(config(GOOD.config), tensors(GOOD.tensors))
    assert uploads[0].finish().adapter.name == "u0"
    client.delete("u0")
    assert client.upload("one-more", GOOD).name == "one-more"  # there is room again
    client.delete("one-more")
    for upload in uploads[1:]:
        upload.call.cancel()
        upload.send(None)


@pytest.mark.reaches("STORE_FULL", "QUOTA_EXCEEDED")
def test_what_does_not_fit_the_disk_or_the_quota_is_refused_at_once(start_daemon, tmp_path):
    daemon = start_daemon(max_adapter_bytes="1TiB")
    with Client(daemon.address) as client:
        free = shutil.disk_usage(daemon.directory).free
        if free < 255 << 30:
            full = refused(client, begin(tensor_bytes=free + (1 << 30)))
            assert (full.code, full.reason) == (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "STORE_FULL",
            )
        else:
            pytest.skip(f"{free >> 30} GiB are free, more than a tenant's quota")
        over = refused(client, begin(tensor_bytes=300 << 30))
        assert (over.code, over.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
        assert client.upload("voice", GOOD).name == "voice"


def test_two_uploads_of_one_name_at_one_time_end_in_order(client):
    other = adapter_files.make(2, 8)
    first = OpenUpload(client, begin(), config(GOOD.config))
    second = OpenUpload(client, begin(adapter=other), config(other.config))
    second.send(tensors(other.tensors))
    done = second.finish().adapter
    first.send(tensors(GOOD.tensors))
    last = first.finish().adapter
    assert last.version == done.version + 1 and last.digest != done.digest
    assert client.get("voice") == last
