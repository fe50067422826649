"""What chorusd says of its configuration and of models that it cannot serve."""

import json
import subprocess

import pytest

import tiny_model
from daemon import Daemon
from stubs import BIN


def run(*arguments, **options):
    return subprocess.run(
        [BIN / "chorusd", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def test_check_config_prints_what_would_be_used(tmp_path):
    first = run("--check-config", "--model=/nowhere", "--max-running=7", "--pool-bytes=2GiB")
    assert (first.returncode, first.stderr) == (0, "")
    assert 'model: "/nowhere"' in first.stdout and "max_running: 7" in first.stdout
    # It takes back what it printed.
    path = tmp_path / "chorusd.config"
    path.write_text(first.stdout)
    second = run("--check-config", f"--config={path}")
    assert (second.returncode, second.stdout) == (0, first.stdout)
    # As JSON too; and flags win.
    path = tmp_path / "chorusd.json"
    path.write_text(json.dumps({"model": "/nowhere", "maxRunning": 9}))
    third = run("--check-config", f"--config={path}", "--max-running=8")
    assert third.returncode == 0 and "max_running: 8" in third.stdout


@pytest.mark.parametrize(
    "arguments,words",
    [
        ([], ["--model"]),
        (["--model=x", "--max-running=0"], ["--max-running"]),
        (["--model=x", "--pool-bytes=1KiB"], ["--pool-bytes"]),
        (["--model=x", "--device=gpu"], ["--device", "cuda:N"]),
        (["--model=x", "--device=cpu", "--dtype=f16"], ["--dtype", "f16"]),
        (["--model=x", "--admission=hopeful"], ["--admission", "optimistic"]),
        (["--model=x", "--listen=0.0.0.0:50051"], ["--listen", "loopback"]),
        (["--model=x", "--listen=example.com:1"], ["--listen"]),
        (["--model=x", "--max-runing=3"], ["--max-runing", "--max-running"]),
        (["--model=x", "--config=/nowhere/at/all"], ["/nowhere/at/all"]),
        (["--model=x", "--served-model-name=a@b"], ["--served-model-name"]),
    ],
)
def test_check_config_names_what_is_wrong(arguments, words):
    checked = run("--check-config", *arguments)
    assert checked.returncode == 1 and checked.stdout == ""
    for word in words:
        assert word in checked.stderr


def test_help_and_version():
    helped = run("--help")
    assert helped.returncode == 0 and helped.stderr == ""
    assert "--pool-bytes" in helped.stdout and "--drain-timeout-ms" in helped.stdout
    assert max(map(len, helped.stdout.splitlines())) <= 100
    assert run("--version").returncode == 0


def change(directory, name, **fields):
    path = directory / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def truncate(path, to):
    path.write_bytes(path.read_bytes()[:to])


# What is done to a good model, and the words that chorusd ends with.
BAD_MODELS = {
    "no directory": (lambda d: d.rename(d.parent / "moved"), ["config.json"]),
    "no config": (lambda d: (d / "config.json").unlink(), ["config.json"]),
    "config that is not JSON": (lambda d: truncate(d / "config.json", 40), ["config.json"]),
    "another architecture": (
        lambda d: change(d, "config.json", architectures=["GPT2LMHeadModel"]),
        ["GPT2LMHeadModel", "architectures"],
    ),
    "another activation": (lambda d: change(d, "config.json", hidden_act="gelu"), ["gelu"]),
    "quantised": (
        lambda d: change(d, "config.json", quantization_config={"quant_method": "gptq"}),
        ["quantization_config"],
    ),
    "a window that bites": (
        lambda d: change(
            d,
            "config.json",
            architectures=["MistralForCausalLM"],
            model_type="mistral",
            sliding_window=16,
        ),
        ["sliding_window"],
    ),
    "a RoPE of another type": (
        lambda d: change(d, "config.json", rope_scaling={"rope_type": "longrope", "factor": 2.0}),
        ["longrope"],
    ),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), ["safetensors"]),
    "weights cut short": (
        lambda d: truncate(d / "model.safetensors", 5000),
        ["model.safetensors"],
    ),
    "weights of another shape": (
        lambda d: change(d, "config.json", intermediate_size=120),
        ["mlp.", "120"],
    ),
    "a layer too few": (
        lambda d: change(d, "config.json", num_hidden_layers=3),
        ["model.layers.2."],
    ),
    "no tokenizer": (lambda d: (d / "tokenizer.json").unlink(), ["tokenizer"]),
    "a tokenizer that is not JSON": (
        lambda d: truncate(d / "tokenizer.json", 100),
        ["tokenizer.json"],
    ),
    "a tokenizer of another kind": (
        lambda d: change(d, "tokenizer.json", model={"type": "Unigram", "vocab": []}),
        ["Unigram"],
    ),
}


@pytest.mark.parametrize("what", BAD_MODELS)
def test_a_model_that_cannot_be_served_is_refused_by_name(tmp_path, what):
    spoil, words = BAD_MODELS[what]
    model = tiny_model.write(tmp_path / "model")
    spoil(model)
    daemon = Daemon(tmp_path / "d", model)
    started = run(*daemon.arguments()[1:])
    assert started.returncode == 1, started.stderr
    assert "cannot start" in started.stderr
    for word in words:
        assert word in started.stderr


def test_a_chat_template_file_that_cannot_be_read_is_no_start(tmp_path):
    model = tiny_model.write(tmp_path / "model")
    template = tmp_path / "own.jinja"
    template.write_text("{% for x in %}")
    for path in (template, tmp_path / "none.jinja"):
        daemon = Daemon(tmp_path / "d", model, chat_template=path)
        started = run(*daemon.arguments()[1:])
        assert started.returncode == 1 and path.name in started.stderr


def test_the_log_says_which_device_and_what_memory_is_for(start_daemon):
    daemon = start_daemon(device="cpu")
    assert 'device chosen device=cpu why="as asked for"' in daemon.log
    for share in ["weights", "workspaces", "pool"]:
        assert f"memory of={share} bytes=" in daemon.log


def test_a_gpu_that_is_not_there_is_not_the_cpu_in_silence(tmp_path):
    daemon = Daemon(tmp_path / "d", tiny_model.write(tmp_path / "model"), device="cuda:9999")
    started = run(*daemon.arguments()[1:])
    assert started.returncode == 1, started.stderr
    assert "cannot start" in started.stderr and "--device=cuda:9999: " in started.stderr
