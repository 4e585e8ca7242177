"""What the recipes of checkpoints that hear and see rest on: splits that share nothing, and their measure."""

from __future__ import annotations

from random import Random

import pytest

from examples.training.data import commands, keywords, pictures, voices
from examples.training.stock import Stock

pytestmark = pytest.mark.export


@pytest.mark.parametrize("part", [voices.VARIANTS, voices.SPEEDS, voices.PITCHES, keywords.OTHERS])
def test_held_out_voices_and_words_are_those_of_nobody_else(part):
    assert part["train"]
    assert part["test"]
    assert not set(part["train"]) & set(part["test"])


def test_held_out_sentences_are_never_trained_on():
    rng = Random(0)
    train = {commands.sentence(rng, "train") for _ in range(2000)}
    test = {commands.sentence(rng, "test") for _ in range(300)}
    assert not train & test
    known = {word for text in train for word in text.split()}
    assert {word for text in test for word in text.split()} <= known
    assert set("".join(train | test).upper()) <= {*commands.CHARACTERS, " "}


def test_held_out_pairs_of_colours():
    pairs = [(a, b) for a in pictures.COLOURS for b in pictures.COLOURS if a != b]
    assert sum(pictures.held_out(*pair) for pair in pairs) == len(pairs) * 2 // 7
    assert len({label.split()[0] for label in pictures.LABELS}) * len(pictures.SHAPES) == len(pictures.LABELS)


def test_pictures_are_those_of_the_seed():
    one, other = (pictures.make(Random(7), 3) for _ in range(2))
    assert [(e.image.tobytes(), e.label) for e in one] == [(e.image.tobytes(), e.label) for e in other]


def test_a_room_keeps_the_length_and_the_range():
    clip = voices.silence(Random(1), 8_000)
    heard = voices.record(Random(2), clip, before=100, after=300)
    assert heard.shape == (8_400,)
    assert 0.01 < abs(heard).max() <= 1


def test_stock_uses_examples_again():
    made = Stock(lambda rng: object(), size=5, fresh=0.1)
    rng = Random(0)
    given = [made(rng) for _ in range(200)]
    assert 10 < len(set(map(id, given))) < 60
    assert len(made.kept) == 5


def test_error_rate():
    from examples.training.evaluate import error_rate

    assert error_rate([["a", "b"], []], [["a", "c", "d"], ["e"]]) == 3 / 4
    assert error_rate(["kitten"], ["sitting"]) == 3 / 7
    assert error_rate(["same"], ["same"]) == 0


def test_filters_hear_their_own_band():
    import torch

    from examples.training.init import filter_bank

    weight = torch.empty(64, 1, 200)
    filter_bank(weight)
    time = torch.arange(16_000) / 16_000
    loudest = []
    for frequency in (200, 500, 1000, 3000, 6000):
        heard = torch.nn.functional.conv1d(torch.sin(2 * torch.pi * frequency * time)[None, None], weight)
        loudest.append(int(heard[0].pow(2).mean(-1).unflatten(0, (-1, 2)).sum(-1).argmax()))
    assert loudest == sorted(set(loudest))
    assert loudest[0] > 0
    assert loudest[-1] < 31
