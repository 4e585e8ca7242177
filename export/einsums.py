"""Sums by Einstein's rule that are products with a constant matrix: they become products, as which they are quantized.

XLNet writes its attention's projections so: ``ibh,hnd->ibnd`` for queries, keys and values, ``ibnd,hnd->ibh`` for the
result. ONNX Runtime computes the same product inside, after it has brought both factors into its order, call by call.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir


@dataclass(frozen=True)
class _Equation:
    """``source,weight->result`` where the last axes of the source are summed over, with the weight's first or last.

    Attributes:
        kept: axes of the source that the result begins with.
        summed: axes of the weight that are summed over.
        first: these are the weight's first, and its others the result's last.
    """

    kept: int
    summed: int
    first: bool


def multiply_einsums(graph: ir.Graph) -> None:
    """Put a product, between reshapes where heads are split or joined, in place of each such sum."""
    for node in list(graph):
        equation = _equation(node)
        if equation is not None:
            _multiply(graph, node, equation)


def _equation(node: ir.Node) -> _Equation | None:
    """How a sum is a product with a constant; None where it is not."""
    if node.op_type != "Einsum" or node.domain or len(node.inputs) != 2 or node.inputs[1] is None:
        return None
    value = node.inputs[1]
    if value.const_value is None or not value.is_initializer() or value.is_graph_input():
        return None
    terms, _, result = node.attributes["equation"].as_string().replace(" ", "").partition("->")
    source, weight = terms.split(",")
    shared = "".join(axis for axis in source if axis in weight)
    kept, others = source[: -len(shared) or None], "".join(axis for axis in weight if axis not in shared)
    distinct = all(term.isalpha() and len(set(term)) == len(term) for term in (source, weight))
    if not (distinct and shared and kept and others) or source != kept + shared or result != kept + others:
        return None
    if weight not in (shared + others, others + shared):
        return None
    return _Equation(len(kept), len(shared), first=weight == shared + others)


def _multiply(graph: ir.Graph, node: ir.Node, equation: _Equation) -> None:
    source, weight = node.inputs
    assert source is not None
    assert weight is not None
    rest = _rest(weight, equation)
    if equation.summed > 1:
        source = _reshaped(graph, node, source, [0] * equation.kept + [-1])
    product = ir.node("MatMul", [source, _matrix(graph, weight, equation)])
    graph.insert_before(node, product)
    value = product.outputs[0]
    if len(rest) > 1:
        value.type, value.name = source.type, f"{node.outputs[0].name}_product"
        value = _reshaped(graph, node, value, [0] * equation.kept + rest)
    old = node.outputs[0]
    value.type, value.shape, value.name = old.type, old.shape, old.name
    old.replace_all_uses_with(value, replace_graph_outputs=True)
    old.name = None
    graph.remove(node, safe=True)


def _rest(weight: ir.Value, equation: _Equation) -> list[int]:
    """The weight's axes that are not summed over."""
    shape = _shape(weight)
    return shape[equation.summed :] if equation.first else shape[: -equation.summed]


def _matrix(graph: ir.Graph, weight: ir.Value, equation: _Equation) -> ir.Value:
    """The weight as ``(summed, others)``, made once."""
    name = f"{weight.name}_{'rows' if equation.first else 'columns'}_{equation.summed}"
    if name not in graph.initializers:
        assert weight.const_value is not None
        others = math.prod(_rest(weight, equation))
        array = weight.const_value.numpy()
        array = array.reshape(-1, others) if equation.first else array.reshape(others, -1).T
        _register(graph, name, np.ascontiguousarray(array))
    return graph.initializers[name]


def _reshaped(graph: ir.Graph, before: ir.Node, value: ir.Value, shape: list[int]) -> ir.Value:
    """The value with its last axes split or joined; 0 is an axis that stays."""
    name = "shape_" + "_".join(map(str, shape))
    if name not in graph.initializers:
        _register(graph, name, np.array(shape))
    node = ir.node("Reshape", [value, graph.initializers[name]])
    graph.insert_before(before, node)
    node.outputs[0].type, node.outputs[0].name = value.type, f"{before.outputs[0].name}_{len(shape)}_axes"
    return node.outputs[0]


def _register(graph: ir.Graph, name: str, array: np.ndarray) -> None:
    tensor = ir.Tensor(array, name=name)
    kind = ir.TensorType(tensor.dtype)
    graph.register_initializer(ir.Value(name=name, type=kind, shape=tensor.shape, const_value=tensor))


def _shape(weight: ir.Value) -> list[int]:
    assert weight.const_value is not None
    return [int(size) for size in weight.const_value.shape.numpy()]
