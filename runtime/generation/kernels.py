"""What is done with arrays in a GPU's memory besides running the model: tiny graphs, which lie in ``graphs/``.

``scripts/device_graphs.py`` writes them. They run on the CPU as well, over arrays in its memory.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..binding import Binding, DeviceArray, Place
from ..session import Session, Settings
from .output import Floats, Ints

_GRAPHS = Path(__file__).with_name("graphs")
# CUDA's Gather counts its numbers in 32 bits.
_MOST = 2**31 - 1


class Kernels:
    """The graphs' sessions on a device. Safe to use from many threads.

    Args:
        place: the memory that the arrays lie in.
    """

    def __init__(self, place: Place) -> None:
        settings = Settings(device=f"cuda:{place.number}" if place.kind == "cuda" else "cpu")
        self._sessions = {path.stem: Session(path, settings) for path in sorted(_GRAPHS.glob("*.onnx"))}

    def clear(self, array: DeviceArray) -> None:
        """Fill a float32 array ``(parts, rows, numbers)`` with zeros."""
        for part in _parts(array):
            numbers = int(np.prod(part.shape))
            binding = self._sessions["zeros"].binding()
            binding.bind_input("size", np.array([numbers], dtype=np.int64))
            binding.bind_output("zeros", part.part(0, (numbers,)))
            binding.run()

    def take(self, source: DeviceArray, target: DeviceArray, rows: NDArray[np.int64]) -> None:
        """Copy rows from one float32 array to another one.

        Args:
            source: ``(parts, rows before, numbers)``.
            target: ``(parts, rows, numbers)``.
            rows: int64 ``(rows,)``: which row before each is a copy of.
        """
        for old, new in zip(_parts(source, target), _parts(target, source), strict=True):
            binding = self._sessions["rows"].binding()
            binding.bind_input("source", old)
            binding.bind_input("parents", np.ascontiguousarray(rows, dtype=np.int64))
            binding.bind_output("target", new)
            binding.run()

    def largest(self, scores: DeviceArray, k: int, *, logarithms: bool) -> Largest:
        """What finds the largest of each row of ``(rows, n)`` float32 scores, as often as they change."""
        return Largest(self._sessions["likeliest" if logarithms else "largest"].binding(), scores, k)


class Largest:
    """The ``k`` largest scores of each row, or the ``k`` largest log-probabilities; all that is copied to the CPU.

    Args:
        binding: of the graph.
        scores: float32 ``(rows, n)``.
        k: from 1 to n.
    """

    def __init__(self, binding: Binding, scores: DeviceArray, k: int) -> None:
        self._binding = binding
        self._values: Floats = np.empty((scores.shape[0], k), dtype=np.float32)
        self._places: Ints = np.empty((scores.shape[0], k), dtype=np.int64)
        binding.bind_input("scores", scores)
        binding.bind_input("k", np.array([k], dtype=np.int64))
        binding.bind_output("values", self._values)
        binding.bind_output("places", self._places)

    def __call__(self) -> tuple[Floats, Ints]:
        """Values and places, each ``(rows, k)``, largest first, equal ones in the order of their places."""
        self._binding.run()
        return self._values.copy(), self._places.copy()


@cache
def kernels(place: Place) -> Kernels:
    """The graphs' sessions for arrays in a memory, opened once."""
    return Kernels(place)


def _parts(array: DeviceArray, other: DeviceArray | None = None) -> list[DeviceArray]:
    """An array ``(parts, rows, numbers)`` cut along its first axis, so that neither it nor the other is too long."""
    parts, rows, numbers = array.shape
    longest = max(rows, other.shape[1] if other is not None else 0) * numbers
    step = max(1, _MOST // max(1, longest))
    size = rows * numbers * array.dtype.itemsize
    return [array.part(start * size, (min(step, parts - start), rows, numbers)) for start in range(0, parts, step)]
