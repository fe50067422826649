"""/metrics from outside: the names that a dashboard looks for, and values that move as they do."""

import urllib.error
import urllib.request

import grpc
import pytest

import adapter_files
from client import Client
from daemon import wait_until
from metrics_page import scrape
from stubs import SOURCE

PROMPT = list(range(30, 130))  # 100 tokens


@pytest.fixture
def grown(daemon):
    """grown(name, **labels): how much a series has grown since the test began."""
    before = scrape(daemon)

    def since(name, **labels):
        return scrape(daemon).get(name, **labels) - before.get(name, **labels)

    return since


def test_every_name_is_there_with_its_type(client, daemon):
    client.upload("voice", adapter_files.make(1))
    client.generate("voice", PROMPT, max_tokens=2, ignore_eos=True)
    with pytest.raises(grpc.RpcError):
        client.generate("nobody", PROMPT)
    page = scrape(daemon)
    names = (SOURCE / "tests/server/metrics/names.txt").read_text().splitlines()
    wanted = {name: kind for name, kind, _ in (line.split(" ") for line in names)}
    assert len(wanted) > 50
    types = {name.removesuffix("_total"): kind for name, kind in page.types.items()}
    for name, kind in wanted.items():
        assert types.get(name.removesuffix("_total")) == kind, name
    ours = {name for name in types if not name.startswith("exposer_")}  # prometheus-cpp's own
    assert ours == {name.removesuffix("_total") for name in wanted}


def test_a_request_is_counted_once_everywhere(client, daemon, grown):
    answer = client.generate("base", PROMPT, n=2, max_tokens=9, ignore_eos=True)
    assert grown("vllm:prompt_tokens_total") == 100
    assert grown("vllm:generation_tokens_total") == answer.usage.completion_tokens == 18
    assert grown("chorus_choices_finished_total", reason="length") == 2
    assert grown("vllm:request_success_total", finished_reason="length") == 2
    assert grown("vllm:request_prompt_tokens_sum") == 100
    assert grown("vllm:request_generation_tokens_sum") == 18
    assert grown("vllm:request_params_n_sum") == 2
    assert grown("vllm:request_params_max_tokens_sum") == 9
    for name in (
        "vllm:time_to_first_token_seconds",
        "vllm:e2e_request_latency_seconds",
        "vllm:request_queue_time_seconds",
        "vllm:request_prefill_time_seconds",
        "vllm:request_decode_time_seconds",
        "vllm:request_inference_time_seconds",
    ):
        assert grown(f"{name}_count") == 1, name
        assert grown(f"{name}_sum") >= 0, name
        assert grown(f"{name}_bucket", le="+Inf") == 1, name
    assert grown("vllm:e2e_request_latency_seconds_sum") > 0
    # Tokens that came together at first were not waited for.
    assert grown("vllm:inter_token_latency_seconds_count") <= 16
    assert grown("chorus_engine_prompt_tokens_total") == 100
    assert grown("chorus_engine_steps_total") >= 9
    assert grown("chorus_engine_step_seconds_total") > 0
    assert grown("chorus_calls_total", method="Generate", code="OK") == 1


def test_every_series_of_vllms_carries_the_models_name(client, daemon):
    client.generate("base", PROMPT, max_tokens=2, ignore_eos=True)
    for name, labels in scrape(daemon).samples:
        if name.startswith("vllm:") and not name.startswith("vllm:lora_requests_info"):
            assert {("model_name", "base"), ("engine", "0")} <= labels, name


def test_times_of_the_answer_are_those_of_the_metrics(client, grown):
    answer = client.generate("base", PROMPT, max_tokens=9, ignore_eos=True)
    first = answer.summary.time_to_first_token_us / 1e6
    assert grown("vllm:time_to_first_token_seconds_sum") == pytest.approx(first, abs=2e-6)
    queued = answer.summary.queue_time_us / 1e6
    assert grown("vllm:request_queue_time_seconds_sum") == pytest.approx(queued, abs=2e-6)


def test_prefixes(client, grown):
    prompt = [7] + PROMPT
    client.generate("base", prompt, max_tokens=1)
    client.generate("base", prompt, max_tokens=1)
    assert grown("vllm:prefix_cache_queries_total") == 202
    assert grown("vllm:prefix_cache_hits_total") == 96
    assert grown("vllm:prompt_tokens_cached_total") == 96
    assert grown("vllm:prompt_tokens_total") == 202
    assert grown("chorus_engine_prompt_tokens_total") == 106


