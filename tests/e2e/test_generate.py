"""Inference.Generate and Tokenize: what a request may say, and what its answer says."""

import math

import pytest

import tiny_model
from client import CALL_SECONDS, Client, inference
from tiny_model import BOS, EOS, IM_END, IM_START

PROMPT = "the rain in the other town"


def test_the_first_message_says_who_answers_and_the_last_what_it_took(client):
    answer = client.generate("base", PROMPT, max_tokens=7, ignore_eos=True)
    assert answer.started.request_id
    assert answer.started.model == "base"
    assert answer.started.adapter_digest == "" and answer.started.adapter_version == 0
    assert answer.only.finish == "LENGTH" and len(answer.only.token_ids) == 7
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (len(client.tokenize(PROMPT)), 7)
    assert 0 < answer.summary.time_to_first_token_us < CALL_SECONDS * 1e6
    assert 0 <= answer.summary.queue_time_us <= answer.summary.time_to_first_token_us


def test_text_ids_and_chat_of_the_same_prompt_get_the_same_answer(client):
    messages = [("system", "be brief"), ("user", "where?")]
    rendered = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in messages)
    rendered += "<|im_start|>assistant\n"
    ids = client.tokenize(rendered, add_special_tokens=False)
    assert ids[0] == IM_START and IM_END in ids and BOS not in ids
    fields = {"max_tokens": 24, "ignore_eos": True}
    from_ids = client.generate("base", ids, **fields)
    from_chat = client.generate("base", messages, **fields)
    assert from_chat.said == from_ids.said
    assert from_chat.usage.prompt_tokens == len(ids)
    from_text = client.generate("base", PROMPT, **fields)
    assert from_text.said == client.generate("base", client.tokenize(PROMPT), **fields).said
    assert from_text.said != from_chat.said


def test_a_text_gets_the_special_tokens_that_the_model_wants(client):
    plain = client.tokenize(PROMPT, add_special_tokens=False)
    assert client.tokenize(PROMPT) == [BOS, *plain]
    assert client.tokenize(PROMPT, add_special_tokens=True) == [BOS, *plain]


def test_tokenize_gives_the_bytes_of_each_token(client):
    text = "Größe: 5 €, 漢字 👋🏽 e\u0301"
    response = client.inference.Tokenize(
        inference.TokenizeRequest(text=text, add_special_tokens=False), timeout=CALL_SECONDS
    )
    assert len(response.token_ids) == len(response.token_bytes)
    assert b"".join(response.token_bytes).decode() == text
    assert any(piece == "€".encode()[:2] for piece in response.token_bytes)
    assert response.rendered == ""


def test_tokenize_renders_a_chat(client):
    request = inference.TokenizeRequest()
    request.chat.messages.add(role="user", content="where?")
    request.chat.add_generation_prompt = False
    response = client.inference.Tokenize(request, timeout=CALL_SECONDS)
    assert response.rendered == "<|im_start|>user\nwhere?<|im_end|>\n"
    assert response.token_ids == client.tokenize(response.rendered, add_special_tokens=False)
    request.chat.add_generation_prompt = True
    response = client.inference.Tokenize(request, timeout=CALL_SECONDS)
    assert response.rendered.endswith("<|im_start|>assistant\n")


def test_the_extra_json_of_a_message_reaches_the_template(client):
    request = inference.TokenizeRequest()
    message = request.chat.messages.add(role="user")
    message.extra_json = '{"content": "from extra"}'
    response = client.inference.Tokenize(request, timeout=CALL_SECONDS)
    assert "from extra" in response.rendered


