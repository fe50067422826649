"""From start to end: health, reflection, drains, restarts, and what a bad start says."""

import os
import shutil
import signal
import socket
import subprocess
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

import adapter_files
import tiny_model
from client import CALL_SECONDS, Client, adapters, admin, refusal_of, upload_messages
from daemon import wait_until
from metrics_page import scrape

SERVICES = ["chorus.v1.Adapters", "chorus.v1.Admin", "chorus.v1.Inference"]
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
LONG = {"max_tokens": 20_000, "ignore_eos": True}


def health(client, service="") -> int:
    stub = health_pb2_grpc.HealthStub(client.channel)
    request = health_pb2.HealthCheckRequest(service=service)
    return stub.Check(request, timeout=CALL_SECONDS).status


def refused(call, *arguments, **fields):
    with pytest.raises(grpc.RpcError) as error:
        call(*arguments, **fields)
    return refusal_of(error.value)


def test_every_service_is_healthy(client):
    assert [health(client, name) for name in ["", *SERVICES]] == [SERVING] * 4
    with pytest.raises(grpc.RpcError) as error:
        health(client, "chorus.v1.Nothing")
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_reflection_names_every_service_and_its_messages(client):
    database = ProtoReflectionDescriptorDatabase(client.channel)
    services = database.get_services()
    assert set(services) >= {*SERVICES, "grpc.health.v1.Health"}
    for name in SERVICES:
        assert name.endswith(tuple(s.name for s in database.FindFileContainingSymbol(name).service))


def test_the_server_says_what_it_serves(client, daemon):
    info = client.info()
    assert (info.served_model_name, info.architecture) == ("base", "llama")
    assert (info.dtype, info.device, info.threads) == ("f32", "cpu", 1)
    assert (info.context_tokens, info.vocabulary) == (tiny_model.CONTEXT, tiny_model.VOCABULARY)
    assert info.chat_available and not info.chat_problem
    assert info.pool_bytes == info.pool_pages * 8192 and info.page_tokens == 16
    assert 0.9 * (64 << 20) < info.pool_bytes <= 64 << 20
    assert info.weight_bytes > 0 and info.weights_digest.startswith("sha256:")
    assert 0 <= info.uptime_ms < 600_000 and info.version
    load = client.load()
    assert load.ready and not load.draining and load.pages_total == info.pool_pages
    version = subprocess.run(
        [daemon.arguments()[0], "--version"], capture_output=True, text=True, check=True
    )
    assert info.version in version.stdout


def begin_drain(daemon, client, how):
    if how == "SIGTERM":
        daemon.signal(signal.SIGTERM)
    elif how == "SIGINT":
        daemon.signal(signal.SIGINT)
    else:
        client.admin.Drain(admin.DrainRequest(), timeout=CALL_SECONDS)


@pytest.mark.reaches("DRAINING")
@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "Drain"])
def test_a_drain_lets_what_runs_finish_and_takes_nothing_new(start_daemon, slow_model_dir, how):
    daemon = start_daemon(slow_model_dir, drain_timeout_ms=120_000, pool_bytes="256MiB")
    with Client(daemon.address) as client:
        stub = health_pb2_grpc.HealthStub(client.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=CALL_SECONDS)
        assert next(watch).status == SERVING
        alone = client.generate("base", "go on", max_tokens=300, ignore_eos=True)
        running = [
            client.start("base", "go on", request_id=f"r{i}", **LONG).wait_for_tokens()
            for i in range(2)
        ]
        begin_drain(daemon, client, how)
        assert next(watch).status == NOT_SERVING
        wait_until(lambda: client.load().draining, "it drains")
        assert not client.load().ready
        assert [health(client, name) for name in ["", *SERVICES]] == [NOT_SERVING] * 4
        assert scrape(daemon).get("chorus_server_state", state="draining") == 1
        begin_drain(daemon, client, "Drain")  # again is no error
        for call in (
            lambda: client.generate("base", "hello", max_tokens=1),
            lambda: client.upload("late", adapter_files.make(1, 1, layers=32)),
        ):
            refusal = refused(call)
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        for i, each in enumerate(running):
            each.wait_for_tokens(300)
            client.cancel(f"r{i}")
            answer = each.join()
            assert answer.only.token_ids[:300] == alone.only.token_ids
            assert answer.only.finish == "CANCELLED" and answer.usage.completion_tokens >= 300
        if how == "Drain":
            # The process stays until it is told to go: an orchestrator asked, not the system.
            wait_until(lambda: client.idle() or daemon.ended, "what ran has ended")
            if not daemon.ended:
                daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert "ended" in daemon.log


def test_an_idle_server_ends_at_once(start_daemon):
    daemon = start_daemon()
    begin = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begin < 20


def test_before_a_drain_there_may_be_a_delay_in_which_it_still_serves(start_daemon):
    daemon = start_daemon(drain_delay_ms=600_000)
    with Client(daemon.address) as client:
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: health(client) == NOT_SERVING, "it is not ready")
        assert client.generate("base", "hello", max_tokens=1).only.finish == "LENGTH"
        daemon.signal(signal.SIGTERM)  # a second one does not wait
        assert daemon.wait() == 2


def test_a_second_signal_ends_it_at_once(start_daemon, slow_model_dir):
    daemon = start_daemon(slow_model_dir, drain_timeout_ms=600_000)
    with Client(daemon.address) as client:
        client.start("base", "go on", max_tokens=4000, ignore_eos=True).wait_for_tokens()
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: client.load().draining, "it drains")
        daemon.signal(signal.SIGINT)
        assert daemon.wait() == 2


