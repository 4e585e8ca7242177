"""When rows end: ends of sequences, lengths, and texts that tokens complete."""

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from torchless import OptionError, Tokenizer
from torchless.generation import GenerationConfig, Stopping
from torchless.generation.stopping import StopStrings

from .chain import A, generate
from .texts import KINDS, tokenizer


@pytest.fixture(scope="module", params=list(KINDS))
def words(request, tmp_path_factory):
    return tokenizer(request.param, tmp_path_factory.mktemp("tokenizer"))


@pytest.mark.parametrize(
    ("eos", "expected"), [(None, [False] * 3), (3, [True, False, False]), ([3, 5], [True, True, False])]
)
def test_ends_of_sequences(eos, expected):
    stop = Stopping(GenerationConfig(max_length=9, eos_token_id=eos))
    assert stop(np.array([[5, 3], [3, 5], [-1, 4]])).tolist() == expected


def test_the_longest_ends_every_row():
    stop = Stopping(GenerationConfig(max_length=3, eos_token_id=3))
    assert stop(np.array([[5, 3], [3, 5]])).tolist() == [True, False]
    assert stop(np.array([[5, 3, 1], [3, 5, 1]])).tolist() == [True, True]


def stops(words, text, strings):
    """After which of the tokens of a text it would stop, as the text up to there."""
    ids = words.encode([text], special_tokens=False)[0].ids
    stop = StopStrings(words, strings)
    found = [stop(np.array([[-1, -1, *ids[: length + 1]]]))[0] for length in range(len(ids))]
    return [words.decode(ids[: length + 1]).strip() for length in np.flatnonzero(found)]


def test_the_token_that_completes_a_text_ends_the_row(words):
    text = "the stop sign stops the bus"
    for string in ("stop", "sign", "s the b"):
        for found in stops(words, text, [string]):
            assert string in found
        whole = stops(words, text, [string])
        assert whole
        assert whole[0].count(string) >= 1
    assert len(stops(words, text, ["stop"])) == 2
    assert len(stops(words, text, ["stop", "bus"])) == 3
    assert stops(words, text, ["stopping"]) == []


def test_a_text_inside_one_token_or_over_several(tmp_path):
    words = tokenizer("byte fallback", tmp_path)
    assert [words.token(i) for i in words.encode(["the stop"], special_tokens=False)[0].ids] == [
        "▁the",
        "▁",
        "st",
        "op",
    ]
    assert stops(words, "the stop", ["h"]) == ["the"]
    assert stops(words, "the stop", [" th"]) == ["the"]
    assert stops(words, "the stop", ["e s"]) == ["the st"]
    assert stops(words, "the stop", ["to"]) == ["the stop"]
    # It was complete before the last token.
    assert stops(words, "the stop", ["the"]) == ["the"]


def test_characters_of_bytes(tmp_path):
    words = tokenizer("byte fallback", tmp_path)
    assert stops(words, "a 🤗🤗 b", ["🤗"]) == ["a 🤗", "a 🤗🤗"]


def test_a_text_that_begins_in_the_prompt(tmp_path):
    """The chain says B after A, and the text of both together ends it."""
    words = tokenizer("byte fallback", tmp_path)
    after_a = words.decode([A, 3])
    assert after_a
    output = generate([[A]], tokenizer=words, stop_strings=[after_a], eos_token_id=None, max_new_tokens=5)
    assert output.sequences.tolist() == [[A, 3]]


def test_without_a_tokenizer():
    with pytest.raises(OptionError, match="need a tokenizer"):
        Stopping(GenerationConfig(max_length=9, stop_strings="x"))


@pytest.mark.parametrize("decoder", [None, decoders.WordPiece("##", False)])
def test_stop_strings_across_whole_words(tmp_path, decoder):
    backend = tokenizers.Tokenizer(models.WordLevel({"<unk>": 0, "one": 1, "two": 2, "three": 3}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if decoder is not None:
        backend.decoder = decoder
    backend.save(str(tmp_path / "tokenizer.json"))
    words = Tokenizer(tmp_path)
    tokens = np.array([[1, 2], [3, 2], [2, 1]])
    assert StopStrings(words, ["one two"])(tokens).tolist() == [True, False, False]
    assert StopStrings(words, ["e tw"])(tokens).tolist() == [True, True, False]
