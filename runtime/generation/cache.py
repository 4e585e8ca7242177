"""The key/value buffers of one request: allocated once, written by the graph in place, copied only where rows part."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..binding import Array, Binding
from ..environment import available_memory
from ..errors import BundleError, OptionError
from ..manifest import TensorSpec
from .spare import Spare

_NAME = re.compile(r"past_key_values\.(\d+)\.(?:(decoder|encoder)\.)?(key|value)")


@dataclass(frozen=True)
class Entry:
    """One cached tensor of a graph: ``(rows, heads, capacity, head)`` in its dtype.

    Attributes:
        past: the graph's input.
        present: the output that is the same buffer after a call.
        heads: key/value heads.
        head: numbers per head.
        dtype: NumPy dtype name.
    """

    past: str
    present: str
    heads: int
    head: int
    dtype: str


def entries(inputs: Iterable[TensorSpec], part: str | None = None) -> list[Entry]:
    """The cached tensors that a graph declares, found by name.

    Args:
        inputs: what the graph takes.
        part: ``"encoder"`` for the cross keys and values of an encoder-decoder; otherwise those that grow.

    Raises:
        BundleError: one has no fixed number of heads and of numbers per head.
    """
    found = []
    for spec in inputs:
        match = _NAME.fullmatch(spec.name)
        if match is None or (match[2] == "encoder") != (part == "encoder"):
            continue
        heads, head = spec.shape[1], spec.shape[3]
        if not isinstance(heads, int) or not isinstance(head, int) or min(heads, head) < 1:
            raise BundleError(f"the graph's input {spec.name!r} has shape {spec.shape}: no fixed heads")
        present = spec.name.replace("past_key_values", "present")
        found.append(Entry(spec.name, present, heads, head, spec.dtype))
    return found


def check_fits(declared: Sequence[Entry], rows: int, capacity: int) -> None:
    """Refuse a cache that memory cannot hold, before any of it is allocated.

    Raises:
        OptionError: it would not fit; says how large it would be, and how much is there.
    """
    needed = sum(rows * entry.heads * capacity * entry.head * np.dtype(entry.dtype).itemsize for entry in declared)
    available = available_memory()
    if available is not None and needed > available:
        raise OptionError(
            f"a cache of {rows} sequences of {capacity} tokens would take {needed / 2**30:.1f} GiB and "
            f"{available / 2**30:.1f} GiB are free: ask for fewer beams, sequences or tokens"
        )


class Buffers:
    """Keys and values of every layer for some rows, with room for ``capacity`` tokens each.

    A row's tokens lie at the start of its buffers. Beams share long beginnings: how far two rows agree is kept, so
    that a row that takes over another's past copies only what comes after. What lies behind a row's tokens is anything,
    numbers or not: the graph's attention does not read it.

    Args:
        declared: the cached tensors.
        rows: sequences.
        capacity: tokens that each may grow to.
        spare: where the memory comes from and goes to again.

    Raises:
        OptionError: it would not fit in memory.
    """

    def __init__(self, declared: Sequence[Entry], rows: int, capacity: int, spare: Spare | None = None) -> None:
        check_fits(declared, rows, capacity)
        self.entries = list(declared)
        self.rows = rows
        self.capacity = capacity
        self._spare = spare or Spare()
        shapes = [(rows, entry.heads, capacity, entry.head) for entry in declared]
        sizes = [
            math.prod(shape) * np.dtype(entry.dtype).itemsize for shape, entry in zip(shapes, declared, strict=True)
        ]
        blocks = self._spare.lend(self, sizes)
        self.arrays: list[Array] = [
            block[:size].view(entry.dtype).reshape(shape)
            for block, size, entry, shape in zip(blocks, sizes, declared, shapes, strict=True)
        ]
        # Tokens for which two rows hold the same; a row agrees with itself for ever.
        self._common = np.zeros((rows, rows), dtype=np.int64)

    def bind(self, binding: Binding) -> None:
        """Make each buffer both the past that the graph reads and the present that it writes."""
        for entry, array in zip(self.entries, self.arrays, strict=True):
            binding.bind_inplace(entry.past, entry.present, array)

    def expand(self, copies: int, places: NDArray[np.int64], lengths: NDArray[np.int64]) -> Buffers:
        """New buffers in which every sequence stands ``copies`` times in a row, in the order of the sequences.

        Args:
            copies: how often.
            places: the row that each sequence has here, int64 ``(rows,)``.
            lengths: tokens that each sequence has, int64 ``(rows,)``.
        """
        wider = Buffers(self.entries, self.rows * copies, self.capacity, self._spare)
        for sequence, (row, used) in enumerate(zip(places.tolist(), lengths.tolist(), strict=True)):
            first = sequence * copies
            for source, target in zip(self.arrays, wider.arrays, strict=True):
                target[first : first + copies, :, :used] = source[row, :, :used]
        origin = np.arange(wider.rows) // copies
        wider._common[:] = np.where(origin[:, None] == origin[None, :], lengths[origin], 0)
        return wider

    def take_over(self, row: int, parent: int, used: int) -> None:
        """Let a row continue another: the first ``used`` tokens of ``parent``, of which only some differ."""
        start = min(int(self._common[row, parent]), used)
        for array in self.arrays:
            array[row, :, start:used] = array[parent, :, start:used]
        self._common[row] = self._common[parent]
        self._common[:, row] = self._common[:, parent]
        self._common[row, parent] = self._common[parent, row] = used

    def shorten(self, used: NDArray[np.int64]) -> None:
        """Forget what lies after the first tokens of each row, of which there are ``used``, int64 ``(rows,)``."""
        np.minimum(self._common, used[:, None], out=self._common)


def assign(parents: NDArray[np.int64], group: int) -> NDArray[np.int64]:
    """A row for each sequence so that as few as possible move.

    The first sequence that continues a row stays in it; the others get the rows of their group that nobody continues.

    Args:
        parents: the row that each sequence continues.
        group: rows that belong together (the beams of one input); a sequence never leaves its group.

    Returns:
        The row of each sequence, each row once.

    Example:
        >>> assign(np.array([2, 2, 0]), 3).tolist()
        [2, 1, 0]
    """
    rows = np.full(len(parents), -1, dtype=np.int64)
    for start in range(0, len(parents), group):
        free = set(range(start, start + group))
        waiting = []
        for sequence in range(start, start + group):
            parent = int(parents[sequence])
            if parent in free:
                free.remove(parent)
                rows[sequence] = parent
            else:
                waiting.append(sequence)
        for sequence, row in zip(waiting, sorted(free), strict=True):
            rows[sequence] = row
    return rows
