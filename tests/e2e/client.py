"""A client of Chorus on grpcio: what the tests say to a server, and what they hear."""

import itertools
import threading
from dataclasses import dataclass, field

import grpc
from grpc_status import rpc_status

from stubs import adapters_pb2 as adapters
from stubs import adapters_pb2_grpc, admin_pb2_grpc, error_pb2, inference_pb2_grpc
from stubs import admin_pb2 as admin
from stubs import inference_pb2 as inference

CALL_SECONDS = 120.0  # no call of these tests may hang for ever
REASONS_SEEN = set()  # names of the reasons that this process has been refused for


@dataclass
class Refusal:
    code: grpc.StatusCode
    reason: str
    object: str
    expected: str
    got: str
    retry_after_ms: int
    message: str


def refusal_of(error: grpc.RpcError) -> Refusal:
    """Reads the details as any client would that knows google.rpc.Status."""
    status = rpc_status.from_call(error)
    assert status is not None, f"{error.code()} without details: {error.details()}"
    assert status.code == error.code().value[0] and status.message == error.details()
    assert len(status.details) == 1
    detail = error_pb2.ErrorDetail()
    assert status.details[0].Unpack(detail), status.details[0].type_url
    reason = error_pb2.ErrorDetail.Reason.Name(detail.reason)
    REASONS_SEEN.add(reason)
    return Refusal(
        error.code(),
        reason,
        detail.object,
        detail.expected,
        detail.got,
        detail.retry_after_ms,
        status.message,
    )


@dataclass
class Choice:
    token_ids: list = field(default_factory=list)
    text: str = ""
    logprobs: list = field(default_factory=list)
    finish: str = ""
    stop_string: str = ""
    stop_token_id: int | None = None

    def add(self, delta):
        assert not self.finish, "news of a choice that had ended"
        self.token_ids.extend(delta.token_ids)
        self.text += delta.text
        self.logprobs.extend(delta.logprobs)
        if delta.finish_reason:
            self.finish = inference.FinishReason.Name(delta.finish_reason)
            self.stop_string = delta.stop_string
            if delta.HasField("stop_token_id"):
                self.stop_token_id = delta.stop_token_id
        else:
            assert not delta.stop_string and not delta.HasField("stop_token_id")


@dataclass
class Answer:
    started: inference.Started = None
    choices: dict = field(default_factory=dict)
    summary: inference.Summary = None
    messages: int = 0

    def add(self, message):
        assert self.summary is None, "a message behind the summary"
        assert message.HasField("started") == (self.messages == 0)
        self.messages += 1
        if message.HasField("started"):
            self.started = message.started
        for delta in message.choices:
            self.choices.setdefault(delta.index, Choice()).add(delta)
        if message.HasField("summary"):
            self.summary = message.summary

    @property
    def only(self) -> Choice:
        assert list(self.choices) == [0], f"choices {sorted(self.choices)}"
        return self.choices[0]

    @property
    def usage(self):
        return self.summary.usage

    @property
    def said(self) -> list:
        """What is the same when the same is asked again."""
        return [
            (i, c.token_ids, c.text, c.finish, c.stop_string, c.stop_token_id)
            for i, c in sorted(self.choices.items())
        ]


def request(model="base", prompt=None, *, sampling=None, **fields):
    """A GenerateRequest. A prompt is a text, a list of ids, or a list of (role, content)."""
    message = inference.GenerateRequest(model=model, **fields)
    if isinstance(prompt, str):
        message.text = prompt
    elif prompt and isinstance(prompt[0], tuple):
        for role, content in prompt:
            message.chat.messages.add(role=role, content=content)
    elif prompt is not None:
        message.token_ids.ids.extend(prompt)
    for name, value in (sampling or {}).items():
        if name == "logit_bias":
            for token, bias in value.items():
                message.sampling.logit_bias.add(token_id=token, bias=bias)
        else:
            setattr(message.sampling, name, value)
    return message


