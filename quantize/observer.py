"""A graph that gives its activations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx_ir as ir

from torchless.session import Array, Session

from .histogram import Range
from .saving import save

Feed = Mapping[str, Array]

# Bytes of activations that one run of the graph gives back: every run computes the whole graph.
_MEMORY = 1 << 29
_BYTES = np.dtype(np.float32).itemsize


class Observer:
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

    def __enter__(self) -> Observer:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def values(self, feeds: Sequence[Feed]) -> Iterator[tuple[str, Array, Range]]:
        """The finite numbers of each activation at each feed, padding left out: ``(n,)``, ``n`` above 0; their ends."""
        rows, groups = self._plan(max(feeds, key=lambda feed: sum(array.size for array in feed.values())))
        for feed in feeds:
            for part in self._parts(feed, rows):
                for names in groups:
                    for name, array in self._session.run(part, names).items():
                        yield from _counted(name, array, part)
                for name in self._inputs:
                    yield from _counted(name, np.asarray(part[name]), part)

    def _plan(self, largest: Feed) -> tuple[int, list[list[str]]]:
        """Rows that run at a time, and the activations that one run gives back, so that they fit in memory."""
        sizes = self._session.run(largest, list(map(_size, self._names))) if self._names else {}
        batch = self._batch(largest) or 1
        whole = sum(int(size) for size in sizes.values()) * _BYTES
        rows = min(batch, max(1, _MEMORY * batch // max(whole, 1)))
        groups: list[list[str]] = []
        room = 0
        for name in self._names:
            needed = int(sizes[_size(name)]) * _BYTES * rows // batch
            if not groups or needed > room:
                groups.append([])
                room = _MEMORY
            groups[-1].append(name)
            room -= needed
        return rows, groups

    def _parts(self, feed: Feed, rows: int) -> Iterator[Feed]:
        """The feed, some rows at a time."""
        batch = self._batch(feed)
        if batch is None or batch <= rows:
            yield feed
            return
        inputs = [spec.name for spec in self._session.inputs]
        for start in range(0, batch, rows):
            yield {name: np.asarray(feed[name])[start : start + rows] for name in inputs}

    def _batch(self, feed: Feed) -> int | None:
        """Rows of a feed, where each of the graph's inputs has as many in a dimension of one name; otherwise None."""
        specs = self._session.inputs
        names = {spec.shape[0] if spec.shape else 0 for spec in specs}
        sizes = {len(feed[spec.name]) if spec.name in feed and np.ndim(feed[spec.name]) else 0 for spec in specs}
        if len(names) > 1 or len(sizes) > 1 or not all(isinstance(name, str) for name in names):
            return None
        return max(sizes, default=0) or None


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


def _counted(name: str, array: Array, feed: Feed) -> Iterator[tuple[str, Array, Range]]:
    """The activation's numbers that count, if there are any."""
    masks = [
        np.asarray(mask) != 0
        for key, mask in feed.items()
        if key.endswith("attention_mask") and array.ndim > 2 and array.shape[:2] == np.shape(mask)
    ]
    kept = np.logical_or.reduce(masks) if masks else None
    values = array.ravel() if kept is None or kept.all() else array[kept].ravel()
    with np.errstate(invalid="ignore"):  # what is no number is left out below
        ends = Range(float(values.min()), float(values.max())) if values.size else Range(0.0, 0.0)
    if not math.isfinite(ends.low) or not math.isfinite(ends.high):
        values = values[np.isfinite(values)]
        ends = Range(float(values.min()), float(values.max())) if values.size else ends
    if values.size:
        yield name, values, ends
