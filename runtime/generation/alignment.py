"""Cross-attention weights from a decoder's queries and the encoder's keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..ops import softmax
from ..session import Array
from .output import Floats


def attention_weights(
    queries: Mapping[int, Floats], encoded: Mapping[str, Array], heads: Sequence[tuple[int, int]]
) -> Floats:
    """Softmax of the scores of some heads.

    Args:
        queries: by layer ``(rows, length, heads * head)``, scaled.
        encoded: has ``past_key_values.{layer}.encoder.key`` ``(rows, heads, encoder length, head)``.
        heads: layer and head of each.

    Returns:
        float32 ``(rows, heads, length, encoder length)``.
    """
    found = []
    for layer, head in heads:
        key = encoded[f"past_key_values.{layer}.encoder.key"][:, head].astype(np.float32, copy=False)
        size = key.shape[-1]
        query = queries[layer][:, :, head * size : (head + 1) * size]
        found.append(softmax(query @ key.transpose(0, 2, 1)))
    weights: Floats = np.stack(found, axis=1)
    return weights
