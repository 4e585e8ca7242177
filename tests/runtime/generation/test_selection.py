"""The largest of long rows against a full sort."""

import numpy as np
import pytest

from torchless.generation.selection import kth_largest, largest


def sorted_fully(scores, k):
    order = np.lexsort((np.broadcast_to(np.arange(scores.shape[1]), scores.shape), -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), order


@pytest.mark.parametrize("n", [1, 7, 63, 64, 1000, 4097, 50_257])
@pytest.mark.parametrize("k", [1, 2, 8, 31, 400])
def test_largest_of_different_values(n, k):
    k = min(k, n)
    scores = np.random.default_rng(n + k).permutation(3 * n).reshape(3, n).astype(np.float32)
    values, places = largest(scores, k)
    expected, order = sorted_fully(scores, k)
    assert values.tolist() == expected.tolist()
    assert places.tolist() == order.tolist()
    assert kth_largest(scores, k).tolist() == expected[:, -1].tolist()


@pytest.mark.parametrize("kinds", [1, 3, 40])
@pytest.mark.parametrize("k", [1, 5, 12])
def test_equal_values_keep_their_order(kinds, k):
    scores = np.random.default_rng(kinds).integers(0, kinds, (4, 3000)).astype(np.float32)
    values, places = largest(scores, k)
    expected, order = sorted_fully(scores, k)
    assert values.tolist() == expected.tolist()
    assert places.tolist() == order.tolist()
    assert kth_largest(scores, k).tolist() == expected[:, -1].tolist()


def test_few_possible_ones_come_first():
    scores = np.full((2, 5000), -np.inf, dtype=np.float32)
    scores[0, [4999, 17]] = [1, 2]
    values, places = largest(scores, 4)
    assert values.tolist() == [[2, 1, -np.inf, -np.inf], [-np.inf] * 4]
    assert places[0, :2].tolist() == [17, 4999]
    assert all(len(set(row)) == 4 for row in places.tolist())
