"""Calls that are not what the protos say: bytes that are no message, wrong methods, too much."""

import gzip

import grpc
import pytest

from client import CALL_SECONDS, Client, adapters, admin, inference, refusal_of, request

METHODS = {
    "/chorus.v1.Inference/Generate": inference.GenerateRequest,
    "/chorus.v1.Inference/Cancel": inference.CancelRequest,
    "/chorus.v1.Inference/Tokenize": inference.TokenizeRequest,
    "/chorus.v1.Adapters/Upload": adapters.UploadRequest,
    "/chorus.v1.Adapters/Get": adapters.GetAdapterRequest,
    "/chorus.v1.Adapters/List": adapters.ListAdaptersRequest,
    "/chorus.v1.Adapters/Delete": adapters.DeleteAdapterRequest,
    "/chorus.v1.Adapters/Pin": adapters.PinAdapterRequest,
    "/chorus.v1.Adapters/Watch": adapters.WatchAdaptersRequest,
    "/chorus.v1.Admin/GetServerInfo": admin.GetServerInfoRequest,
    "/chorus.v1.Admin/GetLoad": admin.GetLoadRequest,
    "/chorus.v1.Admin/Drain": admin.DrainRequest,
}
STREAMED = {"Generate", "Watch"}


def call(client, method: str, data: bytes, **options):
    """Sends bytes, whatever they are, and returns the first that come back."""
    options.setdefault("timeout", CALL_SECONDS)
    name = method.rsplit("/", 1)[1]
    if name == "Upload":
        return client.channel.stream_unary(method)(iter([data]), **options)
    if name in STREAMED:
        return next(client.channel.unary_stream(method)(data, **options))
    return client.channel.unary_unary(method)(data, **options)


def error_of(client, method, data, **options) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as error:
        call(client, method, data, **options)
    return error.value


def varint(value: int) -> bytes:
    result = b""
    while value > 0x7F:
        result, value = result + bytes([value & 0x7F | 0x80]), value >> 7
    return result + bytes([value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.reaches("MALFORMED_MESSAGE")
def test_bytes_that_are_no_message_are_refused_by_every_method(client, method):
    for data in (b"\xff", b"\x0a\x05ab", b"\x07", b"\x0a\xff\xff\xff\xff\x7f", b"\x00\x00"):
        refusal = refusal_of(error_of(client, method, data))
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "MALFORMED_MESSAGE",
        )
        assert METHODS[method].DESCRIPTOR.full_name in refusal.expected


def string_fields(descriptor, numbers=(), names=()):
    """Paths of all string fields below a message, as (numbers, "a.b.c")."""
    for each in descriptor.fields:
        path = (*numbers, each.number), (*names, each.name)
        if each.type == each.TYPE_STRING:
            yield path[0], ".".join(path[1])
        elif each.type == each.TYPE_MESSAGE:
            yield from string_fields(each.message_type, *path)


STRINGS = [
    (method, numbers, name)
    for method, message in METHODS.items()
    for numbers, name in string_fields(message.DESCRIPTOR)
]


def test_there_are_string_fields():
    assert len(STRINGS) > 20
    assert {name for _, _, name in STRINGS} >= {"chat.messages.content", "begin.name", "stop"}


@pytest.mark.parametrize("method,numbers,name", STRINGS, ids=lambda value: str(value))
@pytest.mark.reaches("INVALID_UTF8")
def test_each_string_field_must_be_utf8(client, method, numbers, name):
    for bad in (b"\xff", b"ab\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"):
        data = bad
        for number in reversed(numbers):
            data = field(number, data)
        refusal = refusal_of(error_of(client, method, data))
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_UTF8",
        )
        assert refusal.object == name


def test_unknown_fields_are_ignored(client):
    data = request("base", "hello", max_tokens=1).SerializeToString()
    extra = varint(900 << 3) + varint(7) + field(901, b"\xff\xfe")
    assert call(client, "/chorus.v1.Inference/Generate", extra + data)


@pytest.mark.parametrize(
    "method", ["/chorus.v1.Inference/Sing", "/chorus.v2.Inference/Generate", "/", "/x", "/a/b/c"]
)
def test_unknown_methods(client, method):
    with pytest.raises(grpc.RpcError) as error:
        client.channel.unary_unary(method)(b"", timeout=CALL_SECONDS)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("method", METHODS)
def test_an_oversize_message_is_refused(client, method):
    error = error_of(client, method, field(999, bytes(4 << 20)))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert client.generate("base", "hello", max_tokens=1).only.finish == "LENGTH"


def test_a_prompt_of_almost_4_mib_is_read(client):
    data = request("base", "x" * ((4 << 20) - 200)).SerializeToString()
    refusal = refusal_of(error_of(client, "/chorus.v1.Inference/Generate", data))
    assert refusal.reason == "PROMPT_TOO_LONG"


def test_a_compressed_message_is_not_unpacked(client):
    for algorithm in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        data = request("base", "hello" * 1000, max_tokens=1).SerializeToString()
        assert len(gzip.compress(data)) < len(data)
        error = error_of(client, "/chorus.v1.Inference/Generate", data, compression=algorithm)
        assert error.code() in (
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.UNIMPLEMENTED,
            grpc.StatusCode.INTERNAL,
        )
    assert client.generate("base", "hello", max_tokens=1).only.finish == "LENGTH"


def test_nesting_beyond_a_hundred_levels_is_refused(client):
    """No field of ours nests without end, so the levels are groups, which a parser must skip."""
    for levels, fits in ((90, True), (101, False), (100_000, False)):
        groups = varint(950 << 3 | 3) * levels + varint(950 << 3 | 4) * levels
        data = request("base", "hello", max_tokens=1).SerializeToString() + groups
        if fits:
            assert call(client, "/chorus.v1.Inference/Generate", data)
        else:
            refusal = refusal_of(error_of(client, "/chorus.v1.Inference/Generate", data))
            assert refusal.reason == "MALFORMED_MESSAGE"


def test_too_much_metadata_is_refused(client, daemon):
    metadata = [(f"x-{i}", "y" * 1000) for i in range(20)]
    with Client(daemon.address) as other:  # whose connection may go with it
        error = error_of(other, "/chorus.v1.Admin/GetLoad", b"", metadata=metadata)
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert client.load().ready


def test_more_messages_than_a_method_takes(client):
    """A unary method that is sent two messages answers the first or refuses, and goes on."""
    data = admin.GetLoadRequest().SerializeToString()
    try:
        client.channel.stream_unary("/chorus.v1.Admin/GetLoad")(
            iter([data, data]), timeout=CALL_SECONDS
        )
    except grpc.RpcError as error:
        assert error.code() in (
            grpc.StatusCode.INTERNAL,
            grpc.StatusCode.UNIMPLEMENTED,
            grpc.StatusCode.INVALID_ARGUMENT,
        )
    assert client.load().ready
