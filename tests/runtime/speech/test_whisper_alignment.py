"""The path of attention through the sound, on matrices whose best path can be seen, and against a plain search."""

from __future__ import annotations

import numpy as np
import pytest

from torchless.speech.whisper_alignment import median_filter, token_times, warp


def cheapest(costs: np.ndarray) -> float:
    """The cost of the cheapest path, by trying what leads to each cell."""
    total = np.full((costs.shape[0] + 1, costs.shape[1] + 1), np.inf)
    total[0, 0] = 0
    for row, column in np.ndindex(*costs.shape):
        before = min(total[row, column], total[row, column + 1], total[row + 1, column])
        total[row + 1, column + 1] = costs[row, column] + before
    return float(total[-1, -1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (5, 9), (9, 5), (12, 40)])
def test_the_path_is_the_cheapest(shape: tuple[int, int]) -> None:
    costs = np.random.default_rng(3).standard_normal(shape)
    rows, columns = warp(costs)
    assert (rows[0], columns[0], rows[-1], columns[-1]) == (0, 0, shape[0] - 1, shape[1] - 1)
    steps = np.stack([np.diff(rows), np.diff(columns)])
    assert set(map(tuple, steps.T)) <= {(0, 1), (1, 0), (1, 1)}
    assert costs[rows, columns].sum() == pytest.approx(cheapest(costs), abs=1e-5)


def test_of_equal_paths_the_one_that_ends_along_the_last_row_is_taken() -> None:
    rows, columns = warp(np.zeros((2, 4)))
    assert (rows.tolist(), columns.tolist()) == ([0, 1, 1, 1, 1], [0, 0, 1, 2, 3])


def test_the_median_of_mirrored_windows() -> None:
    values = np.array([[[5.0, 1.0, 9.0, 2.0, 2.0]]], dtype=np.float32)
    assert median_filter(values, 3).tolist() == [[[1.0, 5.0, 2.0, 2.0, 2.0]]]
    assert median_filter(values[..., :1], 3).tolist() == [[[5.0]]]  # too short to be mirrored
    assert median_filter(values, 1).tolist() == values.tolist()


def test_tokens_begin_where_their_attention_does() -> None:
    # Four tokens of two heads, each at five steps of twenty.
    weights = np.full((2, 4, 20), 0.01, dtype=np.float32)
    for token in range(4):
        weights[:, token, 5 * token : 5 * token + 5] = 0.2
    np.testing.assert_allclose(token_times(weights, None, 3), [0, 0.1, 0.2, 0.3, 0.3], atol=1e-6)


def test_what_is_behind_the_sound_is_not_looked_at() -> None:
    weights = np.full((1, 2, 20), 0.01, dtype=np.float32)
    weights[0, 0, :3] = weights[0, 1, 3:6] = 0.3
    weights[0, 1, 15:] = 0.9
    assert token_times(weights, 12, 3).tolist() == pytest.approx([0, 0.06, 0.06])


def test_no_token_and_one_token() -> None:
    assert token_times(np.zeros((2, 0, 20), dtype=np.float32), None, 3).tolist() == [0.0]
    # The deviation of a single token is 0, its normalized attention no number: it begins with the sound.
    assert token_times(np.ones((2, 1, 20), dtype=np.float32), 10, 3).tolist() == [0.0, 0.0]
    # Behind the end of the sound there is no step: transformers puts it before the begin, and so do we.
    assert token_times(np.ones((2, 1, 20), dtype=np.float32), 0, 3).tolist() == pytest.approx([-0.02, -0.02])
