"""Requests that are refused: one table of (reason, object, request), and what a refusal carries."""

import math

import grpc
import pytest

import tiny_model
from client import CALL_SECONDS, Client, adapters, inference, refusal_of, request
from daemon import wait_until
from tiny_model import CONTEXT, VOCABULARY

NAN, INF = math.nan, math.inf


def chat(*messages, **fields):
    made = request("base", [("user", "hi")])
    if messages != (None,):
        del made.chat.messages[:]
        for message in messages:
            made.chat.messages.add(**message)
    for name, value in fields.items():
        setattr(made.chat, name, value)
    return made


def text(**fields):
    return request("base", "hello", **fields)


USER = {"role": "user", "content": "hi"}

TABLE = [
    ("MODEL_EMPTY", "model", request("", "hello")),
    ("ADAPTER_NOT_FOUND", "nobody", request("nobody", "hello")),
    ("ADAPTER_NOT_FOUND", "base@1", request("base@1", "hello")),
    ("ADAPTER_NOT_FOUND", "sha256:", request("sha256:" + "0" * 64, "hello")),
    ("ADAPTER_NOT_FOUND", "sha256:x", request("sha256:x", "hello")),
    ("ADAPTER_NOT_FOUND", "a/b", request("a/b", "hello")),
    ("ADAPTER_NOT_FOUND", "x@99999999999999999999", request("x@99999999999999999999", "hello")),
    ("PROMPT_EMPTY", "prompt", request("base")),
    ("PROMPT_EMPTY", "prompt", request("base", token_ids=inference.TokenIds())),
    ("PROMPT_TOO_LONG", "prompt", request("base", [9] * CONTEXT)),
    ("PROMPT_TOO_LONG", "prompt", request("base", [9] * (CONTEXT + 77))),
    ("MAX_TOKENS_TOO_LARGE", "max_tokens", request("base", [9] * 10, max_tokens=CONTEXT - 9)),
    ("MAX_TOKENS_TOO_LARGE", "max_tokens", request("base", [9], max_tokens=2**31 - 1)),
    ("TOKEN_OUT_OF_VOCABULARY", "prompt", request("base", [9, VOCABULARY])),
    ("TOKEN_OUT_OF_VOCABULARY", "prompt", request("base", [-1])),
    ("TOKEN_OUT_OF_VOCABULARY", "stop_token_ids", text(stop_token_ids=[VOCABULARY])),
    ("TOKEN_OUT_OF_VOCABULARY", "stop_token_ids", text(stop_token_ids=[-1])),
    (
        "TOKEN_OUT_OF_VOCABULARY",
        "sampling.logit_bias.token_id",
        text(sampling={"logit_bias": {VOCABULARY: 1.0}}),
    ),
    ("VALUE_OUT_OF_RANGE", "stop", text(stop=["x"] * 17)),
    ("VALUE_OUT_OF_RANGE", "stop", text(stop=[""])),
    ("VALUE_OUT_OF_RANGE", "stop", text(stop=["x" * 257])),
    ("VALUE_OUT_OF_RANGE", "stop_token_ids", text(stop_token_ids=[9] * 65)),
    ("VALUE_OUT_OF_RANGE", "cache_salt", text(cache_salt="x" * 129)),
    ("VALUE_OUT_OF_RANGE", "request_id", text(request_id="x" * 129)),
    ("VALUE_OUT_OF_RANGE", "request_id", text(request_id="a b")),
    ("VALUE_OUT_OF_RANGE", "request_id", text(request_id="ä")),
    ("VALUE_OUT_OF_RANGE", "request_id", text(request_id="a\x00")),
    *(
        ("VALUE_OUT_OF_RANGE", "sampling.logit_bias.bias", text(sampling={"logit_bias": {9: bias}}))
        for bias in (100.5, -100.5, NAN, INF)
    ),
    ("CHAT_INVALID", "chat.messages", chat()),
    ("CHAT_INVALID", "chat_template", chat(None, template_arguments_json='{"raise": "no"}')),
    ("CONFLICTING_FIELDS", "messages[0]", chat({**USER, "extra_json": '{"content": "x"}'})),
    ("CONFLICTING_FIELDS", "messages[1]", chat(USER, {**USER, "extra_json": '{"role": "x"}'})),
    ("CONFLICTING_FIELDS", "messages", chat(None, template_arguments_json='{"messages": []}')),
    ("JSON_INVALID", "messages[0].extra_json", chat({**USER, "extra_json": "[]"})),
    ("JSON_INVALID", "messages[0].extra_json", chat({**USER, "extra_json": '{"a": 1'})),
    ("JSON_INVALID", "messages[0].extra_json", chat({**USER, "extra_json": '{"a":1,"a":2}'})),
    ("JSON_INVALID", "tools_json", chat(None, tools_json="{}")),
    ("JSON_INVALID", "tools_json", chat(None, tools_json="[" * 200 + "]" * 200)),
    ("JSON_INVALID", "tools_json", chat(None, tools_json="[NaN]")),
    ("JSON_INVALID", "template_arguments_json", chat(None, template_arguments_json="7")),
]

