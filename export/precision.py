"""The variants of a graph that an export writes besides float32, and what the manifest says of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import onnx_ir as ir

from torchless.manifest import GraphSpec
from torchless.quantize import Scheme, hardware, to_half
from torchless.quantize.conversion import convert_role
from torchless.quantize.half import is_cache


@dataclass(frozen=True)
class Lowered:
    """A graph in another precision.

    Attributes:
        model: the graph.
        quantization: how it was quantized; None for float32 and float16.
    """

    model: ir.Model
    quantization: dict[str, Any] | None = None

    def entered(self, spec: GraphSpec) -> GraphSpec:
        """What the manifest says of the saved graph."""
        return replace(spec, quantization=self.quantization)


def lower(model: ir.Model, dtype: str, float32: Collection[str] = ()) -> Lowered:
    """A graph in a precision.

    Args:
        model: in float32, its values typed.
        dtype: "fp32", "fp16" or "int8".
        float32: names of nodes that stay in float32 in float16's graph.
    """
    if dtype == "fp16":
        return Lowered(to_half(model, is_cache, lambda node: node.name in float32))
    if dtype == "fp32":
        return Lowered(model)
    scheme = Scheme("int8", reduce_range=hardware.saturates())
    converted = convert_role(model, scheme)
    options: dict[str, Any] = {"reduce_range": scheme.reduce_range, "exclude": []}
    account = {"scheme": scheme.name, "options": options, "quantized": converted.quantized, "left": converted.left}
    return Lowered(converted.model, account)
