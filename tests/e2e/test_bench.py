"""What bench/run scale does to a server: its adapters are taken, they need the disk that it says, and
`chorus bench --trace` says of them what the server says."""

import json
import subprocess
import sys

import pytest

from client import Client
from daemon import wait_until
from metrics_page import scrape
from stubs import BIN, SOURCE

sys.path.insert(0, str(SOURCE / "bench"))

from harness import fleet as fleets  # noqa: E402
from workload import traces  # noqa: E402

RANKS = (64, 32, 16, 8)
COUNT = 6


class Uploader:
    """As the suite's ServerProcess uploads."""

    def __init__(self, address):
        self.address = address

    def upload(self, name, directory):
        return json.loads(run("adapters", "upload", name, directory, self.address).stdout)


def run(*words):
    *words, address = words
    command = [BIN / "chorus", *words, "--json", "--server", address]
    return subprocess.run(command, capture_output=True, text=True, check=True)


@pytest.fixture(scope="module")
def served(start_daemon, model_dir, tmp_path_factory):
    """A server with COUNT of the suite's adapters, and the fleet."""
    daemon = start_daemon(dtype="bf16")
    with Client(daemon.address) as client:
        fleet = fleets.Fleet(str(model_dir), RANKS)
        took = fleet.register(Uploader(daemon.address), COUNT, str(tmp_path_factory.mktemp("up")))
        assert took["adapters"] == COUNT
        yield daemon, client, fleet


def test_adapters_are_taken_and_the_bytes_are_those_that_were_announced(served):
    daemon, client, fleet = served
    for index in range(COUNT):
        adapter = client.get(f"bench-{index}")
        assert adapter.max_rank == RANKS[index % 4]
        assert adapter.digest == fleet.digests[index]
        assert list(adapter.warnings) == []
        image = next((daemon.directory / "store" / "images").glob(f"*/{adapter.digest[7:]}"))
        assert image.stat().st_size == fleet.shape(index).image_bytes()
    written = fleets.tree_bytes(daemon.directory / "store")
    announced = fleet.disk_bytes(COUNT)
    assert announced - COUNT * fleets.MANIFEST_BYTES <= written <= announced


def test_a_replay_and_the_servers_counters_agree(served, tmp_path):
    daemon, _, fleet = served
    requests = traces.make("slora", adapters=COUNT, rate=200.0, duration=1.0, lengths="uniform:4:40")
    trace, lines = tmp_path / "trace.jsonl", tmp_path / "records.jsonl"
    traces.write(requests, trace)
    before = scrape(daemon)
    done = run("bench", "--model", "base", "--trace", trace, "--records", lines, daemon.address)
    output = sum(r.output for r in requests)
    name = "chorus_engine_generation_tokens_total"
    after = wait_until(
        lambda: (page := scrape(daemon)).get(name) >= before.get(name) + output and page,
        "the statistics have the last step",
    )
    answer = json.loads(done.stdout)
    assert answer["requests"] == len(requests) and answer["errors"] == 0
    assert answer["whole"]["output_tokens"] == output
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    for record in records:
        request = requests[record["index"]]
        assert (record["adapter"], record["tokens"]) == (request.adapter, request.output)
        assert record["prompt_tokens"] == request.prompt
        assert record["due"] == pytest.approx(request.arrival, abs=1e-8)
        assert record["due"] <= record["sent"] <= record["first"] <= record["end"]

    def grown(name):
        name = f"chorus_engine_{name}_total"
        return after.get(name) - before.get(name)

    computed = sum(r["prompt_tokens"] - r["cached_tokens"] for r in records)
    assert grown("generation_tokens") == output
    # The first token is drawn from the prompt's last row.
    assert grown("step_rows") == computed + output - len(requests)
    assert grown("step_adapters") >= grown("steps")  # no request is for the base
    assert min(RANKS) <= grown("step_ranks") / grown("step_adapters") <= max(RANKS)
    assert grown("step_pages") >= grown("step_rows") / 16