# Ranges of numbers, as the comments of inference.proto state them: field, what lies just outside.
OUTSIDE = {
    "max_tokens": [0, -1, -(2**31)],
    "n": [0, -1, 17],
    "logprobs": [-1, 21],
    "priority": [-101, 101],
    "timeout_ms": [0, -1, 86_400_001],
    "sampling.temperature": [-0.001, 100.1, NAN, INF],
    "sampling.top_k": [-1],
    "sampling.top_p": [0.0, -0.1, 1.0001, NAN],
    "sampling.min_p": [-0.1, 1.0001, NAN],
    "sampling.repetition_penalty": [0.0, -1.0, 100.1, NAN],
    "sampling.presence_penalty": [-2.001, 2.001, NAN],
    "sampling.frequency_penalty": [-2.001, 2.001, INF],
}
# … and what lies just inside.
INSIDE = {
    "max_tokens": [1],
    "n": [1, 16],
    "logprobs": [0, 20],
    "priority": [-100, 100],
    "timeout_ms": [86_400_000],
    "sampling.temperature": [0.0, 100.0],
    "sampling.top_k": [0, 1, 2**31 - 1],
    "sampling.top_p": [1e-6, 1.0],
    "sampling.min_p": [0.0, 1.0],
    "sampling.repetition_penalty": [1e-3, 100.0],
    "sampling.presence_penalty": [-2.0, 2.0],
    "sampling.frequency_penalty": [-2.0, 2.0],
}


def with_field(path, value):
    made = text(max_tokens=2)
    message = made.sampling if path.startswith("sampling.") else made
    setattr(message, path.removeprefix("sampling."), value)
    return made


TABLE += [
    ("VALUE_OUT_OF_RANGE", path, with_field(path, value))
    for path, values in OUTSIDE.items()
    for value in values
]

CODES = {"ADAPTER_NOT_FOUND": grpc.StatusCode.NOT_FOUND}


def refused(client, message):
    with pytest.raises(grpc.RpcError) as error:
        list(client.inference.Generate(message, timeout=CALL_SECONDS))
    return refusal_of(error.value)


@pytest.mark.parametrize("row", range(len(TABLE)), ids=lambda row: f"{TABLE[row][0]}-{row}")
def test_each_request_of_the_table_is_refused(client, row):
    reason, named, message = TABLE[row]
    refusal = refused(client, message)
    assert (refusal.reason, named in refusal.object) == (reason, True), refusal
    assert refusal.code == CODES.get(reason, grpc.StatusCode.INVALID_ARGUMENT)
    assert refusal.object in refusal.message
    assert refusal.retry_after_ms == 0  # it will be as wrong then


def test_what_is_refused_costs_nobody_anything(client):
    alone = client.generate("base", "go on", max_tokens=300, ignore_eos=True)
    running = client.start("base", "go on", max_tokens=300, ignore_eos=True)
    for _, _, message in TABLE:
        refused(client, message)
    assert running.join().said == alone.said
    wait_until(client.idle, "nothing of them is left")


