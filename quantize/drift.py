"""How far the outputs of two graphs are apart, and how often they choose the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchless.manifest import TensorSpec
from torchless.session import Array, Session

_MASKS = ("attention_mask", "decoder_attention_mask")


@dataclass(frozen=True)
class Drift:
    """How far outputs are from those they should be.

    Attributes:
        max: the largest absolute difference.
        mean: the mean absolute difference.
        cosine: the mean cosine of the vectors along the last axis.
        relative: root mean square of the differences over that of the outputs as they should be.
        agreement: share of the vectors whose largest element is at the same place: labels, tokens, or places of an
            answer; None where an output chooses nothing.
    """

    max: float
    mean: float
    cosine: float
    relative: float
    agreement: float | None


class Comparison:
    """Differences of many outputs, as they come.

    Example:
        >>> comparison = Comparison()
        >>> comparison.add(np.array([[1.0, 2.0]]), np.array([[1.0, 2.5]]))
        >>> comparison.drift().max
        0.5
    """

    def __init__(self) -> None:
        self._max = self._sum = self._cosines = self._squares = self._base = 0.0
        self._count = self._vectors = self._equal = self._chosen = 0

    def add(self, expected: Array, found: Array, *, chooses: bool = True) -> None:
        """Count vectors.

        Args:
            expected: ``(..., n)`` as it should be; elements that are infinite in both are left out.
            found: the same, as it is.
            chooses: whether the place of the largest element is what is answered.
        """
        left, right = (array.reshape(-1, array.shape[-1]).astype(np.float64) for array in (expected, found))
        if not left.size:
            return
        if chooses and left.shape[-1] > 1:
            self._chosen += len(left)
            self._equal += int((left.argmax(axis=-1) == right.argmax(axis=-1)).sum())
        infinite = ~np.isfinite(left) & (left == right)
        left, right = np.where(infinite, 0, left), np.where(infinite, 0, right)
        difference = np.abs(left - right)
        self._max = float(np.maximum(self._max, difference.max()))  # which keeps NaN
        self._sum += float(difference.sum())
        self._count += difference.size
        self._squares += float((difference**2).sum())
        self._base += float((left**2).sum())
        self._cosines += float(_cosines(left, right).sum())
        self._vectors += len(left)

    def drift(self) -> Drift:
        """What was counted so far; without any vectors there is no difference."""
        return Drift(
            max=self._max,
            mean=self._sum / max(self._count, 1),
            cosine=self._cosines / self._vectors if self._vectors else 1.0,
            relative=float(np.sqrt(self._squares / self._base)) if self._base else float(np.sqrt(self._squares)),
            agreement=self._equal / self._chosen if self._chosen else None,
        )


def drift(expected: Session, found: Session, feeds: Iterable[Mapping[str, Array]]) -> Drift:
    """How far a graph is from another on the same inputs.

    Logits count where there are any, otherwise all outputs in floating point. What a padded place gives does not.

    Args:
        expected: the graph as it should be.
        found: the graph to be judged.
        feeds: inputs by name, call by call.
    """
    names = logits(expected.outputs) or [spec.name for spec in expected.outputs if spec.dtype.startswith("float")]
    specs = {spec.name: spec for spec in expected.outputs}
    comparison = Comparison()
    for feed in feeds:
        left, right = expected.run(feed, names), found.run(feed, names)
        for name in names:
            mask = _mask(specs[name], expected.inputs, feed, left[name])
            pair = left[name], right[name]
            if mask is not None and pair[0].ndim == 2:
                pair = np.where(mask, pair[0], -np.inf), np.where(mask, pair[1], -np.inf)
            elif mask is not None:
                pair = pair[0][mask], pair[1][mask]
            comparison.add(*pair, chooses="logits" in name)
    return comparison.drift()


def logits(outputs: Sequence[TensorSpec]) -> list[str]:
    """Names of a graph's outputs that are scores of what may be chosen."""
    return [spec.name for spec in outputs if spec.name.endswith("logits")]


def _cosines(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosines of pairs of vectors; 1 where both are zero, 0 where one is."""
    norms = np.linalg.norm(left, axis=-1) * np.linalg.norm(right, axis=-1)
    same = (left == right).all(axis=-1)
    cosines: NDArray[np.float64] = np.where(same, 1.0, (left * right).sum(axis=-1) / np.where(norms > 0, norms, 1.0))
    return cosines


def _mask(
    spec: TensorSpec, inputs: Sequence[TensorSpec], feed: Mapping[str, Array], output: Array
) -> NDArray[np.bool_] | None:
    """Which places of an output ``(rows, length[, n])`` belong to an input's unpadded ones; None where all count.

    An output of fewer places than the input, as of sound, has as large a share of them.
    """
    name = next((name for name in _MASKS if name in feed), None)
    declared = {part.name: part.shape for part in inputs}.get(name or "")
    if name is None or declared is None or len(spec.shape) not in (2, 3) or output.shape[:1] != feed[name].shape[:1]:
        return None
    mask, places = feed[name], output.shape[1]
    if len(spec.shape) == 2 and spec.shape[1] != declared[1]:
        return None  # (rows, labels)
    if len(spec.shape) == 3 and (isinstance(spec.shape[1], int) or mask.shape[1] < places):
        return None  # (rows, 1, vocabulary)
    used = np.ceil(mask.sum(axis=1) * places / mask.shape[1])
    ends: NDArray[np.bool_] = np.arange(places) < used[:, None]
    return ends if places != mask.shape[1] else mask.astype(bool)
