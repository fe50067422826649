"""What a machine with a GPU runs to see whether the programs work there, on the CPU."""

import subprocess

import pytest

import adapter_files
import tiny_model
from stubs import BIN, SOURCE


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    tiny_model.write(folder / "model", head_dim=64)
    adapter = adapter_files.make(1, targets=adapter_files.ALL, head_dim=64)
    (folder / "adapter").mkdir()
    (folder / "adapter/adapter_config.json").write_bytes(adapter.config)
    (folder / "adapter/adapter_model.safetensors").write_bytes(adapter.tensors)
    return folder


def ask(data, device):
    return subprocess.run(
        [SOURCE / "bench/gpu/bundled/ask_server", f"--device={device}", f"--bin={BIN}",
         f"--data={data}"],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_answers_are_asked_for_and_looked_at(data):
    done = ask(data, "cpu")
    assert done.returncode == 0, done.stderr
    assert "chorusd on cpu answered alone and side by side" in done.stdout


def test_what_goes_wrong_is_said(data, tmp_path):
    done = ask(tmp_path, "cpu")
    assert done.returncode == 1 and "chorusd ended with 1 before it was ready" in done.stderr
    # An adapter that changes nothing.
    zeros = tmp_path / "adapter"
    zeros.mkdir()
    (tmp_path / "model").symlink_to(data / "model")
    config = (data / "adapter/adapter_config.json").read_bytes()
    (zeros / "adapter_config.json").write_bytes(config)
    tensors = (data / "adapter/adapter_model.safetensors").read_bytes()
    header = 8 + int.from_bytes(tensors[:8], "little")
    (zeros / "adapter_model.safetensors").write_bytes(
        tensors[:header] + bytes(len(tensors) - header)
    )
    done = ask(tmp_path, "cpu")
    assert done.returncode == 1 and "the adapter changes nothing" in done.stderr
