"""Logits that lie in a GPU's memory: what is looked for is found there, and only that is copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from ..binding import DeviceArray
from .kernels import Kernels, Largest
from .logits import log_softmax
from .output import Floats, Ints
from .sampling import Temperature, TopK

Change: TypeAlias = Callable[[Ints, Floats], Floats]


class DeviceLogits:
    """Scores ``(rows, vocab)`` of the decoder's last call, until the next one.

    Args:
        array: float32 ``(rows, 1, vocab)``, an array of its own.
        kernels: what runs where it lies.
    """

    def __init__(self, array: DeviceArray, kernels: Kernels) -> None:
        self._array, self._kernels = array, kernels
        self._copies, self._logarithms = 1, False
        self._finders: dict[tuple[int, bool], Largest] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, and the vocabulary."""
        rows, _, vocabulary = self._array.shape
        return rows * self._copies, vocabulary

    def repeat(self, copies: int, axis: int = 0) -> DeviceLogits:
        """Every row ``copies`` times, as NumPy repeats them."""
        return self._like(self._copies * copies, self._logarithms)

    def logarithms(self) -> DeviceLogits:
        """The log-probabilities instead."""
        return self._like(self._copies, True)

    def argmax(self, axis: int = -1) -> Ints:
        """The place of each row's largest score, the first of equal ones: int64 ``(rows,)``."""
        places: Ints = self.largest(1)[1][:, 0]
        return places

    def largest(self, k: int) -> tuple[Floats, Ints]:
        """The ``k`` largest of each row, largest first; see :func:`.selection.largest`."""
        key = k, self._logarithms
        if key not in self._finders:
            rows, _, vocabulary = self._array.shape
            scores = self._array.part(0, (rows, vocabulary))
            self._finders[key] = self._kernels.largest(scores, k, logarithms=self._logarithms)
        values, places = self._finders[key]()
        return values.repeat(self._copies, axis=0), places.repeat(self._copies, axis=0)

    def read(self) -> Floats:
        """All of them, in new memory of the processor."""
        scores: Floats = self._array.numpy()[:, 0].repeat(self._copies, axis=0)
        return log_softmax(scores) if self._logarithms else scores

    def narrow(self, changes: Sequence[Change]) -> tuple[Floats, Sequence[Change]]:
        """What some processors are to change, and those of them that are left to do it.

        Where they begin with the filters that leave the ``k`` most probable tokens, only those are copied, and the
        others score minus infinity.
        """
        temperature, place = 1.0, 0
        first = changes[0] if changes else None
        if isinstance(first, Temperature):
            temperature, place = first.temperature, 1
        filtering = changes[place] if place < len(changes) else None
        if not isinstance(filtering, TopK) or filtering.k >= self.shape[1] or self._logarithms:
            return self.read(), changes
        k = filtering.k
        values, places = self.largest(k + 1)
        values /= temperature
        if not (values[:, k] < values[:, k - 1]).all():
            return self.read(), changes  # more of them are as probable as the last
        scores = np.full(self.shape, -np.inf, dtype=np.float32)
        np.put_along_axis(scores, places[:, :k], values[:, :k], axis=1)
        return scores, changes[place + 1 :]

    def _like(self, copies: int, logarithms: bool) -> DeviceLogits:
        made = DeviceLogits(self._array, self._kernels)
        made._copies, made._logarithms, made._finders = copies, logarithms, self._finders
        return made


def read(scores: Floats | DeviceLogits) -> Floats:
    """Scores in the processor's memory."""
    return scores if isinstance(scores, np.ndarray) else scores.read()