class Running:
    """A generation that a thread reads to its end."""

    def __init__(self, call):
        self.call = call
        self.answer = Answer()
        self.error = None
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            for message in self.call:
                with self._news:
                    self.answer.add(message)
                    self._news.notify_all()
        except grpc.RpcError as error:
            self.error = error
        except AssertionError as error:
            self.error = error
        with self._news:
            self._news.notify_all()

    def wait_for_tokens(self, count=1) -> "Running":
        def enough():
            return (
                self.error or sum(len(c.token_ids) for c in self.answer.choices.values()) >= count
            )

        with self._news:
            assert self._news.wait_for(enough, CALL_SECONDS), f"no {count} tokens came"
        if self.error:
            raise self.error
        return self

    def tokens(self) -> int:
        with self._news:
            return sum(len(c.token_ids) for c in self.answer.choices.values())

    def join(self) -> Answer:
        self._thread.join(CALL_SECONDS)
        assert not self._thread.is_alive(), "the generation does not end"
        if self.error:
            raise self.error
        return self.answer


class Client:
    def __init__(self, address: str, options=()):
        # Channels with the same options share a connection unless told not to.
        options = [("grpc.use_local_subchannel_pool", 1), *options]
        self.channel = grpc.insecure_channel(address, options)
        self.inference = inference_pb2_grpc.InferenceStub(self.channel)
        self.adapters = adapters_pb2_grpc.AdaptersStub(self.channel)
        self.admin = admin_pb2_grpc.AdminStub(self.channel)

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Inference

    def start(self, *arguments, timeout=CALL_SECONDS, **fields) -> Running:
        return Running(self.inference.Generate(request(*arguments, **fields), timeout=timeout))

    def generate(self, *arguments, timeout=CALL_SECONDS, **fields) -> Answer:
        answer = Answer()
        for message in self.inference.Generate(request(*arguments, **fields), timeout=timeout):
            answer.add(message)
        assert answer.summary is not None, "the stream ended without a summary"
        assert all(choice.finish for choice in answer.choices.values())
        return answer

    def tokenize(self, text: str, **fields) -> list:
        message = inference.TokenizeRequest(text=text, **fields)
        return list(self.inference.Tokenize(message, timeout=CALL_SECONDS).token_ids)

    def cancel(self, request_id: str):
        self.inference.Cancel(inference.CancelRequest(request_id=request_id), timeout=CALL_SECONDS)

    # Adapters

    def upload(self, name: str, adapter, chunk: int = 1 << 20, **begin):
        messages = upload_messages(name, adapter, chunk, **begin)
        return self.adapters.Upload(messages, timeout=CALL_SECONDS).adapter

    def get(self, name: str):
        return self.adapters.Get(adapters.GetAdapterRequest(name=name), timeout=CALL_SECONDS)

    def list(self, **fields):
        return self.adapters.List(adapters.ListAdaptersRequest(**fields), timeout=CALL_SECONDS)

    def names(self) -> list:
        return [adapter.name for adapter in self.list(page_size=1000).adapters]

    def delete(self, name: str, **fields):
        message = adapters.DeleteAdapterRequest(name=name, **fields)
        return self.adapters.Delete(message, timeout=CALL_SECONDS)

    def pin(self, name: str, pinned: bool = True):
        message = adapters.PinAdapterRequest(name=name, pinned=pinned)
        return self.adapters.Pin(message, timeout=CALL_SECONDS)

    def watch(self, since_revision: int = 0):
        message = adapters.WatchAdaptersRequest(since_revision=since_revision)
        return self.adapters.Watch(message, timeout=CALL_SECONDS)

    # Admin

    def info(self):
        return self.admin.GetServerInfo(admin.GetServerInfoRequest(), timeout=CALL_SECONDS)

    def load(self):
        return self.admin.GetLoad(admin.GetLoadRequest(), timeout=CALL_SECONDS)

    def idle(self) -> bool:
        load = self.load()
        return (load.requests_running, load.requests_waiting, load.pages_sequences) == (0, 0, 0)


def upload_messages(name: str, adapter, chunk: int = 1 << 20, **begin):
    def pieces(data):
        return (data[i : i + chunk] for i in range(0, len(data), chunk))

    fields = {
        "config_bytes": len(adapter.config),
        "tensor_bytes": len(adapter.tensors),
        "config_sha256": adapter.config_sha256,
        "tensor_sha256": adapter.tensor_sha256,
        **begin,
    }
    first = adapters.UploadRequest(begin=adapters.UploadBegin(name=name, **fields))
    return itertools.chain(
        [first],
        (adapters.UploadRequest(config=piece) for piece in pieces(adapter.config)),
        (adapters.UploadRequest(tensors=piece) for piece in pieces(adapter.tensors)),
    )
