"""When each token was spoken: the path along which cross-attention moves through the sound.

Follows openai/whisper and transformers 4.57: attention is normalized over the tokens, smoothed by a median filter over
time, averaged over the heads that align, and the cheapest monotone path through it is found by dynamic time warping.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .whisper_timestamps import TIME_PRECISION

Weights = NDArray[np.float32]
Ints = NDArray[np.int64]


def token_times(weights: Weights, frames: int | None, width: int) -> NDArray[np.float32]:
    """The time at which each token begins, in seconds, and once more that of the last one.

    Args:
        weights: cross-attention of the heads that align, (heads, tokens, encoder length).
        frames: feature frames of the window that hold sound, two for each step of the encoder; None for all.
        width: of the median filter.

    Returns:
        (tokens + 1,): the token behind the last, which no attention was computed for, is where the last one is.
    """
    if frames is not None:
        weights = weights[..., : frames // 2][..., : frames // 2]  # twice, as transformers: it may be negative
    if not weights.shape[1]:
        return np.zeros(1, dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):  # a single token: its deviation is 0
        matrix = (weights - weights.mean(axis=1, keepdims=True)) / weights.std(axis=1, keepdims=True)
        matrix = median_filter(matrix, width).mean(axis=0)
    tokens, steps = warp(-matrix.astype(np.float64))
    begins = np.append(True, np.diff(tokens) != 0)
    times = steps[begins] * TIME_PRECISION
    return np.append(times, times[-1]).astype(np.float32)


def median_filter(values: Weights, width: int) -> Weights:
    """The median of ``width`` values around each along the last axis, which is mirrored at its ends.

    Args:
        values: (heads, tokens, length); returned as it is where the length is less than half the width.
        width: odd.
    """
    half = width // 2
    if values.shape[-1] <= half:
        return values
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(half, half)], mode="reflect")
    filtered = np.empty_like(values)
    for head, row in enumerate(padded):  # one at a time: the windows are copied
        windows = np.lib.stride_tricks.sliding_window_view(row, width, axis=-1)
        filtered[head] = np.partition(windows, half, axis=-1)[..., half]
    return filtered


def warp(costs: NDArray[np.float64]) -> tuple[Ints, Ints]:
    """The cheapest path through a matrix from its first to its last cell, in steps to the right, down, or both.

    Args:
        costs: (tokens, steps).

    Returns:
        The path's rows and columns, each (length,).

    Example:
        >>> rows, columns = warp(np.array([[0.0, 0.0, 9.0], [9.0, 9.0, 0.0]]))
        >>> rows.tolist(), columns.tolist()
        ([0, 0, 1], [0, 1, 2])
    """
    rows, columns = costs.shape
    moves = _moves(costs)
    path, row, column = [], rows, columns
    while row > 0 or column > 0:
        path.append((row - 1, column - 1))
        move = 2 if row == 0 else 1 if column == 0 else moves[row + column, row]
        row -= move != 2
        column -= move != 1
    found = np.array(path[::-1], dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _moves(costs: NDArray[np.float64]) -> NDArray[np.int8]:
    """How the cheapest path reaches each cell: 0 from both, 1 from above, 2 from the left.

    Cells of one diagonal do not depend on each other: each diagonal is one step. Costs add up in float32 and ties go
    left, as in the reference, so that the paths are the same.

    Returns:
        By diagonal and row, (rows + columns + 1, rows + 1); cell (i, j) counted from 1 is at [i + j, i].
    """
    rows, columns = costs.shape
    moves = np.full((rows + columns + 1, rows + 1), 2, dtype=np.int8)
    if not costs.size:
        return moves
    # Row i moved i places to the right, so that a diagonal of the matrix is a row of this.
    skewed = np.zeros((rows + columns - 1, rows))
    for row in range(rows):
        skewed[row : row + columns, row] = costs[row]
    before = np.full(rows + 1, np.inf, dtype=np.float32)  # the diagonal before the last one
    last = before.copy()
    before[0] = 0
    for diagonal in range(2, rows + columns + 1):
        low, high = max(1, diagonal - columns), min(rows, diagonal - 1)
        both, above, left = before[low - 1 : high], last[low - 1 : high], last[low : high + 1]
        move = moves[diagonal, low : high + 1]
        np.putmask(move, (above < both) & (above < left), 1)
        np.putmask(move, (both < above) & (both < left), 0)
        cheapest = np.where(move == 0, both, np.where(move == 1, above, left))
        current = np.full(rows + 1, np.inf, dtype=np.float32)
        current[low : high + 1] = skewed[diagonal - 2, low - 1 : high] + cheapest
        before, last = last, current
    return moves