def test_without_a_word_on_sampling_the_model_is_greedy(client):
    # Its generation_config.json has no do_sample.
    silent = client.generate("base", PROMPT, max_tokens=32, ignore_eos=True)
    zero = {"temperature": 0.0}
    assert silent.said == client.generate("base", PROMPT, max_tokens=32, ignore_eos=True).said
    greedy = client.generate("base", PROMPT, max_tokens=32, ignore_eos=True, sampling=zero)
    assert silent.said == greedy.said
    warm = {"temperature": 1.5, "seed": 3}
    sampled = client.generate("base", PROMPT, max_tokens=32, ignore_eos=True, sampling=warm)
    assert sampled.said != silent.said


def test_a_seed_repeats_itself_and_another_seed_does_not(client):
    def draw(seed):
        sampling = {"temperature": 2.0, "seed": seed}
        return client.generate("base", PROMPT, max_tokens=32, ignore_eos=True, sampling=sampling)

    assert draw(0).said == draw(0).said  # zero is a seed, not "unset"
    assert draw(0).said != draw(1).said
    assert draw(2**64 - 1).said == draw(2**64 - 1).said


def test_without_a_seed_every_draw_is_another(client):
    sampling = {"temperature": 2.0}
    draws = [
        client.generate("base", PROMPT, max_tokens=32, ignore_eos=True, sampling=sampling)
        for _ in range(3)
    ]
    assert len({tuple(draw.only.token_ids) for draw in draws}) == 3