@pytest.mark.parametrize("path", INSIDE)
def test_the_ends_of_every_range_are_served(client, path):
    for value in INSIDE[path]:
        answer = list(client.inference.Generate(with_field(path, value), timeout=CALL_SECONDS))
        assert answer[-1].HasField("summary"), (path, value)


def test_the_largest_lists_are_served(client):
    answer = client.generate(
        "base",
        "hello",
        max_tokens=2,
        stop=["x" * 256] * 16,
        stop_token_ids=[9] * 64,
        cache_salt="x" * 128,
        request_id="~" * 128,
        sampling={"logit_bias": {i: 0.0 for i in range(VOCABULARY)}},
    )
    assert answer.started.request_id == "~" * 128
    full = client.generate("base", [9] * 100, max_tokens=2)
    assert full.usage.prompt_tokens == 100


def test_too_many_biases_and_a_bias_twice(client):
    message = text()
    for _ in range(2):
        message.sampling.logit_bias.add(token_id=9, bias=1.0)
    twice = refused(client, message)
    assert (twice.reason, twice.object) == ("CONFLICTING_FIELDS", "sampling.logit_bias")
    for _ in range(1023):
        message.sampling.logit_bias.add(token_id=9, bias=1.0)
    many = refused(client, message)
    assert (many.reason, many.object) == ("VALUE_OUT_OF_RANGE", "sampling.logit_bias")
    assert many.got == "1025"


def test_prompt_and_max_tokens_up_to_the_context_are_served(start_daemon, tmp_path):
    model = tiny_model.write(tmp_path / "short")
    tiny_model.set_context(model, 64)
    daemon = start_daemon(model)
    with Client(daemon.address) as client:
        assert client.info().context_tokens == 64
        edge = client.generate("base", [9] * 60, max_tokens=4, ignore_eos=True)
        assert edge.usage.completion_tokens == 4
        rest = client.generate("base", [9] * 60, ignore_eos=True)  # unset: what is left
        assert rest.usage.completion_tokens == 4 and rest.only.finish == "LENGTH"
        assert client.generate("base", [9] * 63, ignore_eos=True).usage.completion_tokens == 1
        assert refused(client, request("base", [9] * 60, max_tokens=5)).reason == (
            "MAX_TOKENS_TOO_LARGE"
        )
        assert refused(client, request("base", [9] * 64)).reason == "PROMPT_TOO_LONG"


