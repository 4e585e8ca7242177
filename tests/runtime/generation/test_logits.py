"""Processors on scores of a few tokens, with answers worked out by hand."""

import numpy as np
import pytest

from torchless import OptionError
from torchless.generation import GenerationConfig, log_softmax, processors

INF = np.inf


def apply(tokens, scores, *, prompt_length=3, encoder_tokens=None, custom=(), allowed=None, **options):
    """Scores after all processors of the options, as lists."""
    tokens = np.array(tokens)
    config = GenerationConfig(**{"max_length": 50, **options}).resolve(prompt_length)
    encoder = np.array(encoder_tokens) if encoder_tokens is not None else tokens[:, :prompt_length]
    scores = np.array(scores, dtype=np.float32)
    for change in processors(config, prompt_length, encoder, custom, allowed):
        scores = change(tokens, scores)
    assert scores.dtype == np.float32
    return scores.tolist()


def test_nothing_to_change():
    config = GenerationConfig(num_beams=2).resolve(3)
    assert processors(config, 3, np.zeros((1, 3), dtype=np.int64)) == []


def test_repetition_counts_each_token_once_and_no_padding():
    tokens = [[-1, 0, 1, 1], [3, 3, 3, 3]]
    scores = [[2, -2, 4, 8], [2, -2, 4, 8]]
    assert apply(tokens, scores, repetition_penalty=2.0) == [[1, -4, 4, 8], [2, -2, 4, 4]]


def test_repetition_of_a_token_beyond_the_scores():
    assert apply([[9, 1]], [[2, 2]], repetition_penalty=2.0) == [[2, 1]]


def test_encoder_repetition_favours_the_input():
    assert apply([[7, 7], [7, 7]], [[2, -2, 4]] * 2, encoder_tokens=[[0, 1, -1]], encoder_repetition_penalty=2.0) == [
        [4, -1, 4],
        [4, -1, 4],
    ]


@pytest.mark.parametrize(
    ("size", "tokens", "banned"),
    [
        (1, [1, 2], [1, 2]),
        (2, [1, 2, 3, 1], [2]),
        (2, [1, 2, 1, 3, 1], [2, 3]),
        (2, [1, 1, 1], [1]),
        (3, [1, 2, 3, 1, 2], [3]),
        (3, [1, 2, 3, 2, 1], []),
        (3, [1, 2], []),
        (2, [-1, -1, 1], []),
        (3, [-1, -1, -1, 2], []),
        (3, [-1, -1, 2, 1, 2], []),
    ],
)
def test_no_ngram_comes_twice(size, tokens, banned):
    (found,) = apply([tokens], [[0] * 5], prompt_length=1, no_repeat_ngram_size=size)
    assert [token for token in range(5) if found[token] == -INF] == banned


@pytest.mark.parametrize(
    ("size", "tokens", "banned"),
    [
        (1, [[4], [4]], [[1, 2, 3], [1, 2, 3]]),
        (2, [[4, 1], [4, 2]], [[2], [1, 3]]),
        (3, [[2, 1], [1, 2]], [[2], [1, 3]]),
        (4, [[1, 2], [1, 2]], [[], []]),
        (9, [[1] * 9, [2] * 9], [[], []]),
    ],
)
def test_no_ngram_of_the_input(size, tokens, banned):
    found = apply(tokens, [[0] * 5] * 2, encoder_tokens=[[1, 2, 1, 2, 3, -1]], encoder_no_repeat_ngram_size=size)
    assert [[token for token in range(5) if row[token] == -INF] for row in found] == banned


def test_padding_of_the_input_is_no_part_of_an_ngram():
    found = apply([[-1, 1]], [[0] * 5], encoder_tokens=[[-1, 1, 2, -1]], encoder_no_repeat_ngram_size=3)
    assert found == [[0] * 5]


def test_sequence_bias_falls_on_the_token_that_completes():
    biases = {(0,): 1.0, (1, 2): 10.0, (3, 1, 2): 100.0, (1, 0): 5.0, (1, 1, 1, 1, 1, 1): 9.0}
    found = apply([[3, 1], [2, 1], [-1, 2]], [[0, 0, 0, 0]] * 3, sequence_bias=biases)
    assert found == [[6, 0, 110, 0], [6, 0, 10, 0], [1, 0, 0, 0]]


def test_bad_words_are_not_completed_and_the_end_stays():
    found = apply([[1, 2], [2, 1]], [[0, 0, 0, 0]] * 2, bad_words_ids=[[0], [1, 2, 3], [3]], eos_token_id=[3])
    assert found == [[-INF, 0, 0, -INF], [-INF, 0, 0, 0]]
    assert apply([[1]], [[0, 0]], bad_words_ids=[[1]], eos_token_id=1) == [[0, 0]]


@pytest.mark.parametrize("option", [{"bad_words_ids": [[1, 4]]}, {"sequence_bias": {(4,): 1.0}}])
def test_words_beyond_the_vocabulary(option):
    with pytest.raises(OptionError, match=f"{next(iter(option))} has token 4, beyond the vocabulary of 4"):
        apply([[1, 2]], [[0, 0, 0, 0]], **option)


@pytest.mark.parametrize(("length", "banned"), [(3, True), (4, True), (5, False)])
@pytest.mark.parametrize("option", [{"min_length": 5}, {"min_new_tokens": 2}])
def test_no_end_before_the_least_length(option, length, banned):
    found = apply([[0] * length], [[0.5] * 4], eos_token_id=[1, 2, 9], **option)
    assert found == [[0.5, -INF, -INF, 0.5]] if banned else [[0.5] * 4]