def test_a_drain_has_an_end(start_daemon, slow_model_dir):
    daemon = start_daemon(slow_model_dir, drain_timeout_ms=300, pool_bytes="256MiB")
    with Client(daemon.address) as client:
        running = client.start("base", "go on", **LONG).wait_for_tokens()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 2
        with pytest.raises(grpc.RpcError) as error:
            running.join()
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "drain took too long" in daemon.log


def test_an_open_watch_does_not_hold_up_the_end(start_daemon):
    daemon = start_daemon()
    with Client(daemon.address) as client:
        watch = client.watch()
        assert next(watch).kind == adapters.AdapterEvent.SNAPSHOT_END
        assert daemon.stop() == 0
        with pytest.raises(grpc.RpcError) as error:
            next(watch)
        assert error.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def test_an_open_upload_does_not_hold_up_the_end(start_daemon):
    daemon = start_daemon()
    with Client(daemon.address) as client:
        first = next(iter(upload_messages("open", adapter_files.make(1))))

        def messages():
            yield first
            time.sleep(600)

        call = client.adapters.Upload.future(messages(), timeout=CALL_SECONDS)
        staging = daemon.directory / "store" / "staging"
        wait_until(lambda: any(staging.iterdir()), "the upload has begun")
        assert daemon.stop() == 0
        assert isinstance(call.exception(), grpc.RpcError)
    daemon.start()
    with Client(daemon.address) as client:
        assert client.names() == []
    assert not any(staging.iterdir())


def test_a_restart_keeps_adapters_versions_and_pins(start_daemon):
    daemon = start_daemon()
    with Client(daemon.address) as client:
        for seed, name in enumerate(("a", "b", "c")):
            client.upload(name, adapter_files.make(seed, 4 + seed))
        client.upload("a", adapter_files.make(7, 4))
        client.pin("b")
        client.delete("c")
        before = list(client.list().adapters)
        said = client.generate("a", "hello", max_tokens=20, ignore_eos=True).said
    assert daemon.stop() == 0
    daemon.start()
    with Client(daemon.address) as client:
        wait_until(
            lambda: client.get("b").residency == adapters.Adapter.RESIDENT,
            "the pinned one is loaded",
        )
        after = list(client.list().adapters)
        for adapter in (*before, *after):
            adapter.ClearField("residency")
        assert after == before
        assert client.generate("a", "hello", max_tokens=20, ignore_eos=True).said == said
        again = client.upload("c", adapter_files.make(2, 6))
        assert again.version > 1  # a version's number is never used again
        assert client.upload("a", adapter_files.make(7, 4)).version == after[0].version


@pytest.mark.reaches("ADAPTER_DAMAGED")
def test_an_adapter_whose_file_rots_is_not_served_and_is_healed_by_an_upload(start_daemon):
    daemon = start_daemon()
    adapter = adapter_files.make(1, 16)
    with Client(daemon.address) as client:
        stored = client.upload("a", adapter)
        client.upload("well", adapter_files.make(2))
        said = client.generate("a", "hello", max_tokens=20, ignore_eos=True).said
    assert daemon.stop() == 0
    store = daemon.directory / "store"
    shutil.rmtree(store / "images")  # a cache: made again from the objects
    path = next(store.glob(f"objects/*/{adapter.tensor_sha256}"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    daemon.start()
    with Client(daemon.address) as client:

        def damaged():
            try:
                client.generate("a", "hello", max_tokens=1)
            except grpc.RpcError as error:
                return refusal_of(error)

        refusal = wait_until(damaged, "the damage is seen")
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.DATA_LOSS, "ADAPTER_DAMAGED")
        assert client.get("a").state == stored.DAMAGED
        assert client.generate("well", "hello", max_tokens=1).only.finish == "LENGTH"
        healed = client.upload("a", adapter)
        assert (healed.state, healed.digest) == (stored.READY, stored.digest)
        assert client.generate("a", "hello", max_tokens=20, ignore_eos=True).said == said


def failed_start(start_daemon, **flags) -> str:
    daemon = start_daemon(spawn_only=True, **flags)
    assert daemon.wait() == 1
    assert not daemon.ports, "a port file of a server that does not serve"
    return daemon.log


def test_a_store_is_one_servers_alone(start_daemon):
    daemon = start_daemon()
    log = failed_start(start_daemon, store=daemon.flags["store"])
    assert str(daemon.flags["store"]) in log and "another process" in log
    with Client(daemon.address) as client:
        assert client.load().ready


def test_a_port_that_is_taken(start_daemon):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert address in failed_start(start_daemon, listen=address)
        assert address in failed_start(start_daemon, metrics_listen=address)


def test_a_store_that_a_restart_may_empty_is_refused(start_daemon, tmp_path):
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no tmpfs at /dev/shm")
    store = f"/dev/shm/chorus-e2e-{os.getpid()}"
    try:
        log = failed_start(start_daemon, store=store, allow_volatile_store=None)
        assert store in log and "tmpfs" in log and "allow_volatile_store" in log
    finally:
        shutil.rmtree(store, ignore_errors=True)


def test_a_unix_socket(start_daemon, tmp_path):
    path = tmp_path / "chorus.sock"
    daemon = start_daemon(listen=f"unix:{path}")
    with Client(f"unix:{path}") as client:
        assert client.generate("base", "hello", max_tokens=1).only.finish == "LENGTH"
        assert "chorus.sock" in failed_start(start_daemon, listen=f"unix:{path}")
        assert client.load().ready
    daemon.kill()
    assert path.exists()  # a kill leaves it behind
    daemon.start()
    with Client(f"unix:{path}") as client:
        assert client.load().ready
    assert daemon.stop() == 0
    assert not path.exists()
