"""The texts of overlapping chunks as one text: they are joined where most of their tokens agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Times = list[tuple[float, float]]


def merge(texts: Sequence[list[int]], times: Sequence[Times] | None = None) -> tuple[list[int], Times]:
    """One text of the tokens of several, each of which overlaps the one before; as in transformers 4.57.

    Args:
        texts: tokens of each, at least one.
        times: of each token its (start, end) in seconds; then only tokens agree that are in order of time.

    Returns:
        The tokens, and their times if given.

    Example:
        >>> merge([[1, 2, 3, 4], [3, 4, 5]])[0]
        [1, 2, 3, 4, 5]
    """
    tokens: list[int] = []
    when: Times = []
    left, left_times = texts[0], times[0] if times else []
    for place, right in enumerate(texts[1:], start=1):
        right_times = times[place] if times else []
        # Of what both have heard, the first half is the left one's, which heard more before it.
        until, begin = _seam(left, right, left_times, right_times)
        tokens += left[:until]
        when += left_times[:until]
        left, left_times = right[begin:], right_times[begin:]
    return tokens + left, when + left_times


def _seam(left: list[int], right: list[int], left_times: Times, right_times: Times) -> tuple[int, int]:
    """How much of the left text is kept, and where the right one goes on."""
    length, total = len(left), len(left) + len(right)
    if not left or not right:
        return length, 0
    rows, columns = np.nonzero(np.array(left)[:, None] == np.array(right))
    if left_times:
        ordered = _not_later(np.array(left_times)[rows], np.array(right_times)[columns])
        rows, columns = rows[ordered], columns[ordered]
    # Shifted by i, the right text begins i places before the left one's end: a pair (row, column) agrees in one shift.
    agreeing = np.bincount(length - rows + columns, minlength=total)[1:total]
    shifts = np.arange(1, total)
    score = np.where(agreeing > 1, agreeing / shifts + shifts / 10000.0, 0.0)  # long overlaps are preferred
    if score.max() <= 0:
        return length, 0
    shift = int(score.argmax()) + 1
    left_start, left_stop = max(0, length - shift), min(length, total - shift)
    right_start, right_stop = max(0, shift - length), min(len(right), shift)
    return (left_start + left_stop) // 2, (right_start + right_stop) // 2


def _not_later(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether (start, end) pairs of one are not behind those of the other, (pairs, 2) each."""
    same = first[:, 0] == second[:, 0]
    earlier: NDArray[np.bool_] = (first[:, 0] < second[:, 0]) | (same & (first[:, 1] <= second[:, 1]))
    return earlier
