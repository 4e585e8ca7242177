"""How the numbers of an activation are distributed, counted as they come."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

_BINS = 1 << 14
# The exponent that counting begins with: the bins of a smaller one could not be numbered in float32.
_SMALLEST = -114


@dataclass(frozen=True)
class Range:
    """What the numbers of an activation lie between, finite."""

    low: float
    high: float


class Histogram:
    """The ends of what was seen, and how many numbers lie in bins between minus and plus a power of two.

    When a number lies beyond, pairs of bins become one until it does not: it makes no difference in which order numbers
    come. So they need to come once only.

    Attributes:
        counts: numbers by bin.
    """

    def __init__(self) -> None:
        self._low, self._high = math.inf, -math.inf
        self._exponent = _SMALLEST
        self.counts: Counts = np.zeros(_BINS, np.int64)

    @property
    def seen(self) -> Range:
        """The smallest and the largest number."""
        return Range(self._low, self._high)

    @property
    def reach(self) -> float:
        """What the bins go up to, and down to below zero."""
        return math.ldexp(1.0, self._exponent)

    def widen(self, seen: Range) -> None:
        """See numbers that lie between two, without counting them."""
        self._low, self._high = min(self._low, seen.low), max(self._high, seen.high)
        most = max(abs(self._low), abs(self._high))
        exponent = math.frexp(most)[1] if most else _SMALLEST
        while self._exponent < exponent:
            counts = np.zeros_like(self.counts)
            counts[_BINS // 4 : 3 * _BINS // 4] = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts, self._exponent = counts, self._exponent + 1

    def count(self, values: NDArray[np.float32]) -> None:
        """Count numbers that were seen."""
        steps = values * np.float32(math.ldexp(_BINS // 2, -self._exponent))
        places = np.floor(steps, out=steps).astype(np.intp)
        places += _BINS // 2
        self.counts += np.bincount(places, minlength=_BINS)

    def binned(self, bins: int, reach: float) -> Counts:
        """The counts in fewer bins from minus to plus a number that none was beyond."""
        middles = (np.arange(_BINS) + 0.5) * (2 / _BINS) - 1
        places = ((middles * (self.reach / reach) + 1) * (bins / 2)).astype(np.intp).clip(0, bins - 1)
        found = np.zeros(bins, np.int64)
        np.add.at(found, places, self.counts)
        return found
