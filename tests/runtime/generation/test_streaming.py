"""Pieces of text: joined they are the whole text, none has half a character, and each costs the same."""

import numpy as np
import pytest

from torchless.generation import TextStream

from .texts import KINDS, TEXTS, tokenizer

HALF = "\ufffd"


@pytest.fixture(scope="module", params=list(KINDS))
def words(request, tmp_path_factory):
    return tokenizer(request.param, tmp_path_factory.mktemp("tokenizer"))


def encode(words, text):
    return words.encode([text], special_tokens=False)[0].ids


@pytest.mark.parametrize("text", [*TEXTS, " ".join(TEXTS * 4)])
def test_pieces_are_the_text(words, text):
    ids = encode(words, text)
    stream = TextStream(words.decode)
    pieces = [*map(stream.feed, ids), stream.end()]
    assert "".join(pieces) == words.decode(ids, skip_special_tokens=True)
    assert not any(HALF in piece for piece in pieces)
    assert sum(map(bool, pieces)) > len(pieces) / 8  # it does come in pieces


@pytest.mark.parametrize("seed", range(5))
def test_pieces_of_any_tokens_are_the_text(tmp_path, seed):
    words = tokenizer("byte level", tmp_path)
    ids = np.random.default_rng(seed).integers(0, len(words), 200)
    stream = TextStream(words.decode)
    assert "".join([*map(stream.feed, ids), stream.end()]) == words.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("size", [2, 5, 40])
def test_several_tokens_at_once(words, size):
    ids = encode(words, " ".join(TEXTS * 2))
    stream = TextStream(words.decode)
    pieces = [stream.feed(ids[place : place + size]) for place in range(0, len(ids), size)]
    assert "".join([*pieces, stream.end()]) == words.decode(ids, skip_special_tokens=True)


def test_a_character_waits_for_its_last_byte(tmp_path):
    words = tokenizer("byte fallback", tmp_path)
    ids = encode(words, "st 🤗!")
    stream = TextStream(words.decode)
    assert [words.token(i) for i in ids] == ["▁", "st", "▁", "<0xF0>", "<0x9F>", "<0xA4>", "<0x97>", "!"]
    assert [stream.feed(i) for i in ids] == ["", "st", "", "", "", "", " 🤗", "!"]
    assert stream.end() == ""


def test_two_characters_of_bytes_follow_each_other(tmp_path):
    """The decoder gives up a whole run of bytes while its last character is not complete; what was shown stays."""
    words = tokenizer("byte fallback", tmp_path)
    stream = TextStream(words.decode)
    assert [stream.feed(i) for i in encode(words, "你好")] == ["", "", "", "你", "", "", "好"]


def test_half_a_character_at_the_end_shows_as_what_it_is(tmp_path):
    words = tokenizer("byte level", tmp_path)
    ids = encode(words, "ab 世")
    stream = TextStream(words.decode)
    pieces = [stream.feed(i) for i in ids[:-1]]
    assert "".join(pieces) in ("ab", "ab ")
    assert "".join(pieces) + stream.end() == words.decode(ids[:-1])


@pytest.mark.parametrize(
    ("text", "expected"), [("do n't , we 've . it ' s", "don't, we've. it's"), ("so , n ' t", "so,n't")]
)
def test_spaces_that_are_cleaned_up_are_not_shown_before(tmp_path, text, expected):
    letters = sorted({*text} - {" "})
    ids = {letter: place for place, letter in enumerate([" ", *letters])}
    names = {place: letter for letter, place in ids.items()}

    def decode(tokens, skip_special_tokens):
        words = "".join(names[token] for token in tokens)
        for spaced in (" .", " ?", " !", " ,"):
            words = words.replace(spaced, spaced[1:])
        words = words.replace(" ' ", "'")
        for spaced in (" n't", " 'm", " 's", " 've", " 're"):
            words = words.replace(spaced, spaced[1:])
        return words

    stream = TextStream(decode)
    assert "".join([*(stream.feed(ids[letter]) for letter in text), stream.end()]) == expected


def test_special_tokens_are_skipped_or_not(words):
    end = words.ids["eos"]
    (a, *rest) = encode(words, "stop stop")
    for skip in (True, False):
        stream = TextStream(words.decode, skip_special_tokens=skip)
        ids = [a, end, *rest, end]
        assert "".join([*map(stream.feed, ids), stream.end()]) == words.decode(ids, skip_special_tokens=skip)


def test_a_prompt_keeps_the_space_before_the_first_word(words):
    prompt, answer = encode(words, "Hello world! " + TEXTS[0] * 5), encode(words, "stop the bus")
    stream = TextStream(words.decode, prompt)
    text = "".join([*map(stream.feed, answer), stream.end()])
    assert words.decode(prompt) + text == words.decode(prompt + answer)


def test_end_begins_anew(words):
    stream = TextStream(words.decode)
    ids = encode(words, "the bus")
    first = "".join([*map(stream.feed, ids), stream.end()])
    assert first == "".join([*map(stream.feed, ids), stream.end()]) == words.decode(ids)


def test_work_for_a_token_is_bounded(words):
    decoded = []

    def decode(ids, skip_special_tokens):
        decoded.append(len(ids))
        return words.decode(ids, skip_special_tokens)

    ids = encode(words, " ".join(TEXTS)) * 30
    stream = TextStream(decode)
    for token in ids:
        stream.feed(token)
    assert max(decoded) <= 100
    assert sum(decoded) / len(ids) < 40


def test_work_for_many_special_tokens_is_bounded(words):
    """They have no text by which a window could be cut, so that it is tried ever more rarely."""
    calls = []

    def decode(ids, skip_special_tokens):
        calls.append(len(ids))
        return words.decode(ids, skip_special_tokens)

    stream = TextStream(decode)
    ids = [*[words.ids["eos"]] * 1000, *encode(words, "the bus")]
    assert "".join([*map(stream.feed, ids), stream.end()]) == words.decode(ids, skip_special_tokens=True)
    assert len(calls) < 4 * len(ids)
