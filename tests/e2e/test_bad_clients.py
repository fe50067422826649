"""Clients that do not read, vanish, flood or say nothing: they are cut, and cost nobody else."""

import os
import socket
import threading

import grpc
import pytest

import adapter_files
from client import Client, inference, refusal_of, request, upload_messages
from daemon import wait_until
from metrics_page import scrape
from raw_http2 import HEADERS, PREFACE, RST_STREAM, SETTINGS, RawConnection, frame

GENERATE = "/chorus.v1.Inference/Generate"
STALL_MS = 1000
BESIDE = {"max_tokens": 400, "ignore_eos": True}


@pytest.fixture(scope="module")
def daemon(start_daemon):
    return start_daemon(stall_limit_ms=STALL_MS, pool_bytes="128MiB")


@pytest.fixture
def beside(client):
    """A stream of somebody else: while the test runs it gets what it gets alone."""
    alone = client.generate("base", "go on", **BESIDE)
    stop, heard = threading.Event(), []

    def generate():
        while not stop.is_set():
            heard.append(client.generate("base", "go on", **BESIDE).said)

    thread = threading.Thread(target=generate, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert heard and all(said == alone.said for said in heard)


def talkative(**fields) -> bytes:
    """A request whose answer is long: about 6 KiB a step."""
    return request(
        "base", "go on", n=16, logprobs=20, ignore_eos=True, **fields
    ).SerializeToString()


def slow_readers(daemon) -> float:
    return scrape(daemon).get("chorus_slow_readers_total")


def test_a_stream_without_a_window_is_cut(client, daemon, beside):
    before = slow_readers(daemon)
    with RawConnection(daemon.ports["grpc"], window=0) as connection:
        connection.call(1, GENERATE, request("base", "hello", max_tokens=1).SerializeToString())
        # The message has ended the call for the engine long ago; the client never lets it through.
        assert connection.read_until(RST_STREAM, 1), "the connection ends without a word"
        wait_until(lambda: slow_readers(daemon) == before + 1, "the cut is counted")
        # The connection lives, and another call on it is answered or cut for itself alone.
        connection.call(3, "/chorus.v1.Admin/GetLoad", b"")
        assert connection.read_until(HEADERS, 3)


def test_a_client_that_stops_reading_is_cut_and_the_engine_is_free(client, daemon, beside):
    before = slow_readers(daemon)
    with RawConnection(daemon.ports["grpc"], window=20_000) as connection:
        connection.call(1, GENERATE, talkative(max_tokens=4000))
        wait_until(lambda: slow_readers(daemon) == before + 1, "the client is cut")
        assert connection.read_until(RST_STREAM, 1)


def test_a_socket_that_nobody_reads_holds_nothing(client, daemon, beside):
    port = daemon.ports["grpc"]
    with RawConnection(port, window=2**31 - 1, receive_buffer=4096) as connection:
        connection.widen(2**31 - 1 - 65535)  # only TCP is in the way now
        connection.call(1, GENERATE, talkative(max_tokens=4000))
        before = slow_readers(daemon)
        wait_until(lambda: slow_readers(daemon) == before + 1, "the client is cut")


@pytest.mark.reaches("SLOW_READER")
def test_a_client_that_reads_too_late_hears_why(start_daemon):
    # Here the stream's own bound comes first: the limit in time is far away.
    daemon = start_daemon(stall_limit_ms=600_000, pool_bytes="128MiB")
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
    with Client(daemon.address, options) as client:
        message = inference.GenerateRequest.FromString(
            talkative(max_tokens=16_000, timeout_ms=60_000)
        )
        message.n = 1
        call = client.inference.Generate(message, timeout=120)
        assert next(call).HasField("started")

        def overflowed():
            return scrape(daemon).get("chorus_stream_overflows_total") == 1

        wait_until(overflowed, "its stream is full")
        wait_until(client.idle, "the engine is free")
        with pytest.raises(grpc.RpcError) as error:
            list(call)
        late = refusal_of(error.value)
        assert (late.code, late.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "SLOW_READER")


def test_clients_that_vanish_leave_nothing_running(client, daemon, beside):
    for _ in range(5):
        connection = RawConnection(daemon.ports["grpc"])
        connection.call(1, GENERATE, talkative(max_tokens=4000))
        assert connection.read_until(HEADERS, 1)
        connection.vanish()


def test_a_client_that_vanishes_before_its_call_is_whole(client, daemon, beside):
    whole = RawConnection(daemon.ports["grpc"])
    whole.close()
    for cut in (3, 24, 40, 60, 120):
        connection = socket.create_connection(("127.0.0.1", daemon.ports["grpc"]))
        data = PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 0x4, 1, b"\x00\x07:method")
        connection.sendall(data[:cut])
        connection.close()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        bytes(range(256)) * 8,
        PREFACE + frame(SETTINGS, 0, 0, b"\x00"),
        PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 0x4, 1, b"\xff" * 40),
        PREFACE + frame(SETTINGS, 0, 0) + b"\xff\xff\xff" + bytes(6),
    ],
    ids=["HTTP/1", "TLS", "noise", "bad settings", "bad headers", "huge frame"],
)
def test_what_is_not_http2_is_hung_up_on(client, daemon, beside, data):
    connection = socket.create_connection(("127.0.0.1", daemon.ports["grpc"]))
    connection.settimeout(60)
    connection.sendall(data)
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    connection.close()