def test_forced_tokens():
    assert apply([[3]], [[5, 6, 7]], prompt_length=1, forced_bos_token_id=1) == [[-INF, 0, -INF]]
    assert apply([[3, 4]], [[5, 6, 7]], prompt_length=1, forced_bos_token_id=1) == [[5, 6, 7]]
    forced = {"forced_eos_token_id": [0, 2], "max_length": 5}
    assert apply([[3] * 4], [[5, 6, 7]], **forced) == [[0, -INF, 0]]
    assert apply([[3] * 3], [[5, 6, 7]], **forced) == [[5, 6, 7]]
    with pytest.raises(OptionError, match=r"forced_bos_token_id=.*beyond the vocabulary of 3"):
        apply([[3]], [[5, 6, 7]], prompt_length=1, forced_bos_token_id=3)


def test_invalid_values_become_numbers():
    limits = np.finfo(np.float32)
    found = apply([[0]], [[np.nan, INF, -INF, 1]], prompt_length=1, remove_invalid_values=True)
    assert found == [[0, float(limits.max), float(limits.min), 1]]


@pytest.mark.parametrize(("length", "gain"), [(4, 0), (5, 0), (6, 1), (7, 3), (8, 7)])
def test_exponential_decay(length, gain):
    found = apply([[0] * length], [[1, 2, -3]], exponential_decay_length_penalty=(2, 2.0), eos_token_id=[1, 2])
    assert found == [[1, 2 + 2 * gain, -3 + 3 * gain]]


def test_exponential_decay_leaves_the_impossible():
    found = apply([[0] * 9], [[1, -INF]], exponential_decay_length_penalty=(2, 2.0), eos_token_id=1)
    assert found == [[1, -INF]]


def test_suppressed_tokens():
    assert apply([[0, 0]], [[1, 2, 3]], suppress_tokens=[2, 0, 99]) == [[-INF, 2, -INF]]
    begin = {"begin_suppress_tokens": [0]}
    assert apply([[0] * 3], [[1, 2]], **begin) == [[-INF, 2]]
    assert apply([[0] * 4], [[1, 2]], **begin) == [[1, 2]]
    forced = {"prompt_length": 1, "forced_bos_token_id": 1, **begin}
    assert apply([[1, 1]], [[1, 2]], **forced) == [[-INF, 2]]


def test_allowed_tokens_are_asked_by_input_without_padding():
    asked = []

    def allowed(index, tokens):
        asked.append((index, tokens.tolist()))
        return [index, 2]

    found = apply(
        [[-1, 5], [-1, 6], [7, 8], [7, 9]], [[1, 2, 3]] * 4, encoder_tokens=[[0], [0]], allowed=allowed, num_beams=2
    )
    assert found == [[1, -INF, 3], [1, -INF, 3], [-INF, 2, 3], [-INF, 2, 3]]
    assert asked == [(0, [5]), (0, [6]), (1, [7, 8]), (1, [7, 9])]


@pytest.mark.parametrize("answer", [[], [3], [-1], [0.5], ["a"]])
def test_nonsense_of_allowed_tokens(answer):
    with pytest.raises(OptionError, match="prefix_allowed_tokens_fn must return token ids below 3"):
        apply([[1, 2]], [[1, 2, 3]], allowed=lambda index, tokens: answer)


def test_own_processors_come_after_those_of_the_options_and_before_filters():
    seen = []

    def double(tokens, scores):
        seen.append((tokens.tolist(), scores.tolist()))
        return scores.astype(np.float64) * 2

    found = apply([[0, 1]], [[1, 2, 3]], custom=[double], suppress_tokens=[0], do_sample=True, temperature=4.0, top_k=1)
    assert seen == [([[0, 1]], [[-INF, 2, 3]])]
    assert found == [[-INF, -INF, 1.5]]


@pytest.mark.parametrize("answer", [None, np.zeros(3), np.zeros((1, 2)), np.zeros((1, 3), dtype=int), [[0.0, 0, 0]]])
def test_nonsense_of_an_own_processor(answer):
    with pytest.raises(OptionError, match=r"a logits processor must return scores \(1, 3\)"):
        apply([[0, 1]], [[1, 2, 3]], custom=[lambda tokens, scores: answer])


def test_renormalized_scores_are_logarithms_of_probabilities():
    (found,) = apply([[0]], [np.log([1, 2, 5]).tolist()], prompt_length=1, suppress_tokens=[0], renormalize_logits=True)
    np.testing.assert_allclose(np.exp(found), [0, 2 / 7, 5 / 7], rtol=1e-6)


def test_log_softmax_of_large_scores():
    found = log_softmax(np.array([[1000, 1000, -INF], [0, np.log(3), -5000]], dtype=np.float32))
    np.testing.assert_allclose(found, [[-np.log(2)] * 2 + [-INF], [-np.log(4), np.log(0.75), -5001.3862]], rtol=1e-6)


def test_a_row_answers_the_same_in_a_ragged_batch():
    options = {"repetition_penalty": 1.5, "no_repeat_ngram_size": 2, "sequence_bias": {(1, 2): 3.0}, "min_length": 9}
    scores = np.random.default_rng(0).normal(size=(1, 6)).tolist()
    row = [1, 2, 3, 2, 1]
    alone = apply([row], scores, eos_token_id=5, **options)
    assert apply([[-1, -1, *row], [0, 5, 5, 4, 4, 3, 3]], scores * 2, eos_token_id=5, **options)[0] == alone[0]
