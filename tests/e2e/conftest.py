"""Servers that the tests of a file share, and the check that a test reaches what it says."""

import os
from pathlib import Path

import pytest

import client as client_module
import tiny_model
from client import Client
from daemon import Daemon, wait_until


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "reaches(*reasons): the test is refused for each of these reasons"
    )


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory) -> Path:
    return tiny_model.write(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def slow_model_dir(tmp_path_factory) -> Path:
    """Steps of a millisecond or more: for what has to be caught while it runs."""
    return tiny_model.write(tmp_path_factory.mktemp("model") / "slow", layers=32)


@pytest.fixture(scope="session")
def smollm2_dir() -> Path:
    directory = Path(os.environ.get("CHORUS_SMOLLM2", "build/models/smollm2"))
    if not (directory / "config.json").is_file():
        pytest.skip(f"the demonstration model is not in {directory} (CHORUS_SMOLLM2)")
    return directory


@pytest.fixture(scope="module")
def start_daemon(tmp_path_factory, model_dir):
    """start_daemon(model=…, **flags): a server that is gone when the file's tests are."""
    daemons = []

    def start(model=None, *, spawn_only=False, directory=None, max_files=None, **flags) -> Daemon:
        directory = directory or tmp_path_factory.mktemp("chorusd")
        daemon = Daemon(directory, model or model_dir, **flags)
        daemon.max_files = max_files
        daemons.append(daemon)
        return daemon.spawn() if spawn_only else daemon.start()

    yield start
    for daemon in daemons:
        daemon.kill()


@pytest.fixture(scope="module")
def daemon(start_daemon) -> Daemon:
    """The file's server. A test leaves it idle and without adapters, as it found it."""
    return start_daemon()


@pytest.fixture(scope="module")
def shared_client(daemon) -> Client:
    with Client(daemon.address) as client:
        yield client


@pytest.fixture
def client(daemon, shared_client) -> Client:
    yield shared_client
    assert not daemon.ended, daemon.log
    wait_until(shared_client.idle, "the engine is idle after the test")
    for name in shared_client.names():
        shared_client.delete(name)


@pytest.fixture(autouse=True)
def check_reasons(request):
    """Holds a test to its marker `reaches`."""
    client_module.REASONS_SEEN.clear()
    yield
    wanted = {reason for mark in request.node.iter_markers("reaches") for reason in mark.args}
    report = getattr(request.node, "report_call", None)
    if report is not None and report.passed:
        missing = wanted - client_module.REASONS_SEEN
        assert not missing, f"reached {sorted(client_module.REASONS_SEEN)}, not {sorted(missing)}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.report_call = outcome.get_result()
