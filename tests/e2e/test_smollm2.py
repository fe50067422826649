"""The demonstration model itself, with its demonstration adapters."""

import grpc
import pytest

from adapter_files import Adapter
from client import Client, refusal_of
from stubs import SOURCE

QUESTION = [("user", "What is the sea?")]
FIELDS = {"max_tokens": 24, "sampling": {"temperature": 0.0}}


def demonstration_adapters() -> dict:
    return {
        path.name: Adapter(
            (path / "adapter_config.json").read_bytes(),
            (path / "adapter_model.safetensors").read_bytes(),
        )
        for path in sorted((SOURCE / "deploy/adapters").iterdir())
        if (path / "adapter_config.json").is_file()
    }


@pytest.fixture(scope="module")
def daemon(start_daemon, smollm2_dir):
    return start_daemon(smollm2_dir.resolve(), pool_bytes="256MiB", threads=0)


@pytest.fixture(scope="module")
def voices(daemon):
    with Client(daemon.address) as client:
        adapters = demonstration_adapters()
        for name, adapter in adapters.items():
            client.upload(name, adapter)
        yield list(adapters)
        for name in adapters:
            client.delete(name)


@pytest.fixture
def client(shared_client):
    return shared_client


def test_it_answers_a_question(client):
    answer = client.generate("base", [("user", "What is the capital of France?")], **FIELDS)
    assert "Paris" in answer.only.text
    assert answer.only.finish in ("STOP", "LENGTH")


def test_text_is_the_bytes_of_its_tokens(client):
    fields = {"max_tokens": 40, "logprobs": 2, "ignore_eos": True, "include_special_tokens": True}
    answer = client.generate("base", "Les élèves mangent des crêpes à l'", **fields)
    whole = b"".join(logprobs.token.bytes for logprobs in answer.only.logprobs)
    assert answer.only.text == whole.decode("utf-8", "replace")
    text = "Größe: 5 €, 漢字 👋🏽, e\u0301 …\n\n\tend"
    assert client.generate("base", client.tokenize(text), max_tokens=1).usage.prompt_tokens > 10


def test_the_chat_template_is_the_models_own(client):
    from client import inference

    request = inference.TokenizeRequest()
    request.chat.messages.add(role="user", content="hi")
    response = client.inference.Tokenize(request, timeout=60)
    assert response.rendered.startswith("<|im_start|>system\n")
    assert response.rendered.endswith("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")
    assert list(response.token_ids) == client.tokenize(response.rendered, add_special_tokens=False)
    assert b"".join(response.token_bytes).decode() == response.rendered


def test_a_batch_of_voices_is_what_each_says_alone(client, voices):
    assert len(voices) == 3
    models = ["base", *voices]
    alone = [client.generate(model, QUESTION, **FIELDS).said for model in models]
    assert len({str(said) for said in alone}) == 4
    together = [client.start(model, QUESTION, **FIELDS) for model in models * 2]
    assert [each.join().said for each in together] == alone * 2


def test_choices_and_seeds(client, voices):
    sampling = {"temperature": 0.8, "top_p": 0.95, "seed": 5}
    fields = {"max_tokens": 16, "ignore_eos": True, "sampling": sampling}
    three = client.generate(voices[0], QUESTION, n=3, **fields)
    assert len({choice.text for choice in three.choices.values()}) == 3
    assert client.generate(voices[0], QUESTION, **fields).said == three.said[:1]


def test_a_stop_string_ends_a_sentence(client):
    free = client.generate("base", QUESTION, max_tokens=40, sampling={"temperature": 0.0}).only.text
    stop = free[12:16]
    answer = client.generate("base", QUESTION, stop=[stop], **FIELDS)
    assert (answer.only.finish, answer.only.stop_string) == ("STOP", stop)
    assert answer.only.text == free[: free.index(stop)]


def test_a_prefix_is_found_again(client):
    messages = [("system", "You answer in one word. " * 10), ("user", "Sea or land?")]
    first = client.generate("base", messages, **FIELDS)
    again = client.generate("base", messages, **FIELDS)
    assert again.usage.cached_tokens >= 48 > first.usage.cached_tokens
    assert again.said == first.said


def test_an_adapter_of_another_models_shape_is_refused(client):
    import adapter_files

    with pytest.raises(grpc.RpcError) as error:
        client.upload("tiny", adapter_files.make(1, 4, layers=30))
    assert refusal_of(error.value).reason == "ADAPTER_TENSOR_SHAPE"


def test_the_context_is_8192_tokens(client):
    with pytest.raises(grpc.RpcError) as error:
        client.generate("base", [5] * 8000, max_tokens=193)
    assert refusal_of(error.value).reason == "MAX_TOKENS_TOO_LARGE"
