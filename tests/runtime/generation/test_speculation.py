"""Prompt lookup: the tokens of greedy decoding with fewer runs of the model."""

import numpy as np
import pytest

from torchless.generation import GenerationConfig
from torchless.generation.speculation import continuation

from .chain import EOS, A, B, C, Chain, generate

# A B C A B C ... for ever.
CIRCLE = {0: (0, 0, 1, 0, 0), EOS: (0, 0, 1, 0, 0), A: (0, 0, 0, 1, 0), B: (0, 0.1, 0, 0, 0.9), C: (0, 0, 1, 0, 0)}


@pytest.mark.parametrize(
    ("tokens", "wanted", "size", "room", "expected"),
    [
        ([5, 6, 7, 5, 6], 2, 2, 9, [7, 5]),
        ([5, 6, 7, 5, 6], 9, 2, 9, [7, 5, 6]),
        ([5, 6, 7, 5, 6], 9, 2, 1, [7]),
        ([5, 6, 7, 5, 6], 9, 2, 0, []),
        ([5, 6, 7, 8], 3, 2, 9, []),
        ([6, 1, 5, 6, 2, 6], 1, 2, 9, [2]),  # no pair: the last place of the single token
        ([5, 6, 1, 9, 5, 6, 2, 5, 6], 1, 2, 9, [2]),
        ([5, 6, 1, 9, 5, 6, 2, 5, 6], 3, 2, 9, [2, 5, 6]),
        ([5, 6, 1, 9, 5, 6, 2, 5, 6], 4, 2, 9, [1, 9, 5, 6]),  # the last place with enough behind it
        ([9, 5, 6, 1, 5, 6, 2, 9, 5, 6], 1, 3, 9, [1]),  # the longest n-gram counts
        ([4], 3, 2, 9, []),
        ([-1, -1, -1], 3, 2, 9, []),
    ],
)
def test_what_followed_before(tokens, wanted, size, room, expected):
    config = GenerationConfig(prompt_lookup_num_tokens=wanted, max_matching_ngram_size=size)
    assert continuation(np.array(tokens), config, room).tolist() == expected


def test_guesses_that_are_right_save_runs():
    model = Chain(CIRCLE)
    output = generate([[A, B, C, A]], model=model, prompt_lookup_num_tokens=3, max_new_tokens=9)
    assert output.sequences.tolist() == [[A, B, C, A, B, C, A, B, C, A, B, C, A]]
    assert model.calls == [("prefill", [4]), ("extend", [B, C, A, B]), ("extend", [C, A, B, C])]
    assert (output.speculation.calls, output.speculation.guessed, output.speculation.accepted) == (2, 6, 6)


def test_a_wrong_guess_is_forgotten():
    """After A C the text went on with A, but the model says B after C."""
    table = {**CIRCLE, C: (0, 0, 0, 1, 0), A: (0, 0, 0, 0, 1), B: (0, 0, 0.8, 0.2, 0)}
    model = Chain(table)
    output = generate([[A, C, A, A]], model=model, prompt_lookup_num_tokens=2, max_new_tokens=4)
    assert output.sequences.tolist() == generate([[A, C, A, A]], table=table, max_new_tokens=4).sequences.tolist()
    assert model.calls[:3] == [("prefill", [4]), ("extend", [C, A]), ("rewind", 1)] or ("rewind", 2) in model.calls
    assert model.rows[0] == output.sequences[0, : len(model.rows[0])].tolist()
    assert output.speculation.accepted < output.speculation.guessed


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"repetition_penalty": 1.5},
        {"no_repeat_ngram_size": 3},
        {"min_new_tokens": 8, "bad_words_ids": [[A, B, C]]},
        {"stopping": lambda tokens: tokens.shape[1] % 11 == 0},
        {"eos_token_id": [EOS, C]},
    ],
)
@pytest.mark.parametrize("seed", range(6))
def test_tokens_are_those_of_greedy_decoding(seed, options):
    random = np.random.default_rng(seed)
    table = {token: tuple(random.dirichlet([0.2] * 5) + 1e-6) for token in range(5)}
    prompt = random.integers(2, 5, 12).tolist()
    options = {"max_new_tokens": 25, "output_scores": True, "output_logits": True, **options}
    steps = []
    plain = generate([prompt], table=table, **options)
    guessed = generate([prompt], table=table, prompt_lookup_num_tokens=4, each=steps.append, **options)
    assert guessed.sequences.tolist() == plain.sequences.tolist()
    for name in ("scores", "logits"):
        assert np.array(getattr(guessed, name)).tolist() == np.array(getattr(plain, name)).tolist()
    assert len(steps) == plain.new_tokens.shape[1]
    # A run gives its accepted guesses and one more token, unless a guess was the end.
    assert 1 + guessed.speculation.calls + guessed.speculation.accepted - len(steps) in (0, 1)