def test_what_runs_and_what_waits(start_daemon, slow_model_dir):
    daemon = start_daemon(slow_model_dir, max_running=2, pool_bytes="256MiB")
    with Client(daemon.address) as client:
        long = {"max_tokens": 20_000, "ignore_eos": True}
        running = [client.start("base", "go", request_id=f"r{i}", **long) for i in range(3)]

        def gauges():
            page = scrape(daemon)
            return [
                page.get(name)
                for name in (
                    "vllm:num_requests_running",
                    "vllm:num_requests_waiting",
                    "chorus_sequences_running",
                )
            ]

        wait_until(lambda: gauges() == [2, 1, 2], "two run and one waits")
        # Any two of the three: the server may have heard of them in another order.
        wait_until(lambda: sum(each.tokens() > 50 for each in running) == 2, "two have begun")
        page = scrape(daemon)
        assert 0 < page.get("vllm:kv_cache_usage_perc") < 1
        owners = page.all("chorus_pool_pages")
        assert sum(owners.values()) == client.info().pool_pages
        assert page.get("chorus_pool_pages", owner="sequences") > 0
        for i in range(3):
            client.cancel(f"r{i}")
        for each in running:
            each.join()
        wait_until(lambda: gauges() == [0, 0, 0], "all have ended")
        page = scrape(daemon)
        assert page.get("vllm:kv_cache_usage_perc") == 0
        assert page.get("vllm:inter_token_latency_seconds_count") > 10
        assert page.get("vllm:inter_token_latency_seconds_sum") > 0
        assert scrape(daemon).get("chorus_choices_finished_total", reason="cancelled") == 3


def test_adapters(client, daemon, grown):
    stored = client.upload("voice", adapter_files.make(1, 16))
    assert grown("chorus_uploads_total", result="stored") == 1
    size = stored.config_bytes + stored.tensor_bytes
    assert grown("chorus_upload_bytes_total") == size
    assert grown("chorus_upload_seconds_count") == 1
    client.generate("voice", PROMPT, max_tokens=5, ignore_eos=True)
    assert grown("chorus_adapter_loads_total", result="loaded") == 1
    assert grown("vllm:lora_adapter_load_seconds_count") == 1
    labels = {"tenant": "local", "adapter": "voice"}
    assert grown("chorus_adapter_requests_total", **labels) == 1
    assert grown("chorus_adapter_prompt_tokens_total", **labels) == 100
    assert grown("chorus_adapter_generation_tokens_total", **labels) == 5
    page = scrape(daemon)
    assert page.get("chorus_adapters", state="resident") == 1
    assert page.get("vllm:num_gpu_loaded_lora_adapters") == 1
    loaded = page.all("vllm:lora_adapter_loaded", adapter_name="voice", pinned="false")
    assert list(loaded.values()) == [1.0]
    assert page.get("chorus_pool_pages", owner="adapters") == stored.pages
    client.pin("voice")

    def pinned():
        return scrape(daemon).get("vllm:lora_adapter_loaded", adapter_name="voice", pinned="true")

    wait_until(lambda: pinned() == 1, "the pin is seen")
    client.delete("voice")
    wait_until(lambda: not scrape(daemon).all("vllm:lora_adapter_loaded"), "the adapter is gone")


def test_refusals_by_reason(client, grown):
    for model, text in (("", "x"), ("nobody", "x"), ("nobody", "x"), ("base", "")):
        with pytest.raises(grpc.RpcError):
            client.generate(model, [] if not text else text)
    assert grown("chorus_refusals_total", reason="MODEL_EMPTY") == 1
    assert grown("chorus_refusals_total", reason="ADAPTER_NOT_FOUND") == 2
    assert grown("chorus_refusals_total", reason="PROMPT_EMPTY") == 1
    assert grown("chorus_calls_total", method="Generate", code="NOT_FOUND") == 2
    assert grown("chorus_calls_total", method="Generate", code="INVALID_ARGUMENT") == 2
    assert grown("vllm:prompt_tokens_total") == 0


def test_preemptions_are_those_of_the_load(start_daemon):
    daemon = start_daemon(pool_bytes="1MiB", pin_budget=0.0, admission_watermark=0.0)
    with Client(daemon.address) as client:
        fields = {"max_tokens": 600, "ignore_eos": True, "sampling": {"temperature": 1.0}}
        # One call, so that all eight run at the same time, whatever else the machine does.
        answer = client.generate("base", [5] * 20, n=8, **fields)
        assert answer.usage.completion_tokens == 8 * 600
        preempted = client.load().preemptions
        assert preempted > 0
        page = scrape(daemon)
        assert page.get("vllm:num_preemptions_total") == preempted
        # What was computed again is the engine's work, and nobody's tokens.
        assert page.get("vllm:generation_tokens_total") == 8 * 600
        assert page.get("vllm:prompt_tokens_total") == 20


def test_the_process_describes_itself(daemon, client):
    page = scrape(daemon)
    assert page.get("process_resident_memory_bytes") > 10 << 20
    assert page.get("process_open_fds") > 5
    assert page.get("process_start_time_seconds") > 1.6e9
    assert page.get("chorus_server_state", state="ready") == 1
    assert sum(page.all("chorus_server_state").values()) == 1
    assert page.all("chorus_build_info", version=client.info().version)


def test_other_paths_are_not_found(daemon):
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"http://127.0.0.1:{daemon.ports['metrics']}/other", timeout=60)
    assert error.value.code == 404
