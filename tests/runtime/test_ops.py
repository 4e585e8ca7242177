"""The numeric functions, on numbers with known answers."""

import numpy as np
import pytest

from torchless import l2_normalize, mean_pool, sigmoid, softmax, top_k


def test_softmax_of_known_odds():
    logits = np.log(np.array([[1, 2, 5], [4, 4, 2]], dtype=np.float32))
    np.testing.assert_allclose(softmax(logits), [[0.125, 0.25, 0.625], [0.4, 0.4, 0.2]], rtol=1e-6)


def test_softmax_along_another_axis():
    logits = np.log(np.array([[1, 3], [1, 1]], dtype=np.float64))
    np.testing.assert_allclose(softmax(logits, axis=0), [[0.5, 0.75], [0.5, 0.25]])


@pytest.mark.parametrize("size", [1e4, 3e38])
def test_softmax_does_not_overflow(size):
    logits = np.array([size, -size, size], dtype=np.float32)
    with np.errstate(over="ignore"):
        assert softmax(logits).tolist() == [0.5, 0.0, 0.5]


def test_softmax_of_minus_infinity_is_zero():
    assert softmax(np.array([0.0, -np.inf, 0.0], dtype=np.float32)).tolist() == [0.5, 0.0, 0.5]


@pytest.mark.parametrize("function", [softmax, sigmoid, l2_normalize])
def test_float16_is_widened_and_others_kept(function):
    values = np.array([1.0, 2.0])
    assert function(values.astype(np.float16)).dtype == np.float32
    assert function(values.astype(np.float32)).dtype == np.float32
    assert function(values).dtype == np.float64


def test_softmax_of_many_float16_is_not_rounded():
    # 4096 equal values: their sum of exponentials is beyond what float16 counts to exactly.
    assert softmax(np.zeros(4096, dtype=np.float16)).tolist() == [1 / 4096] * 4096


def test_sigmoid_of_known_odds():
    odds = np.array([1.0, 3.0, 1 / 3, 1 / 99])
    np.testing.assert_allclose(sigmoid(np.log(odds)), [0.5, 0.75, 0.25, 0.01], rtol=1e-12)


def test_sigmoid_does_not_overflow():
    assert sigmoid(np.array([1e5, -1e5, np.inf, -np.inf], dtype=np.float32)).tolist() == [1.0, 0.0, 1.0, 0.0]


def test_sigmoid_keeps_small_probabilities():
    assert sigmoid(np.array([-80.0], dtype=np.float32))[0] == pytest.approx(np.exp(-80.0), rel=1e-5)


@pytest.mark.parametrize(
    ("k", "expected"),
    [(1, [2]), (2, [2, 0]), (3, [2, 0, 3]), (5, [2, 0, 3, 1, 4]), (9, [2, 0, 3, 1, 4]), (0, [])],
)
def test_top_k_orders_by_score_and_ties_by_place(k, expected):
    scores = np.array([0.3, 0.1, 0.4, 0.3, 0.1], dtype=np.float32)
    assert top_k(scores, k).tolist() == expected


def test_top_k_of_equal_values_takes_the_first():
    assert top_k(np.zeros(1000), 3).tolist() == [0, 1, 2]


def test_top_k_agrees_with_a_full_sort():
    scores = np.random.default_rng(0).integers(0, 50, 500).astype(np.float32)
    order = sorted(range(500), key=lambda index: (-scores[index], index))
    for k in (1, 7, 100, 499, 500):
        assert top_k(scores, k).tolist() == order[:k]


def test_mean_pool_leaves_padding_out():
    hidden = np.array([[[1, 2], [3, 4], [100, 100]], [[5, 6], [100, 100], [100, 100]]], dtype=np.float32)
    mask = np.array([[1, 1, 0], [1, 0, 0]])
    assert mean_pool(hidden, mask).tolist() == [[2, 3], [5, 6]]


def test_mean_pool_of_nothing_is_zero():
    assert mean_pool(np.ones((1, 2, 3), dtype=np.float32), np.zeros((1, 2), dtype=np.int64)).tolist() == [[0, 0, 0]]


def test_mean_pool_of_float16_adds_up_in_float32():
    hidden = np.full((1, 3000, 1), 60.0, dtype=np.float16)  # their sum, 180,000, is beyond float16
    assert mean_pool(hidden, np.ones((1, 3000), dtype=np.int64)).tolist() == [[60.0]]


def test_l2_normalize():
    vectors = np.array([[3, 4], [0, 0], [-5, 0]], dtype=np.float64)
    assert l2_normalize(vectors).tolist() == [[0.6, 0.8], [0, 0], [-1, 0]]