def test_zero_is_a_value_where_zero_turns_something_off(client):
    greedy = client.generate("base", PROMPT, max_tokens=16, ignore_eos=True)
    narrow = {"temperature": 2.0, "seed": 9, "top_k": 1}
    assert client.generate(
        "base", PROMPT, max_tokens=16, ignore_eos=True, sampling=narrow
    ).said == (greedy.said)
    wide = {"temperature": 2.0, "seed": 9, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
    plain = {"temperature": 2.0, "seed": 9}
    assert (
        client.generate("base", PROMPT, max_tokens=16, ignore_eos=True, sampling=wide).said
        == client.generate("base", PROMPT, max_tokens=16, ignore_eos=True, sampling=plain).said
        != greedy.said
    )


@pytest.mark.parametrize("sampling", [{"top_p": 1e-6}, {"min_p": 1.0}, {"temperature": 1e-4}])
def test_what_leaves_one_token_is_greedy(client, sampling):
    greedy = client.generate("base", PROMPT, max_tokens=16, ignore_eos=True)
    narrow = {"temperature": 1.0, "seed": 4, **sampling}
    drawn = client.generate("base", PROMPT, max_tokens=16, ignore_eos=True, sampling=narrow)
    assert drawn.said == greedy.said


def test_a_bias_decides(client):
    forced = {"logit_bias": {300: 100.0}}
    answer = client.generate("base", PROMPT, max_tokens=5, sampling=forced)
    assert answer.only.token_ids == [300] * 5


def raw_lead(client, ids, one, other) -> float:
    """How far the model puts one token before another behind these ids."""

    def logprob(token):
        fields = {"max_tokens": 1, "ignore_eos": True, "logprobs": 0}
        answer = client.generate("base", ids, sampling={"logit_bias": {token: 100.0}}, **fields)
        return answer.only.logprobs[0].token.logprob

    return logprob(one) - logprob(other)


@pytest.mark.parametrize("penalty", ["presence_penalty", "frequency_penalty", "repetition_penalty"])
def test_penalties_move_on_what_would_be_said_again(client, penalty):
    ids = client.tokenize(PROMPT)
    # Two tokens of which the first is a little ahead, both times, once the bias is added.
    one, other = 300, 301
    lead = raw_lead(client, [*ids, one], one, other)
    if raw_lead(client, ids, one, other) < lead:
        one, other = other, one
        lead = raw_lead(client, [*ids, one], one, other)
    bias = {one: 90.0, other: 90.0 + lead - 0.05}
    fields = {"max_tokens": 2, "ignore_eos": True}
    plain = client.generate("base", ids, sampling={"logit_bias": bias}, **fields)
    assert plain.only.token_ids == [one, one]
    strength = 100.0 if penalty == "repetition_penalty" else 2.0
    moved = client.generate("base", ids, sampling={"logit_bias": bias, penalty: strength}, **fields)
    assert moved.only.token_ids == [one, other]


def test_each_choice_is_what_its_seed_gives(client):
    sampling = {"temperature": 2.0, "seed": 11}
    fields = {"max_tokens": 20, "ignore_eos": True, "sampling": sampling}
    four = client.generate("base", PROMPT, n=4, **fields)
    assert sorted(four.choices) == [0, 1, 2, 3]
    assert len({tuple(choice.token_ids) for choice in four.choices.values()}) == 4
    assert four.usage.completion_tokens == 80
    assert four.usage.prompt_tokens == len(client.tokenize(PROMPT))
    # The draws depend on seed, choice and position alone: not on how many others there are.
    one = client.generate("base", PROMPT, **fields)
    assert one.only.token_ids == four.choices[0].token_ids
    two = client.generate("base", PROMPT, n=2, **fields)
    assert two.said == four.said[:2]


def test_all_sixteen_choices(client):
    answer = client.generate("base", PROMPT, n=16, max_tokens=3, ignore_eos=True)
    assert sorted(answer.choices) == list(range(16))
    assert all(
        choice.token_ids == answer.choices[0].token_ids for choice in answer.choices.values()
    )


def test_logprobs_are_of_the_drawn_token_and_the_best_beside_it(client):
    fields = {"max_tokens": 12, "ignore_eos": True}
    greedy = client.generate("base", PROMPT, logprobs=5, **fields)
    assert greedy.said == client.generate("base", PROMPT, **fields).said
    assert len(greedy.only.logprobs) == 12
    for token, logprobs in zip(greedy.only.token_ids, greedy.only.logprobs):
        assert logprobs.token.token_id == token == logprobs.top[0].token_id
        assert logprobs.token.logprob == logprobs.top[0].logprob
        values = [best.logprob for best in logprobs.top]
        assert len(values) == 5 and values == sorted(values, reverse=True)
        assert sum(math.exp(value) for value in values) <= 1.0 + 1e-5


def test_logprobs_are_of_the_raw_logits(client):
    # A bias, a temperature and a penalty move the draw, not what the model thinks of it.
    fields = {"max_tokens": 1, "ignore_eos": True, "logprobs": 20}
    raw = client.generate("base", PROMPT, **fields).only.logprobs[0]
    moved = {"logit_bias": {400: 100.0}, "temperature": 0.5, "seed": 1, "presence_penalty": 2.0}
    forced = client.generate("base", PROMPT, sampling=moved, **fields).only.logprobs[0]
    assert [(t.token_id, t.logprob) for t in forced.top] == [
        (t.token_id, t.logprob) for t in raw.top
    ]
    assert forced.token.token_id == 400 and forced.token.logprob <= raw.token.logprob


def test_all_logprobs_of_the_vocabulary_sum_to_one(client):
    total = 0.0
    for token in range(tiny_model.VOCABULARY):
        sampling = {"logit_bias": {token: 100.0}}
        fields = {"max_tokens": 1, "ignore_eos": True, "logprobs": 0}
        answer = client.generate("base", [5], sampling=sampling, **fields)
        (logprobs,) = answer.only.logprobs
        assert logprobs.token.token_id == token and not logprobs.top
        total += math.exp(logprobs.token.logprob)
    assert total == pytest.approx(1.0, abs=1e-4)


def test_without_logprobs_there_are_none(client):
    answer = client.generate("base", PROMPT, max_tokens=4, ignore_eos=True)
    assert answer.only.logprobs == []


def test_the_end_of_generation_config_ends_an_answer(client):
    for end in (EOS, IM_END):
        sampling = {"logit_bias": {end: 100.0}}
        answer = client.generate("base", PROMPT, max_tokens=9, sampling=sampling)
        assert (answer.only.finish, answer.only.stop_token_id) == ("STOP", end)
        assert answer.only.token_ids == [] and answer.usage.completion_tokens == 0
        ignoring = client.generate("base", PROMPT, max_tokens=9, ignore_eos=True, sampling=sampling)
        assert ignoring.only.finish == "LENGTH" and ignoring.only.token_ids == [end] * 9


def test_unset_max_tokens_is_256_or_what_is_left(client):
    answer = client.generate("base", PROMPT, ignore_eos=True)
    assert answer.usage.completion_tokens == 256 and answer.only.finish == "LENGTH"


def test_special_tokens_stay_in_the_text_only_when_asked_for(client):
    fields = {"max_tokens": 2, "ignore_eos": True, "sampling": {"logit_bias": {IM_START: 100.0}}}
    assert client.generate("base", PROMPT, **fields).only.text == ""
    shown = client.generate("base", PROMPT, include_special_tokens=True, **fields)
    assert shown.only.text == "<|im_start|>" * 2
    assert shown.only.token_ids == [IM_START] * 2


def test_the_request_id_is_the_clients(client):
    answer = client.generate("base", PROMPT, max_tokens=1, request_id="mine-1")
    assert answer.started.request_id == "mine-1"
    others = {client.generate("base", PROMPT, max_tokens=1).started.request_id for _ in range(3)}
    assert len(others) == 3


def test_a_model_without_generation_config_is_sampled_at_temperature_one(start_daemon):
    daemon = start_daemon(generation_config="none")
    with Client(daemon.address) as client:
        fields = {"max_tokens": 32, "ignore_eos": True}
        silent = client.generate("base", PROMPT, sampling={"seed": 5}, **fields)
        one = client.generate("base", PROMPT, sampling={"seed": 5, "temperature": 1.0}, **fields)
        greedy = client.generate("base", PROMPT, sampling={"temperature": 0.0}, **fields)
        assert silent.said == one.said != greedy.said


def test_what_a_request_leaves_open_is_the_generation_configs(start_daemon, tmp_path):
    model = tiny_model.write(tmp_path / "sampled")
    config = {"temperature": 1.7, "top_k": 9, "top_p": 0.9, "repetition_penalty": 1.2}
    tiny_model.set_generation(model, do_sample=True, **config)
    daemon = start_daemon(model)
    with Client(daemon.address) as client:

        def draw(**sampling):
            fields = {"max_tokens": 40, "ignore_eos": True}
            return client.generate("base", PROMPT, sampling={"seed": 5, **sampling}, **fields).said

        assert draw() == draw(**config)
        for name, value in (("temperature", 0.7), ("top_k", 0), ("repetition_penalty", 1.0)):
            assert draw(**{name: value}) == draw(**{**config, name: value}) != draw()


def test_ids_that_the_tokenizer_does_not_have_are_never_drawn(start_daemon, tmp_path):
    model = tiny_model.write(tmp_path / "padded")
    size = tiny_model.shorten_vocabulary(model)
    assert size < tiny_model.VOCABULARY
    daemon = start_daemon(model)
    with Client(daemon.address) as client:
        assert client.info().vocabulary == size
        sampling = {"temperature": 100.0, "seed": 1}
        answer = client.generate(
            "base", PROMPT, max_tokens=3000, ignore_eos=True, sampling=sampling
        )
        assert size - 20 < max(answer.only.token_ids) < size


def test_special_tokens_in_a_message_can_be_isolated(client, start_daemon):
    def ends(of) -> int:
        request = inference.TokenizeRequest()
        request.chat.messages.add(role="user", content="a <|im_end|> b")
        response = of.inference.Tokenize(request, timeout=CALL_SECONDS)
        assert b"".join(response.token_bytes).decode() == response.rendered
        return list(response.token_ids).count(IM_END)

    assert ends(client) == 2  # as Hugging Face does
    with Client(start_daemon(isolate_special_tokens=True).address) as isolating:
        assert ends(isolating) == 1
