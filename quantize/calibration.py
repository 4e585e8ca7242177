"""Ranges of activations, from what flows through a graph when it is fed.

Methods: ``"minmax"`` is the smallest and the largest number seen; ``"percentile"`` leaves out the same small share at
both ends; ``"entropy"`` cuts where 128 levels tell most of the distribution, by its Kullback-Leibler divergence.

References: Migacz 2017, "8-bit inference with TensorRT"; onnxruntime.quantization.calibrate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from torchless.errors import OptionError
from torchless.session import Array, Session

from .saving import save

Feed = Mapping[str, Array]
Counts = NDArray[np.int64]

BINS = 2048
"""Bins of a histogram, from minus the largest absolute value to the largest."""
LEVELS = 128
"""Levels that the entropy method quantizes to."""

# Bytes of activations that one run of the graph gives back: every run computes the whole graph.
_MEMORY = 1 << 29
# Numbers of an activation that one feed adds to a histogram at most: so many say where its ends are.
_COUNTED = 1 << 18
_EPSILON = 1e-4


@dataclass(frozen=True)
class Range:
    """What the numbers of an activation lie between, finite."""

    low: float
    high: float


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
    padded sound, they do. Numbers that are not finite never count. The feeds are gone through once, or for a method
    with histograms twice; a few activations are in memory at a time. Of the many numbers that an activation may have at
    one feed, a histogram counts a random part, the same in every run.

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
    with _Observer(model if isinstance(model, ir.Model) else ir.load(model), names) as observer:
        ranges = _extremes(observer.values(feeds))
        if method == "minmax":
            return ranges
        counts = _histograms(observer.values(feeds), ranges)
    return {
        name: seen if name not in counts
        else entropy(counts[name], seen) if method == "entropy"
        else within(counts[name], seen, percentile)
        for name, seen in ranges.items()
    }  # fmt: skip


def within(counts: Counts, seen: Range, percentile: float) -> Range:
    """The range of a share of the numbers, in percent, with as many left out below as above.

    Args:
        counts: a histogram of :data:`BINS` bins.
        seen: the smallest and the largest number.
        percentile: the share; to the width of a bin.
    """
    edges = np.linspace(-1, 1, len(counts) + 1) * _reach(seen)
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


def _extremes(found: Iterator[tuple[str, Array]]) -> dict[str, Range]:
    ranges: dict[str, Range] = {}
    for name, values in found:
        low, high = float(values.min()), float(values.max())
        before = ranges.get(name, Range(low, high))
        ranges[name] = Range(min(low, before.low), max(high, before.high))
    return ranges


def _histograms(found: Iterator[tuple[str, Array]], ranges: Mapping[str, Range]) -> dict[str, Counts]:
    """How many numbers lie in each of the bins, of many a random part; nothing of what is zero throughout."""
    counts: dict[str, Counts] = {}
    rng = np.random.default_rng(0)
    for name, values in found:
        reach = _reach(ranges[name])
        if reach > 0:
            if values.size > _COUNTED:
                values = values[rng.integers(values.size, size=_COUNTED)]
            places = np.minimum(((values / reach + 1) * (BINS / 2)).astype(np.int64), BINS - 1)
            counts[name] = counts.get(name, 0) + np.bincount(places, minlength=BINS)
    return counts


def _reach(found: Range) -> float:
    """The largest absolute value."""
    return max(abs(found.low), abs(found.high))


class _Observer:
    """A graph that gives its activations.

    Args:
        model: the graph, which stays as it is.
        names: the activations.
    """

    def __init__(self, model: ir.Model, names: Sequence[str]) -> None:
        observed = model.clone()
        self._inputs = [name for name in names if name in {value.name for value in observed.graph.inputs}]
        self._names = [name for name in dict.fromkeys(names) if name not in self._inputs]
        _show(observed.graph, self._names)
        self._folder = TemporaryDirectory(prefix="torchless-")
        try:
            path, *_ = save(observed, Path(self._folder.name) / "observed.onnx")
            self._session = Session(path)
        except BaseException:
            self._folder.cleanup()
            raise

    def __enter__(self) -> _Observer:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def values(self, feeds: Sequence[Feed]) -> Iterator[tuple[str, Array]]:
        """The finite numbers of every activation at every feed, padding left out: ``(n,)``, ``n`` above 0."""
        groups = self._groups(max(feeds, key=lambda feed: sum(array.size for array in feed.values())))
        for feed in feeds:
            for names in groups:
                for name, array in self._session.run(feed, names).items():
                    yield from _counted(name, array, feed)
            for name in self._inputs:
                yield from _counted(name, np.asarray(feed[name]), feed)

    def _groups(self, largest: Feed) -> list[list[str]]:
        """Activations that one run gives back, so that they fit in memory."""
        sizes = self._session.run(largest, list(map(_size, self._names))) if self._names else {}
        groups: list[list[str]] = []
        room = 0
        for name in self._names:
            needed = int(sizes[_size(name)]) * np.dtype(np.float32).itemsize
            if not groups or needed > room:
                groups.append([])
                room = _MEMORY
            groups[-1].append(name)
            room -= needed
        return groups


def _show(graph: ir.Graph, names: Sequence[str]) -> None:
    """Make activations, and the number of their elements, outputs of a graph."""
    values = {value.name: value for node in graph for value in node.outputs}
    given = {value.name for value in graph.outputs}
    for name in names:
        value = values[name]
        if name not in given:
            value.type = ir.TensorType(ir.DataType.FLOAT)
            graph.outputs.append(value)
        count = ir.node("Size", [value])
        count.outputs[0].name = _size(name)
        count.outputs[0].type = ir.TensorType(ir.DataType.INT64)
        graph.append(count)
        graph.outputs.append(count.outputs[0])


def _size(name: str) -> str:
    """What the number of an activation's elements is called."""
    return f"torchless/size/{name}"


def _counted(name: str, array: Array, feed: Feed) -> Iterator[tuple[str, Array]]:
    """The activation's numbers that count, if there are any."""
    masks = [
        np.asarray(mask) != 0
        for key, mask in feed.items()
        if key.endswith("attention_mask") and array.ndim > 2 and array.shape[:2] == np.shape(mask)
    ]
    values = array[np.logical_or.reduce(masks)] if masks else array.ravel()
    finite: NDArray[np.bool_] = np.isfinite(values)
    values = values.ravel() if finite.all() else values[finite]
    if values.size:
        yield name, values


def _check(feeds: Sequence[Any], method: str, percentile: float) -> None:
    if not feeds:
        raise OptionError("no inputs to calibrate with")
    if method not in ("minmax", "entropy", "percentile"):
        raise OptionError(f"method must be 'minmax', 'entropy' or 'percentile', not {method!r}")
    if not 50 <= percentile <= 100:
        raise OptionError(f"percentile must be from 50 to 100, not {percentile!r}")
