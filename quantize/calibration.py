"""Ranges of activations, from what flows through a graph when it is fed.

Methods: ``"minmax"`` is the smallest and the largest number seen; ``"percentile"`` leaves out the same small share at
both ends; ``"entropy"`` cuts where 128 levels tell most of the distribution, by its Kullback-Leibler divergence.

References: Migacz 2017, "8-bit inference with TensorRT"; onnxruntime.quantization.calibrate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from torchless.errors import OptionError

from .histogram import Counts, Histogram, Range
from .observer import Feed, Observer

BINS = 2048
"""Bins of a histogram, from minus the largest absolute value to the largest."""
LEVELS = 128
"""Levels that the entropy method quantizes to."""

# Numbers of an activation that one run adds to a histogram at most: so many say where its ends are.
_COUNTED = 1 << 18
_EPSILON = 1e-4


def calibrate(
    model: ir.Model | Path,
    names: Sequence[str],
    feeds: Sequence[Feed],
    method: str = "minmax",
    percentile: float = 99.99,
) -> dict[str, Range]:
    """Ranges of activations over all feeds.

    Positions that are padding do not count, where an input ``attention_mask``, or one whose name ends so, tells them
    apart: activations ``(batch, length, ...)`` beside a mask ``(batch, length)``. Elsewhere, as in convolutions over
    padded sound, they do. Numbers that are not finite never count. The feeds are gone through once, some rows of a
    batch at a time where its activations would fill the memory. Of the many numbers that an activation may have at
    one time, a histogram counts a random part, the same in every run.

    Args:
        model: the float32 graph, or its file.
        names: of activations in the main graph: inputs, or what nodes give.
        feeds: inputs of the graph, call by call.
        method: ``"minmax"``, ``"entropy"`` or ``"percentile"``.
        percentile: share of the numbers, in percent, that the range of ``"percentile"`` holds.

    Returns:
        By name, but of those with no finite number.

    Raises:
        OptionError: no feeds, an unknown method, or a percentile outside 50 to 100.
        SessionError: the graph does not run on a feed.
    """
    _check(feeds, method, percentile)
    if not names:
        return {}
    seen: dict[str, Histogram] = {}
    rng = np.random.default_rng(0)
    with Observer(model if isinstance(model, ir.Model) else ir.load(model), names) as observer:
        for name, values, ends in observer.values(feeds):
            found = seen.setdefault(name, Histogram())
            found.widen(ends)
            if method != "minmax":
                found.count(values if values.size <= _COUNTED else values[rng.integers(values.size, size=_COUNTED)])
    return {name: _range(found, method, percentile) for name, found in seen.items()}


def _range(found: Histogram, method: str, percentile: float) -> Range:
    """An activation's range; all of what is zero throughout."""
    if method == "minmax" or _reach(found.seen) == 0:
        return found.seen
    if method == "entropy":
        return entropy(found.binned(BINS, _reach(found.seen)), found.seen)
    return within(found.counts, found.seen, percentile, found.reach)


def within(counts: Counts, seen: Range, percentile: float, reach: float | None = None) -> Range:
    """The range of a share of the numbers, in percent, with as many left out below as above.

    Args:
        counts: a histogram.
        seen: the smallest and the largest number.
        percentile: the share; to the width of a bin.
        reach: what the bins go up to, and down to below zero; None takes the largest absolute number.
    """
    edges = np.linspace(-1, 1, len(counts) + 1) * (_reach(seen) if reach is None else reach)
    share = np.cumsum(counts) / counts.sum()
    cut = (1 - percentile / 100) / 2
    first, last = np.searchsorted(share, [cut, 1 - cut])
    return Range(max(float(edges[first]), seen.low), min(float(edges[min(last, len(counts) - 1) + 1]), seen.high))


def entropy(counts: Counts, seen: Range) -> Range:
    """The range whose quantization to :data:`LEVELS` levels diverges least from what was counted.

    Candidates are symmetric about zero. What lies outside counts for the outermost bins that are inside.

    Args:
        counts: a histogram of :data:`BINS` bins.
        seen: the smallest and the largest number, which bound the result.
    """
    middle = len(counts) // 2
    halves = range(LEVELS // 2, middle + 1)
    best = min(halves, key=lambda half: _divergence(counts, middle - half, min(middle + half + 1, len(counts))))
    edges = np.linspace(-1, 1, len(counts) + 1) * _reach(seen)
    low, high = edges[middle - best], edges[min(middle + best + 1, len(counts))]
    return Range(max(float(low), seen.low), min(float(high), seen.high))


def _divergence(counts: Counts, start: int, end: int) -> float:
    """How much is lost, in nats, by quantizing the bins from ``start`` to ``end`` to a few levels."""
    inside = counts[start:end]
    wanted = inside.astype(np.float64)
    wanted[0] += counts[:start].sum()
    wanted[-1] += counts[end:].sum()
    used = wanted != 0
    level = np.minimum(np.arange(len(inside)) // (len(inside) // LEVELS), LEVELS - 1)
    numbers = np.bincount(level, weights=inside, minlength=LEVELS)
    bins = np.bincount(level, weights=used, minlength=LEVELS)
    quantized = np.where(used, (numbers / np.maximum(bins, 1))[level], 0)
    first, second = _smooth(wanted), _smooth(quantized)
    if first is None or second is None:
        return math.inf
    return float(np.sum(first * np.log(first / second)))


def _smooth(numbers: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """A distribution without zeros: each gets a little of what the others have; None where that is not possible."""
    zeros = numbers == 0
    count = int(zeros.sum())
    if count == len(numbers):
        return None
    taken = _EPSILON * count / (len(numbers) - count)
    if taken >= 1:
        return None
    moved = np.where(zeros, _EPSILON, numbers - taken)
    result: NDArray[np.float64] = moved / moved.sum()
    return result


def _reach(found: Range) -> float:
    """The largest absolute value."""
    return max(abs(found.low), abs(found.high))


def _check(feeds: Sequence[Any], method: str, percentile: float) -> None:
    if not feeds:
        raise OptionError("no inputs to calibrate with")
    if method not in ("minmax", "entropy", "percentile"):
        raise OptionError(f"method must be 'minmax', 'entropy' or 'percentile', not {method!r}")
    if not 50 <= percentile <= 100:
        raise OptionError(f"percentile must be from 50 to 100, not {percentile!r}")
