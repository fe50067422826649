"""Stop strings, stop ids and the bytes of tokens, on text of every kind."""

import pytest

import tiny_model
from client import CALL_SECONDS, inference

PROMPT = "one of the men"
# Draws what no text looks like: halves of characters, special tokens, single bytes.
WILD = {"temperature": 3.0}
LETTERS = "etaoinshrdlu ,.\n"


@pytest.fixture(scope="module")
def plain_ids(shared_client) -> dict:
    """A bias that leaves only letters, and pairs of them: text like text."""
    allowed = set()
    for first in LETTERS:
        for second in LETTERS:
            allowed.update(shared_client.tokenize(first + second, add_special_tokens=False))
    banned = set(range(tiny_model.VOCABULARY)) - allowed
    return {token: -100.0 for token in banned}


def draw(client, seed, sampling, **fields):
    sampling = {**sampling, "seed": seed}
    return client.generate("base", PROMPT, ignore_eos=True, sampling=sampling, **fields)


def token_bytes(choice) -> list:
    return [logprobs.token.bytes for logprobs in choice.logprobs]


@pytest.mark.parametrize("seed", range(20))
def test_the_bytes_of_the_tokens_are_the_text(client, seed):
    answer = draw(client, seed, WILD, max_tokens=200, logprobs=0, include_special_tokens=True)
    assert len(answer.only.token_ids) == len(answer.only.logprobs) == 200
    whole = b"".join(token_bytes(answer.only))
    # What is not UTF-8 becomes U+FFFD, one for each maximal part, as Unicode recommends.
    assert answer.only.text == whole.decode("utf-8", "replace")
    assert "\ufffd" in answer.only.text


@pytest.mark.parametrize("seed", range(10))
def test_every_delta_is_whole_characters(client, plain_ids, seed):
    euro = client.tokenize("€漢é👋", add_special_tokens=False)
    bias = {token: 0.0 for token in range(tiny_model.VOCABULARY)}
    bias = {token: -100.0 for token in bias if token not in euro}
    request = inference.GenerateRequest(model="base", text=PROMPT, max_tokens=60, ignore_eos=True)
    request.sampling.seed = seed
    request.sampling.temperature = 2.0
    for token, value in bias.items():
        request.sampling.logit_bias.add(token_id=token, bias=value)
    text = "".join(
        delta.text
        for message in client.inference.Generate(request, timeout=CALL_SECONDS)
        for delta in message.choices
    )
    again = client.generate(
        "base",
        PROMPT,
        max_tokens=60,
        ignore_eos=True,
        logprobs=0,
        sampling={"seed": seed, "temperature": 2.0, "logit_bias": bias},
    )
    assert text == b"".join(token_bytes(again.only)).decode("utf-8", "replace")


def expected_cut(choice, stops):
    """Where the first stop string begins, which it is, and the tokens that began before it."""
    pieces = token_bytes(choice)
    whole = b"".join(pieces).decode()  # ASCII alone: a byte is a character
    # As the text grows, the stop that is complete first ends it; of those that one token
    # completes, the one that begins first.
    begins = [(whole.find(stop), i) for i, stop in enumerate(stops)]
    length = 0
    for piece in pieces:
        length += len(piece)
        complete = [(at, i) for at, i in begins if 0 <= at <= length - len(stops[i])]
        if complete:
            at, which = min(complete)
            break
    kept, begin = 0, 0
    for piece in pieces:
        if begin >= at:
            break
        begin += len(piece)
        kept += 1
    return whole[:at], stops[which], kept


