"""The table of adapters that are refused, sent one by one; unit tests read the same table."""

import json
import subprocess

import grpc
import pytest

import adapter_files
from client import refusal_of
from daemon import wait_until
from stubs import BIN
from test_uploads import stored_files


@pytest.fixture(scope="module")
def fixtures(model_dir, tmp_path_factory):
    directory = tmp_path_factory.mktemp("refusals")
    program = BIN / "refusal_fixtures"
    subprocess.run([program, model_dir, directory], check=True, stdout=subprocess.DEVNULL)
    index = json.loads((directory / "index.json").read_text())

    def read(files):
        return adapter_files.Adapter(
            (directory / files["config"]).read_bytes(), (directory / files["tensors"]).read_bytes()
        )

    index["good"] = read(index["good"])
    for refused in index["refused"]:
        refused["adapter"] = read(refused["files"])
    return index


def test_the_good_one_is_taken(client, fixtures):
    assert client.upload("good", fixtures["good"]).max_rank == 2


def test_each_is_refused_for_its_reason_and_leaves_nothing_behind(client, daemon, fixtures):
    # The pool is f32 here: what only overflows in a smaller type is fine.
    table = [refused for refused in fixtures["refused"] if refused["pool"] == "any"]
    assert len(table) > 300
    wait_until(lambda: not stored_files(daemon), "the store is empty")
    client.upload("good", fixtures["good"])
    before = stored_files(daemon)
    assert before
    wrong = []
    for refused in table:
        try:
            client.upload("bad", refused["adapter"])
            wrong.append(f"{refused['name']}: stored")
            client.delete("bad")
            continue
        except grpc.RpcError as error:
            refusal = refusal_of(error)
        if refusal.code != grpc.StatusCode.INVALID_ARGUMENT:
            wrong.append(f"{refused['name']}: {refusal.code}")
        if refusal.reason != refused["reason"] or refused["object"] not in refusal.object:
            wrong.append(f"{refused['name']}: {refusal.reason} {refusal.object}")
    assert not wrong, "\n".join(wrong)
    assert client.names() == ["good"]
    wait_until(lambda: stored_files(daemon) == before, "the store is as it was")
    assert client.generate("good", "well", max_tokens=2).started.model == "good"


def test_bad_adapters_cost_the_stream_beside_them_nothing(client, fixtures):
    fields = {"max_tokens": 4000, "ignore_eos": True}
    alone = client.generate("base", "go on", **fields)
    running = client.start("base", "go on", **fields).wait_for_tokens()
    for refused in fixtures["refused"][::8]:
        if refused["pool"] == "any":
            with pytest.raises(grpc.RpcError):
                client.upload("bad", refused["adapter"])
    assert running.join().said == alone.said


def test_truncated_anywhere_it_is_refused(client, daemon, fixtures):
    good = fixtures["good"]
    wait_until(lambda: not stored_files(daemon), "the store is empty")
    cuts = [1, 7, 8, 9, 100, len(good.tensors) // 2, len(good.tensors) - 4, len(good.tensors) - 1]
    for cut in cuts:
        with pytest.raises(grpc.RpcError) as error:
            client.upload("cut", adapter_files.Adapter(good.config, good.tensors[:cut]))
        assert refusal_of(error.value).reason == "ADAPTER_FILE_INVALID", cut
    wait_until(lambda: not stored_files(daemon), "the store is empty again")
