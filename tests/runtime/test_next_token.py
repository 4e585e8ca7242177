"""Next token: distributions that can be worked out by hand."""

import numpy as np
import pytest

from torchless import InputError, OptionError, pipeline

from .generation_factories import ids, make_causal

TASK = "next-token"
# Probabilities of 8, 4, 2, 1 of 15.
FOLLOW = {"a": {letter: float(np.log(2)) * power for power, letter in enumerate("wxyz")}, "<s>": {"a": 1}}


@pytest.fixture
def follow(tmp_path):
    return pipeline(TASK, make_causal(tmp_path, FOLLOW))


def scores(answers):
    return {answer["token_str"]: pytest.approx(answer["score"], rel=1e-5) for answer in answers}


def test_the_distribution(follow):
    found = follow("a")
    assert [set(answer) for answer in found] == [{"token", "token_str", "score"}] * 4
    assert [answer["token"] for answer in found] == ids("zyxw")
    assert scores(found) == {"z": 8 / 15, "y": 4 / 15, "x": 2 / 15, "w": 1 / 15}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"top_k": 1}, {"z": 1}),
        ({"top_k": 3}, {"z": 8 / 14, "y": 4 / 14, "x": 2 / 14}),
        ({"top_k": None}, {"z": 8 / 15, "y": 4 / 15, "x": 2 / 15, "w": 1 / 15}),
        ({"top_k": 0}, {"z": 8 / 15, "y": 4 / 15, "x": 2 / 15, "w": 1 / 15}),
        ({"top_p": 0.5}, {"z": 1}),
        ({"top_p": 0.7}, {"z": 2 / 3, "y": 1 / 3}),
        ({"top_k": 3, "top_p": 0.9}, {"z": 8 / 14, "y": 4 / 14, "x": 2 / 14}),
        ({"top_k": 2, "top_p": 0.6}, {"z": 1}),
        ({"temperature": 0.5}, {"z": 64 / 85, "y": 16 / 85, "x": 4 / 85, "w": 1 / 85}),
        ({"temperature": 0.5, "top_k": 2}, {"z": 0.8, "y": 0.2}),
        ({"temperature": 0.5, "top_p": 0.9}, {"z": 0.8, "y": 0.2}),
    ],
)
def test_filters(follow, options, expected):
    assert scores(follow("a", **options)) == expected
    assert sum(answer["score"] for answer in follow("a", **options)) == pytest.approx(1)


def test_equals_of_the_last_are_not_too_many(tmp_path):
    follow = pipeline(TASK, make_causal(tmp_path, {"a": {"x": 1, "y": 1, "z": 1}}), top_k=2)
    assert [answer["token_str"] for answer in follow("a")] == ["x", "y"]


def test_lists_and_iterables(follow):
    texts = ["a", "za", "", "yyyya"]
    expected = [follow(text) for text in texts]
    for found in (follow(texts), list(follow(iter(texts)))):
        assert [scores(one) for one in found] == [scores(one) for one in expected]
    assert follow([]) == []


def test_rows_of_several_lengths_run_together(follow, monkeypatch):
    rows, real = [], follow.generator.new_cache
    monkeypatch.setattr(follow.generator, "new_cache", lambda *sizes: rows.append(sizes) or real(*sizes))
    follow(["za", "aa", "xa"])
    assert rows == [(3, 2)]


def test_an_empty_text_begins_with_the_beginning_of_sequence_token(follow, tmp_path):
    assert scores(follow("")) == {"a": 1}
    with pytest.raises(InputError, match="an empty text cannot be continued"):
        pipeline(TASK, make_causal(tmp_path / "other", FOLLOW, bos_token_id=None))("")


def test_a_prefix(follow):
    assert scores(follow("", prefix="za", top_k=1)) == {"z": 1}


def test_a_prompt_that_fills_the_context(tmp_path):
    follow = pipeline(TASK, make_causal(tmp_path, FOLLOW, max_position_embeddings=4))
    assert scores(follow("zza", top_k=1)) == {"z": 1}
    with pytest.raises(InputError, match="the prompt has 4 tokens, and the model reads 4"):
        follow("zzza")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"top_k": -1}, "top_k"), ({"top_k": "many"}, "top_k"), ({"top_p": 1.5}, "top_p"), ({"top_p": "x"}, "top_p"),
     ({"temperature": 0}, "temperature"), ({"temperature": -1}, "temperature"), ({"prefix": 5}, "prefix"),
     ({"add_special_tokens": "yes"}, "add_special_tokens"), ({"do_sample": True}, "no option 'do_sample'")],
)  # fmt: skip
def test_malformed_options(follow, options, message):
    with pytest.raises(OptionError, match=message):
        follow("a", **options)
    with pytest.raises(OptionError, match=message):
        pipeline(TASK, follow.bundle, **options)


def test_it_does_not_write(follow):
    with pytest.raises(ValueError, match="next-token does not answer piece by piece"):
        follow.stream("a")
