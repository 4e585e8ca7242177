"""CTC's collapse and prefix beam search on arrays made by hand, and against all alignments there are."""

from __future__ import annotations

from itertools import product
from math import inf, log

import numpy as np
import pytest

from torchless.speech.ctc_beam import PrefixBeamSearch, likely, log_add, log_softmax
from torchless.speech.ctc_collapse import Emission, collapse

BLANK = 0


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([], []),
        ([0, 0, 0], []),
        ([5], [(5, 0, 1)]),
        ([5, 5, 5], [(5, 0, 3)]),
        ([5, 0, 5], [(5, 0, 1), (5, 2, 3)]),
        ([0, 5, 5, 0, 0, 5, 6, 6, 0], [(5, 1, 3), (5, 5, 6), (6, 6, 8)]),
        ([5, 6, 5], [(5, 0, 1), (6, 1, 2), (5, 2, 3)]),
    ],
)
def test_collapse(frames, expected) -> None:
    assert collapse(np.array(frames, dtype=np.int64), BLANK) == [Emission(*one) for one in expected]


def test_another_blank() -> None:
    assert collapse(np.array([0, 3, 0, 0]), blank=3) == [Emission(0, 0, 1), Emission(0, 2, 4)]


def alignments(log_probs, blank):
    """Of every token sequence the log-probability of all its alignments, and its likeliest alignment."""
    totals, best = {}, {}
    frames, vocab = log_probs.shape
    for alignment in product(range(vocab), repeat=frames):
        logp = float(sum(log_probs[frame, token] for frame, token in enumerate(alignment)))
        emissions = collapse(np.array(alignment), blank)
        tokens = tuple(one.token for one in emissions)
        totals[tokens] = np.logaddexp(totals.get(tokens, -inf), logp)
        if logp > best.get(tokens, (-inf,))[0]:
            best[tokens] = logp, emissions
    return totals, {tokens: emissions for tokens, (_, emissions) in best.items()}


@pytest.mark.parametrize("seed", range(12))
def test_a_wide_beam_is_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames, vocab = int(rng.integers(1, 7)), int(rng.integers(2, 5))
    blank = int(rng.integers(vocab))
    log_probs = log_softmax(rng.normal(scale=1.5, size=(frames, vocab))).astype(np.float64)
    totals, best = alignments(log_probs, blank)
    search = PrefixBeamSearch(100_000, blank, beam_prune_logp=-inf)
    search.advance(likely(log_probs, -inf))
    found = search.hypotheses()
    assert len(found) == len(totals)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    for emissions, score in found:
        tokens = tuple(one.token for one in emissions)
        assert score == pytest.approx(totals[tokens], abs=1e-9)
        assert emissions == best[tokens]
    assert search.best() == found[0][0]


@pytest.mark.parametrize("seed", range(6))
def test_a_narrow_beam_never_finds_more_than_there_is(seed: int) -> None:
    """Pruning loses alignments; a prefix that is dropped and comes back must not count twice."""
    rng = np.random.default_rng(100 + seed)
    log_probs = log_softmax(rng.normal(scale=2, size=(6, 4))).astype(np.float64)
    totals, _ = alignments(log_probs, BLANK)
    search = PrefixBeamSearch(3, BLANK)
    search.advance(likely(log_probs))
    found = search.hypotheses()
    tokens = [tuple(one.token for one in emissions) for emissions, _ in found]
    assert len(found) <= 3
    assert len(set(tokens)) == len(tokens)
    for one, (_, score) in zip(tokens, found, strict=True):
        assert score <= totals[one] + 1e-9


def test_all_alignments_together_beat_the_best_path() -> None:
    log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert log_probs.argmax(axis=1).tolist() == [BLANK, BLANK]
    search = PrefixBeamSearch(4, BLANK)
    search.advance(likely(log_probs))
    (tokens, score), (nothing, rest) = search.hypotheses()
    assert tokens == [Emission(1, 0, 1)]
    assert nothing == []
    assert (score, rest) == pytest.approx((log(0.64), log(0.36)))


def test_frames_in_parts() -> None:
    log_probs = log_softmax(np.random.default_rng(5).normal(scale=3, size=(60, 9)))
    whole, parts = PrefixBeamSearch(8, BLANK), PrefixBeamSearch(8, BLANK)
    whole.advance(likely(log_probs))
    for start, end in ((0, 7), (7, 7), (7, 30), (30, 60)):
        parts.advance(likely(log_probs[start:end]))
    assert parts.hypotheses() == whole.hypotheses()


def test_certain_frames_are_the_best_path() -> None:
    frames = np.array([0, 2, 2, 0, 2, 1, 1, 0, 0, 3])
    log_probs = np.full((len(frames), 4), log(1e-4))
    log_probs[np.arange(len(frames)), frames] = log(1 - 3e-4)
    search = PrefixBeamSearch(5, BLANK)
    search.advance(likely(log_probs))
    assert search.best() == collapse(frames, BLANK)


def test_the_likeliest_token_is_followed_however_unlikely() -> None:
    log_probs = np.full((2, 1000), log(1e-3))  # all below the least log-probability
    log_probs[:, 7] += 1e-9
    assert likely(log_probs).tokens.tolist() == [7, 7]


def test_few_tokens_are_followed() -> None:
    log_probs = log_softmax(np.random.default_rng(0).normal(scale=6, size=(50, 200)))
    found = likely(log_probs)
    rows = np.repeat(np.arange(50), np.diff(found.ends, prepend=0))
    assert np.array_equal(log_probs[rows, found.tokens], found.log_probs)
    assert len(found.tokens) == (log_probs >= -5).sum() < 1000


def test_no_frames() -> None:
    search = PrefixBeamSearch(5, BLANK)
    search.advance(likely(np.zeros((0, 4))))
    assert search.best() == []


def test_log_add() -> None:
    assert log_add(-inf, -inf) == -inf
    assert log_add(-2.0, -inf) == log_add(-inf, -2.0) == -2.0
    assert log_add(log(0.25), log(0.5)) == pytest.approx(log(0.75))
    assert log_add(1000.0, 1000.0) == pytest.approx(1000 + log(2))


def test_log_softmax_of_large_and_half_precision_logits() -> None:
    found = log_softmax(np.array([[60000.0, 60000.0, -60000.0]], dtype=np.float16))
    assert found.dtype == np.float32
    assert found[0, :2].tolist() == pytest.approx([log(0.5)] * 2)
    assert np.isfinite(found).all()
