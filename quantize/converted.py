"""What a conversion gives: the graph, and an account of what was quantized and what was not."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True)
class Converted:
    """A quantized copy of a graph.

    Attributes:
        model: the copy.
        quantized: the operator that a weight (by its initializer's name) now goes through, several joined by "+".
        left: why a weight that could have been quantized was left in float32.
    """

    model: ir.Model
    quantized: dict[str, str]
    left: dict[str, str]