def test_who_says_nothing_is_hung_up_on(client, daemon, beside):
    connection = socket.create_connection(("127.0.0.1", daemon.ports["grpc"]))
    connection.settimeout(60)
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    connection.close()


def test_a_flood_of_cancels(client, daemon, beside):
    calls = [
        client.inference.Generate(request("base", f"call {i}", max_tokens=4000)) for i in range(300)
    ]
    for i, call in enumerate(calls):
        call.cancel()
        if i % 3 == 0:
            client.cancel(f"nobody-{i}")
    wait_until(client.idle, "the engine is idle after the flood")


def test_a_flood_of_streams_that_are_reset_at_once(client, daemon, beside):
    with RawConnection(daemon.ports["grpc"]) as connection:
        data = request("base", "go on", max_tokens=4000).SerializeToString()
        for i in range(1000):
            connection.call(2 * i + 1, GENERATE, data)
            connection.reset(2 * i + 1)
        connection.call(2001, "/chorus.v1.Admin/GetLoad", b"")
        connection.read_until(HEADERS, 2001)  # answered, or hung up on: both will do
    wait_until(client.idle, "the engine is idle after the flood")


def test_an_upload_that_trickles_holds_up_nobody(client, daemon, beside):
    adapter = adapter_files.make(1, 4)
    messages = upload_messages("slow", adapter, chunk=8)
    assert client.adapters.Upload(messages, timeout=120).adapter.name == "slow"


def hung_up(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(65536) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_connections_are_bounded(start_daemon):
    daemon = start_daemon(max_connections=8)
    with Client(daemon.address) as client:
        client.load()  # the first connection
        held = [RawConnection(daemon.ports["grpc"]) for _ in range(7)]
        for connection in held:
            assert connection.read_until(SETTINGS)
        refused = RawConnection(daemon.ports["grpc"])
        assert refused.read_frame() is None
        assert scrape(daemon).get("chorus_connections_total", result="refused") >= 1
        assert client.generate("base", "hello", max_tokens=1).only.finish == "LENGTH"
        held.pop().close()

        def accepted():
            try:
                with RawConnection(daemon.ports["grpc"]) as connection:
                    return connection.read_until(SETTINGS)
            except ConnectionError:
                return False

        wait_until(accepted, "there is room for one again")
        for connection in held:
            connection.close()


def test_without_descriptors_clients_are_turned_away_until_there_are_some(start_daemon):
    daemon = start_daemon(max_files=100)
    with Client(daemon.address) as client:
        alone = client.generate("base", "go on", **BESIDE)
        open_now = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
        assert open_now < 90
        crowd = [socket.create_connection(("127.0.0.1", daemon.ports["grpc"])) for _ in range(130)]
        wait_until(lambda: any(hung_up(each) for each in crowd), "some are turned away")
        # Who is there already is served as before.
        assert client.generate("base", "go on", **BESIDE).said == alone.said
        for each in crowd:
            each.close()

        def served_again():
            with Client(daemon.address) as other:
                try:
                    return other.generate("base", "go on", timeout=5, **BESIDE).said == alone.said
                except grpc.RpcError:
                    return False

        wait_until(served_again, "new clients are served again")
        assert "no descriptor is free" in daemon.log
