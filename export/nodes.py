"""What the graph changes of the export share: reading nodes, and constants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir


def both_ways(node: ir.Node) -> Iterator[tuple[ir.Value, ir.Value]]:
    """The two inputs of a node whose order does not matter, in either order."""
    first, second = node.inputs
    if first is not None and second is not None:
        yield first, second
        yield second, first


def constant(graph: ir.Graph, numbers: Sequence[int] | int) -> ir.Value:
    """An initializer of int64 numbers, or of one that is a scalar; of equal ones a graph has one."""
    text = f"scalar_{numbers}" if isinstance(numbers, int) else "_".join(map(str, numbers))
    name = f"constant_{text}".replace("-", "minus")
    if name not in graph.initializers:
        tensor = ir.Tensor(np.array(numbers, np.int64), name=name)
        value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)
        graph.register_initializer(value)
    return graph.initializers[name]
