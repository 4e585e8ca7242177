"""The few numeric functions that turn logits into answers, on NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def softmax(logits: Floats, axis: int = -1) -> Floats:
    """Probabilities along ``axis``: ``exp(x) / sum(exp(x))``, computed after subtracting the maximum.

    Args:
        logits: any shape; float16 is widened to float32.
        axis: the axis that sums to 1.

    Returns:
        An array of the same shape.

    Example:
        >>> softmax(np.array([0.0, 0.0], dtype=np.float32)).tolist()
        [0.5, 0.5]
    """
    logits = _widen(logits)
    exponentials = np.exp(logits - logits.max(axis=axis, keepdims=True))
    probabilities: Floats = exponentials / exponentials.sum(axis=axis, keepdims=True)
    return probabilities


def sigmoid(logits: Floats) -> Floats:
    """``1 / (1 + exp(-x))`` element by element, without overflow for large ``|x|``."""
    logits = _widen(logits)
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small))


def top_k(scores: Floats, k: int) -> NDArray[np.intp]:
    """Indices of the ``k`` largest values of a vector, largest first; equal values keep their order.

    Args:
        scores: (n,)
        k: how many; all of them where ``k >= n``.
    """
    if k == 1 and scores.size:
        return np.array([scores.argmax()])
    if k >= scores.size:
        return np.argsort(-scores, kind="stable")
    # Every value equal to the k-th largest is a candidate, so that ties are settled by position.
    threshold = np.partition(scores, -k)[-k]
    candidates = np.flatnonzero(scores >= threshold)
    return candidates[np.argsort(-scores[candidates], kind="stable")[:k]]


def mean_pool(hidden: Floats, mask: NDArray[np.integer[Any]]) -> Floats:
    """Mean over the attended positions: ``(batch, length, hidden)`` and ``(batch, length)`` to ``(batch, hidden)``."""
    weights = mask[..., None].astype(np.float32)
    pooled: Floats = (_widen(hidden) * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
    return pooled


def l2_normalize(vectors: Floats) -> Floats:
    """Vectors of length 1 along the last axis; a zero vector stays zero."""
    vectors = _widen(vectors)
    scaled: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return scaled


def _widen(values: Floats) -> Floats:
    return values.astype(np.float32) if values.dtype == np.float16 else values
