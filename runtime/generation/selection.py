"""The largest scores of long rows, found without sorting them."""

from __future__ import annotations

import numpy as np

from ..ops import top_k
from .output import Floats, Ints

# A row is looked at in columns of so many scores: its largest k lie in the k columns with the largest maxima.
_DEPTH = 64


def largest(scores: Floats, k: int) -> tuple[Floats, Ints]:
    """The ``k`` largest of each row, largest first; equal ones in the order of their places.

    Args:
        scores: (rows, n)
        k: from 1 to n.

    Returns:
        Their values and places, each (rows, k).
    """
    maxima, places = _candidates(scores, k)
    values = np.take_along_axis(scores, places, axis=1)
    chosen = np.argpartition(values, -k, axis=1)[:, -k:]
    best, where = np.take_along_axis(values, chosen, axis=1), np.take_along_axis(places, chosen, axis=1)
    order = np.lexsort((where, -best), axis=1)
    best, where = np.take_along_axis(best, order, axis=1), np.take_along_axis(where, order, axis=1)
    # Where more than k are as large as the k-th, it is left to chance which of them were found.
    last = best[:, -1:]
    tied = ((maxima >= last).sum(axis=1) > k) | ((values >= last).sum(axis=1) > k)
    for row in np.flatnonzero(tied & (last[:, 0] > -np.inf)):
        where[row] = top_k(scores[row], k)
        best[row] = scores[row, where[row]]
    return best, where


def kth_largest(scores: Floats, k: int) -> Floats:
    """The ``k``-th largest value of each row, (rows, n) to (rows,)."""
    values = np.take_along_axis(scores, _candidates(scores, k)[1], axis=1)
    kth: Floats = np.partition(values, -k, axis=1)[:, -k]
    return kth


def _candidates(scores: Floats, k: int) -> tuple[Floats, Ints]:
    """Maxima (rows, columns), and places (rows, at least k) among which the ``k`` largest of each row are."""
    rows, n = scores.shape
    width = n // _DEPTH
    if width <= 2 * k:
        return scores[:, :0], np.broadcast_to(np.arange(n), (rows, n))
    # Column c holds the places c, c + width, c + 2 * width, ...: maxima of whole rows of memory at a time.
    maxima = scores[:, : _DEPTH * width].reshape(rows, _DEPTH, width).max(axis=1)
    columns = np.argpartition(maxima, -k, axis=1)[:, -k:]
    places = (columns[:, None, :] + np.arange(0, _DEPTH * width, width)[:, None]).reshape(rows, -1)
    rest = np.broadcast_to(np.arange(_DEPTH * width, n), (rows, n - _DEPTH * width))
    return maxima, np.concatenate((places, rest), axis=1)
