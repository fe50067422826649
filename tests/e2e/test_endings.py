"""How generations end before they are done, and what that leaves behind: nothing."""

import time

import grpc
import pytest

from client import Client, refusal_of, request
from daemon import wait_until
from metrics_page import scrape

LONG = {"max_tokens": 20_000, "ignore_eos": True}


@pytest.fixture(scope="module")
def daemon(start_daemon, slow_model_dir):
    return start_daemon(slow_model_dir, pool_bytes="256MiB", max_running=4)


def test_cancel_ends_a_generation_with_ok(client):
    running = client.start("base", "go on", request_id="long", **LONG).wait_for_tokens(3)
    client.cancel("long")
    answer = running.join()
    assert answer.only.finish == "CANCELLED"
    assert 3 <= answer.usage.completion_tokens == len(answer.only.token_ids) < LONG["max_tokens"]
    # What was said is what would have been said anyway.
    short = client.generate("base", "go on", max_tokens=3, ignore_eos=True)
    assert answer.only.token_ids[:3] == short.only.token_ids


def test_cancel_ends_all_choices(client):
    running = client.start("base", "go on", request_id="many", n=3, **LONG).wait_for_tokens(6)
    client.cancel("many")
    assert {choice.finish for choice in running.join().choices.values()} == {"CANCELLED"}


def test_cancel_of_what_is_not_running_is_no_error(client):
    client.cancel("never-was")
    client.generate("base", "go on", max_tokens=1, request_id="done")
    client.cancel("done")


def test_a_waiting_request_can_be_cancelled(client):
    blockers = [client.start("base", "go on", request_id=f"b{i}", **LONG) for i in range(4)]
    for blocker in blockers:
        blocker.wait_for_tokens()
    waiting = client.start("base", "go on", request_id="waits", **LONG)
    wait_until(lambda: client.load().requests_waiting == 1, "the fifth request waits")
    client.cancel("waits")
    answer = waiting.join()
    assert answer.only.finish == "CANCELLED" and answer.usage.completion_tokens == 0
    assert answer.summary.time_to_first_token_us == 0
    for i, blocker in enumerate(blockers):
        client.cancel(f"b{i}")
        assert blocker.join().only.finish == "CANCELLED"


def test_timeout_ends_a_generation_with_deadline(client):
    begin = time.monotonic()
    answer = client.generate("base", "go on", timeout_ms=300, **LONG)
    assert answer.only.finish == "DEADLINE"
    assert time.monotonic() - begin >= 0.3
    assert answer.usage.completion_tokens == len(answer.only.token_ids)
    assert client.generate("base", "go on", max_tokens=1, timeout_ms=86_400_000).only.finish


def test_a_client_that_cancels_hears_nothing_more_and_the_engine_is_free(client, daemon):
    def unreported(kind):
        return scrape(daemon).get("chorus_unreported_tokens_total", kind=kind)

    before = unreported("prompt"), unreported("generation")
    running = client.start("base", "go on", **LONG).wait_for_tokens(5)
    running.call.cancel()
    with pytest.raises(grpc.RpcError) as error:
        running.join()
    assert error.value.code() == grpc.StatusCode.CANCELLED
    wait_until(client.idle, "the engine is idle after the client's cancel")
    prompt = len(client.tokenize("go on"))
    wait_until(lambda: unreported("prompt") == before[0] + prompt, "its prompt is counted")
    assert unreported("generation") >= before[1] + 5


def test_a_client_whose_deadline_passes_is_cut_off_and_the_engine_is_free(client):
    with pytest.raises(grpc.RpcError) as error:
        for _ in client.inference.Generate(request("base", "go on", **LONG), timeout=0.3):
            pass
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(client.idle, "the engine is idle after the client's deadline")


def test_a_client_that_closes_its_connection_leaves_nothing_running(client, daemon):
    with Client(daemon.address) as other:
        running = [other.start("base", "go on", n=2, **LONG) for _ in range(2)]
        for each in running:
            each.wait_for_tokens()
    wait_until(client.idle, "the engine is idle after its clients are gone")


@pytest.mark.reaches("REQUEST_ID_IN_USE")
def test_a_request_id_is_unique_among_live_requests(client):
    running = client.start("base", "go on", request_id="twice", **LONG).wait_for_tokens()
    with pytest.raises(grpc.RpcError) as error:
        client.generate("base", "go on", request_id="twice", max_tokens=1)
    refusal = refusal_of(error.value)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_IN_USE")
    assert refusal.object == "request_id" and "twice" in refusal.got
    client.cancel("twice")
    assert running.join().only.finish == "CANCELLED"
    assert (
        client.generate("base", "go on", request_id="twice", max_tokens=1).only.finish == "LENGTH"
    )


def test_a_larger_priority_goes_first(client):
    blockers = [client.start("base", "go on", request_id=f"b{i}", **LONG) for i in range(4)]
    for blocker in blockers:
        blocker.wait_for_tokens()
    waiting = {}
    for priority in (0, -100, 100, 7, -3):
        fields = {"priority": priority, "request_id": f"p{priority}", **LONG}
        waiting[priority] = client.start("base", "go", **fields)
        count = len(waiting)
        wait_until(lambda n=count: client.load().requests_waiting == n, f"{count} requests wait")
    client.cancel("b0")
    # The one place goes from each to the next.
    for priority in (100, 7, 0, -3, -100):
        waiting.pop(priority).wait_for_tokens()
        assert all(other.tokens() == 0 for other in waiting.values())
        client.cancel(f"p{priority}")
    for i in range(1, 4):
        client.cancel(f"b{i}")
    for blocker in blockers:
        blocker.join()


def test_usage_and_metrics_agree_over_many_endings(client, daemon):
    before = scrape(daemon)
    answers = [client.generate("base", "go on", max_tokens=n, ignore_eos=True) for n in (1, 7, 19)]
    answers.append(client.generate("base", "go on", timeout_ms=100, **LONG))
    after = scrape(daemon)

    def grown(name, **labels):
        return after.get(name, **labels) - before.get(name, **labels)

    assert grown("vllm:prompt_tokens_total") == sum(a.usage.prompt_tokens for a in answers)
    assert grown("vllm:generation_tokens_total") == sum(a.usage.completion_tokens for a in answers)
    assert grown("chorus_choices_finished_total", reason="length") == 3
    assert grown("chorus_choices_finished_total", reason="deadline") == 1
