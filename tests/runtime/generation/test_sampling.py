"""Filters on distributions of a few tokens, with exact answers; and drawing, by known numbers and by frequency."""

import numpy as np
import pytest

from torchless import SessionError
from torchless.generation import GenerationConfig, draw, warpers
from torchless.generation.sampling import (
    draw_several,
    epsilon_cutoff,
    eta_cutoff,
    min_p,
    top_h,
    top_p,
    typical_p,
)

from .chain import A, B, C, generate


def scores(*probabilities):
    with np.errstate(divide="ignore"):
        return np.log(np.array(probabilities, dtype=np.float32))


DISTRIBUTION = scores(0.1, 0.2, 0.05, 0.3, 0.35)


def kept(flags):
    return np.flatnonzero(flags).tolist()


@pytest.mark.parametrize(
    ("mass", "expected"),
    [
        (0.0, [4]),
        (0.3, [4]),
        (0.36, [3, 4]),
        (0.6, [3, 4]),
        (0.7, [1, 3, 4]),
        (0.86, [0, 1, 3, 4]),
        (0.97, [0, 1, 2, 3, 4]),
    ],
)
def test_top_p(mass, expected):
    assert kept(top_p(DISTRIBUTION, mass)) == expected


def test_top_p_keeps_at_least_so_many():
    assert kept(top_p(DISTRIBUTION, 0.1, least=3)) == [1, 3, 4]
    assert kept(top_p(DISTRIBUTION, 0.1, least=9)) == [0, 1, 2, 3, 4]


def test_top_p_of_equal_ones_keeps_the_last():
    assert kept(top_p(scores(0.25, 0.25, 0.25, 0.25), 0.6)) == [1, 2, 3]
    assert kept(top_p(scores(0.2, 0.4, 0.2, 0.2), 0.5)) == [1, 3]


@pytest.mark.parametrize(
    ("ratio", "expected"), [(0.0, [0, 1, 2, 3, 4]), (0.2, [0, 1, 3, 4]), (0.5, [1, 3, 4]), (0.9, [4]), (1.0, [4])]
)
def test_min_p(ratio, expected):
    assert kept(min_p(DISTRIBUTION, ratio)) == expected


def test_least_of_cutoffs():
    assert kept(min_p(DISTRIBUTION, 1.0, least=2)) == [3, 4]
    assert kept(epsilon_cutoff(DISTRIBUTION, 0.9, least=2)) == [3, 4]
    assert kept(eta_cutoff(DISTRIBUTION, 0.9, least=3)) == [1, 3, 4]
    assert kept(typical_p(DISTRIBUTION, 0.01, least=2)) == [1, 3]


@pytest.mark.parametrize(("epsilon", "expected"), [(0.04, [0, 1, 2, 3, 4]), (0.15, [1, 3, 4]), (0.34, [4]), (0.9, [4])])
def test_epsilon_cutoff(epsilon, expected):
    assert kept(epsilon_cutoff(DISTRIBUTION, epsilon)) == expected


def test_eta_cutoff_adapts_to_the_entropy():
    """The entropy of four equal ones is ln 4, so that the limit is sqrt(epsilon) / 4."""
    flat = scores(0.25, 0.25, 0.25, 0.25)
    assert kept(eta_cutoff(flat, 0.9)) == [0, 1, 2, 3]
    # Entropy 0.5004 nats: sqrt(0.04) * exp(-0.5004) = 0.1213, which is more than epsilon itself.
    assert kept(eta_cutoff(scores(0.8, 0.2 - 0.041, 0.041), 0.04)) == [0, 1, 2]
    assert kept(eta_cutoff(scores(0.8, 0.2 - 0.039, 0.039), 0.04)) == [0, 1]