@pytest.mark.reaches("POOL_TOO_SMALL")
def test_what_an_empty_pool_could_not_hold_is_refused_at_once(start_daemon):
    daemon = start_daemon(pool_bytes="1MiB", pin_budget=0.25)  # 128 pages
    with Client(daemon.address) as client:
        pages = client.info().pool_pages
        room = (pages - pages // 4) * 16
        small = refused(client, request("base", [9] * 16, max_tokens=room))
        assert (small.code, small.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "POOL_TOO_SMALL",
        )
        fits = client.generate("base", [9] * 16, max_tokens=room - 16, ignore_eos=True)
        assert fits.usage.completion_tokens == room - 16


@pytest.mark.reaches("QUEUE_FULL")
def test_a_full_queue_says_when_to_come_again(start_daemon, slow_model_dir):
    daemon = start_daemon(slow_model_dir, max_running=1, max_waiting=2)
    with Client(daemon.address) as client:
        long = {"max_tokens": 4000, "ignore_eos": True}
        running = [client.start("base", "go on", request_id="r0", **long).wait_for_tokens()]
        running += [client.start("base", "go on", request_id=f"r{i}", **long) for i in (1, 2)]

        def live():
            load = client.load()
            return load.requests_running + load.requests_waiting

        wait_until(lambda: live() == 3, "one runs and two wait")
        full = refused(client, request("base", "hello"))
        assert (full.code, full.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        assert full.retry_after_ms > 0
        for i in range(3):
            client.cancel(f"r{i}")
        for each in running:
            assert each.join().only.finish == "CANCELLED"
        assert client.generate("base", "hello", max_tokens=1).only.finish == "LENGTH"


@pytest.mark.reaches("FIRST_TOKEN_LATE")
def test_who_would_wait_too_long_is_told_at_once_when_to_come_again(start_daemon, slow_model_dir):
    daemon = start_daemon(
        slow_model_dir, max_running=1, max_prefill_chunk=16, first_token_limit_ms=100
    )
    with Client(daemon.address) as client:
        # From the first it learns how long a step takes, and how long a request holds its place.
        client.generate("base", [9] * 32, max_tokens=1000, ignore_eos=True)
        running = client.start(
            "base", "go on", request_id="r0", max_tokens=4000, ignore_eos=True
        ).wait_for_tokens()
        late = refused(client, request("base", "hello"))
        assert (late.code, late.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "FIRST_TOKEN_LATE",
        )
        assert late.retry_after_ms > 0
        client.cancel("r0")
        assert running.join().only.finish == "CANCELLED"
        assert client.generate("base", "hello", max_tokens=1).only.finish == "LENGTH"


@pytest.mark.reaches("CHAT_UNAVAILABLE")
def test_a_model_without_a_chat_template_still_takes_text(start_daemon, tmp_path):
    model = tiny_model.write(tmp_path / "plain")
    tiny_model.set_template(model, None)
    daemon = start_daemon(model)
    with Client(daemon.address) as client:
        info = client.info()
        assert not info.chat_available and info.chat_problem
        off = refused(client, chat(USER))
        assert (off.code, off.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "CHAT_UNAVAILABLE",
        )
        assert client.generate("base", "hello", max_tokens=1).only.finish == "LENGTH"


def test_a_template_that_cannot_be_read_turns_chat_off_with_its_line(start_daemon, tmp_path):
    model = tiny_model.write(tmp_path / "broken")
    tiny_model.set_template(model, "{% for message in messages %}\n{{ message.role }\n{% endfor %}")
    daemon = start_daemon(model)
    with Client(daemon.address) as client:
        off = refused(client, chat(USER))
        assert off.reason == "CHAT_UNAVAILABLE" and "line 2" in off.message
        assert client.info().chat_problem == off.message
    # A file of the operator's own replaces it; a broken one is no start.
    template = tmp_path / "own.jinja"
    template.write_text("{{ messages[0].content }}")
    daemon = start_daemon(model, chat_template=template)
    with Client(daemon.address) as client:
        assert client.info().chat_available
        same = client.generate("base", "hello", max_tokens=4)
        asked = client.generate("base", client.tokenize("hello", add_special_tokens=False))
        said = list(client.inference.Generate(chat({**USER, "content": "hello"}), timeout=60))
        assert said[-1].summary.usage.prompt_tokens == asked.usage.prompt_tokens
        assert same.usage.prompt_tokens == asked.usage.prompt_tokens + 1


def test_an_oneof_keeps_the_last_prompt(client):
    """Two prompts on the wire are one: protobuf keeps the last."""
    first, last = request("base", "first").SerializeToString(), inference.GenerateRequest(text="go")
    call = client.channel.unary_stream("/chorus.v1.Inference/Generate")
    messages = list(call(first + last.SerializeToString(), timeout=CALL_SECONDS))
    answer = inference.GenerateResponse.FromString(messages[-1])
    assert answer.summary.usage.prompt_tokens == len(client.tokenize("go"))


@pytest.mark.parametrize("method", ["Get", "Delete", "Pin"])
def test_adapters_that_are_not_there(client, method):
    requests = {
        "Get": adapters.GetAdapterRequest,
        "Delete": adapters.DeleteAdapterRequest,
        "Pin": adapters.PinAdapterRequest,
    }
    for name in ("", "nobody", "nobody@1", "sha256:" + "1" * 64, "a/b", "../x", "x" * 10_000):
        with pytest.raises(grpc.RpcError) as error:
            getattr(client.adapters, method)(requests[method](name=name), timeout=CALL_SECONDS)
        refusal = refusal_of(error.value)
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.NOT_FOUND,
            "ADAPTER_NOT_FOUND",
        )
        assert len(refusal.message) < 300