@pytest.mark.parametrize("seed", range(24))
def test_a_stop_string_cuts_text_and_tokens_where_it_begins(client, plain_ids, seed):
    sampling = {"temperature": 1.5, "logit_bias": plain_ids}
    free = draw(client, seed, sampling, max_tokens=150, logprobs=0).only
    text = free.text
    assert len(text) >= 150 and text.isascii()
    # A piece of the text from somewhere, whatever the tokens are, beside stops that never come and
    # stops whose beginnings do.
    at = 5 + seed * 4
    stops = ["\n\n\n\nZ", text[at : at + 1 + seed % 6], text[at + 9 : at + 12], text[:30] + "Z"]
    cut, stop, kept = expected_cut(free, stops)
    answer = draw(client, seed, sampling, max_tokens=150, stop=stops, logprobs=0)
    assert answer.only.text == cut
    assert (answer.only.finish, answer.only.stop_string) == ("STOP", stop)
    assert answer.only.stop_token_id is None
    assert answer.only.token_ids == free.token_ids[:kept]
    assert len(answer.only.logprobs) == kept
    assert answer.usage.completion_tokens == kept


def test_some_stop_strings_do_lie_across_tokens(client, plain_ids):
    """Else the test above would prove less than it says."""
    sampling = {"temperature": 1.5, "logit_bias": plain_ids}
    free = draw(client, 1, sampling, max_tokens=150, logprobs=0).only
    pieces = token_bytes(free)
    assert {len(piece) for piece in pieces} >= {1, 2}
    pairs = [a + b for a, b in zip(pieces, pieces[1:])]
    across = next(pair for pair in pairs if all(pair not in piece for piece in pieces))
    answer = draw(client, 1, sampling, max_tokens=150, stop=[across.decode()])
    assert (answer.only.finish, answer.only.stop_string) == ("STOP", across.decode())
    assert answer.only.text == free.text[: free.text.index(across.decode())]


def test_text_held_back_for_a_stop_that_does_not_come_is_given_at_the_end(client, plain_ids):
    sampling = {"temperature": 1.5, "logit_bias": plain_ids}
    free = draw(client, 2, sampling, max_tokens=40).only
    answer = draw(client, 2, sampling, max_tokens=40, stop=[free.text[-3:] + "Z"])
    assert answer.only.text == free.text
    assert answer.only.token_ids == free.token_ids and answer.only.finish == "LENGTH"


def test_a_choice_that_stops_leaves_the_others_running(client, plain_ids):
    sampling = {"temperature": 1.5, "seed": 7, "logit_bias": plain_ids}
    fields = {"n": 4, "max_tokens": 60, "ignore_eos": True, "sampling": sampling}
    free = client.generate("base", PROMPT, **fields)
    stop = free.choices[2].text[20:26]
    others = [i for i in range(4) if stop not in free.choices[i].text]
    assert others, "every choice says the same six characters"
    answer = client.generate("base", PROMPT, stop=[stop], **fields)
    assert answer.choices[2].finish == "STOP"
    assert free.choices[2].text.startswith(answer.choices[2].text)
    for i in others:
        assert answer.choices[i] == free.choices[i]
    assert answer.usage.completion_tokens == sum(len(c.token_ids) for c in answer.choices.values())


def test_a_stop_id_ends_an_answer(client):
    free = draw(client, 3, {"temperature": 2.0}, max_tokens=50)
    at = next(i for i in range(10, 50) if free.only.token_ids[i] not in free.only.token_ids[:i])
    stop = free.only.token_ids[at]
    answer = draw(client, 3, {"temperature": 2.0}, max_tokens=50, stop_token_ids=[stop])
    assert (answer.only.finish, answer.only.stop_token_id) == ("STOP", stop)
    assert answer.only.token_ids == free.only.token_ids[:at]
    assert answer.only.stop_string == ""
    assert answer.usage.completion_tokens == at


def test_a_stop_string_in_a_special_token_works_only_where_it_is_shown(client):
    sampling = {"logit_bias": {tiny_model.IM_START: 100.0}}
    fields = {"max_tokens": 3, "stop": ["im_start"], "sampling": sampling}
    hidden = client.generate("base", PROMPT, **fields)
    assert hidden.only.finish == "LENGTH" and hidden.usage.completion_tokens == 3
    shown = client.generate("base", PROMPT, include_special_tokens=True, **fields)
    assert (shown.only.finish, shown.only.text) == ("STOP", "<|")