@pytest.mark.parametrize(
    ("mass", "expected"),
    [
        # Entropy 1.427 nats; distances of -ln p from it: 0.876, 0.183, 1.569, 0.223, 0.377.
        (0.1, [1]),
        (0.3, [1, 3]),
        (0.6, [1, 3, 4]),
        (0.9, [0, 1, 3, 4]),
        (0.99, [0, 1, 2, 3, 4]),
    ],
)
def test_typical_p(mass, expected):
    assert kept(typical_p(DISTRIBUTION, mass)) == expected


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        # Terms -p ln p from the most probable: 0.3674, 0.3612, 0.3219, 0.2303, 0.1498; sums 0.367, 0.729, 1.051, 1.281.
        (0.1, [4]),
        (0.5, [4]),
        (0.52, [3, 4]),
        (0.74, [1, 3, 4]),
        (0.9, [0, 1, 3, 4]),
    ],
)
def test_top_h(share, expected):
    assert kept(top_h(DISTRIBUTION, share)) == expected


def test_filters_leave_the_impossible_alone():
    config = GenerationConfig(
        do_sample=True, top_k=3, top_p=0.9, min_p=0.1, typical_p=0.9, epsilon_cutoff=0.01, eta_cutoff=0.01, top_h=0.9
    )
    row = scores(0, 0, 1.0, 0)[None]
    for warp in warpers(config):
        row = warp(np.zeros((1, 1), dtype=np.int64), row)
    assert row.tolist() == [[-np.inf, -np.inf, 0, -np.inf]]


@pytest.mark.parametrize(("k", "expected"), [(1, [4]), (2, [3, 4]), (9, [0, 1, 2, 3, 4])])
def test_top_k(k, expected):
    (warp,) = warpers(GenerationConfig(do_sample=True, top_k=k))
    assert kept(warp(np.zeros((1, 1)), DISTRIBUTION[None].copy())[0] > -np.inf) == expected


def test_top_k_keeps_equal_ones():
    (warp,) = warpers(GenerationConfig(do_sample=True, top_k=2))
    assert warp(np.zeros((1, 1)), np.array([[1, 3, 2, 2]], dtype=np.float32)).tolist() == [[-np.inf, 3, 2, 2]]


def test_beams_keep_enough_to_end_and_go_on():
    config = GenerationConfig(do_sample=True, num_beams=2, top_k=1, eos_token_id=[0, 1])
    (warp,) = warpers(config)
    assert kept(warp(np.zeros((1, 1)), DISTRIBUTION[None].copy())[0] > -np.inf) == [1, 3, 4]


def test_default_is_the_fifty_most_probable():
    (warp,) = warpers(GenerationConfig(do_sample=True))
    row = np.random.default_rng(0).permutation(1000).astype(np.float32)[None]
    assert kept(warp(np.zeros((1, 1)), row.copy())[0] > -np.inf) == kept(row[0] >= 950)


def test_order_of_the_filters():
    """top_k=3 leaves 0.2, 0.3, 0.35 of 0.85, and top_p=0.75 of these is 0.3 and 0.35 (0.765)."""
    chain = warpers(GenerationConfig(do_sample=True, top_k=3, top_p=0.75))
    row = DISTRIBUTION[None].copy()
    for warp in chain:
        row = warp(np.zeros((1, 1)), row)
    assert kept(row[0] > -np.inf) == [3, 4]


def test_drawn_by_known_numbers():
    """The first numbers of PCG64 with seed 0 are 0.637, 0.270, 0.041, 0.017."""
    rows = np.tile(scores(0.1, 0.2, 0.3, 0.4), (4, 1))
    assert draw(rows, np.random.default_rng(0)).tolist() == [3, 1, 0, 0]


def test_only_possible_ones_are_drawn():
    rows = np.tile(scores(0, 0.5, 0, 0.5, 0), (1000, 1))
    assert set(draw(rows, np.random.default_rng(0)).tolist()) == {1, 3}


class Fixed:
    """A generator that gives one number."""

    def __init__(self, number):
        self.number = number

    def random(self, count):
        return np.full(count, self.number)


@pytest.mark.parametrize(("number", "expected"), [(0.0, 1), (0.24999, 1), (0.25, 3), (np.nextafter(1, 0), 3)])
def test_ends_of_the_distribution(number, expected):
    assert draw(scores(0, 1, 0, 3, 0)[None], Fixed(number)).tolist() == [expected]


@pytest.mark.parametrize("number", [0.0, 0.3, 0.9, np.nextafter(1, 0)])
def test_several_are_different(number):
    probabilities = scores(0.1, 0, 0.4, 0.3, 0, 0.2)
    assert sorted(draw_several(probabilities, 4, Fixed(number)).tolist()) == [0, 2, 3, 5]


def test_several_by_known_numbers():
    """0.637 of 1 is in the 0.4; 0.270 of the other 0.6 is 0.162, in the 0.2; 0.041 of the last 0.4 in the 0.1."""
    drawn = draw_several(scores(0.1, 0.2, 0.3, 0.4), 3, np.random.default_rng(0))
    assert drawn.tolist() == [3, 1, 0]


def test_several_fill_up_with_the_best_of_the_others():
    rows = np.array([-1e9, 0, -np.inf, -5e8, -2e9], dtype=np.float32)
    assert draw_several(rows, 4, np.random.default_rng(0)).tolist() == [1, 3, 0, 4]


def chi_square(counts, probabilities):
    expected = probabilities * counts.sum()
    return float(((counts - expected) ** 2 / expected).sum())


def test_several_come_as_often_as_they_should():
    """Of two drawn one after the other, each ordered pair has the probability p * q / (1 - p)."""
    probabilities = np.array([0.1, 0.2, 0.3, 0.4])
    random = np.random.default_rng(1)
    counts = np.zeros((4, 4))
    for _ in range(4000):
        first, second = draw_several(np.log(probabilities).astype(np.float32), 2, random)
        counts[first, second] += 1
    pairs = probabilities[:, None] * probabilities / (1 - probabilities[:, None])
    apart = ~np.eye(4, dtype=bool)
    assert counts[~apart].sum() == 0
    assert chi_square(counts[apart], pairs[apart]) < 11 + 4 * np.sqrt(22)  # 11 degrees of freedom


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {B: 0.6, C: 0.4}),
        ({"temperature": 0.5}, {B: 0.36 / 0.52, C: 0.16 / 0.52}),
        ({"top_p": 0.5}, {B: 1}),
        ({"bad_words_ids": [[B]]}, {C: 1}),
    ],
)
def test_tokens_come_as_often_as_the_filtered_distribution_says(options, expected):
    output = generate([[A]], seed=3, do_sample=True, num_return_sequences=4000, max_new_tokens=1, **options)
    tokens, counts = np.unique(output.new_tokens, return_counts=True)
    assert tokens.tolist() == sorted(expected)
    assert chi_square(counts, np.array([expected[token] for token in tokens])) < 1 + 4 * np.sqrt(2)


def test_frequencies_over_a_large_vocabulary():
    """50 kept of 5,000: 40,000 draws against the softmax of those 50."""
    random = np.random.default_rng(0)
    row = random.normal(0, 2, 5000).astype(np.float32)
    (warp,) = warpers(GenerationConfig(do_sample=True))
    filtered = warp(np.zeros((1, 1)), row[None].copy())
    counts = np.bincount(draw(np.broadcast_to(filtered, (40_000, 5000)), random), minlength=5000)
    chosen = np.argsort(-row)[:50]
    exact = np.exp(row[chosen].astype(np.float64))
    assert counts.sum() == counts[chosen].sum()
    assert chi_square(counts[chosen], exact / exact.sum()) < 49 + 4 * np.sqrt(98)


@pytest.mark.parametrize(
    ("row", "message"),
    [([-np.inf] * 3, "no token is possible"), ([np.nan, 1, 2], "not finite"), ([np.inf, 1, 2], "not finite")],
)
def test_nothing_can_be_drawn(row, message):
    with pytest.raises(SessionError, match=message):
        draw(np.array([row], dtype=np.float32), np.random.default_rng(0))
