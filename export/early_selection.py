"""Models that answer from their first token: the last layer computes what becomes of that token alone.

A classifier of texts or pictures reads position 0 of the last hidden states. Queries, products and norms of the other
positions of the last layer are for nothing; keys and values are not. Of 12 layers that is a fourteenth of the work.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

# What computes each position for itself: inputs of the result's rank hold positions, others are weights.
_BY_POSITION = (
    *("Add", "Sub", "Mul", "Div", "Gelu", "Relu", "Tanh", "Sigmoid", "MatMul"),
    *("LayerNormalization", "SimplifiedLayerNormalization"),
)
_ATTENTION = ("com.microsoft", "MultiHeadAttention")
_QUERY, _KEY, _VALUE, _BIAS = 0, 1, 2, 5
_RANK = 3


def select_early(graph: ir.Graph) -> None:
    """Take position 0 where a hidden state is last needed whole, if that is all that is wanted of the last one."""
    narrow = _narrow(graph)
    taken: dict[ir.Value, ir.Value] = {}
    for node in [node for node in graph if node in narrow]:
        sources = [(index, 1) for index in narrow[node]]
        if _is_attention(node) and _input(node, _BIAS) is not None:
            sources.append((_BIAS, 2))
        for index, axis in sources:
            value = node.inputs[index]
            assert value is not None
            if value.producer() in narrow:
                continue
            if value not in taken:
                taken[value] = _first(graph, node, value, axis)
            node.replace_input_with(index, taken[value])
        node.outputs[0].shape = _shortened(node.outputs[0], 1)


def _narrow(graph: ir.Graph) -> dict[ir.Node, list[int]]:
    """The nodes of whose result only position 0 is used, and that can give it alone, with their inputs of positions."""
    found: dict[ir.Node, list[int]] = {}
    for node in reversed(graph):
        positions = _positions(node)
        uses = [(use.node, use.idx) for use in node.outputs[0].uses()]
        first = all(_takes_first(user) or index in found.get(user, ()) for user, index in uses)
        if positions and uses and first and not node.outputs[0].is_graph_output():
            found[node] = positions
    return found


def _takes_first(node: ir.Node) -> bool:
    """Whether a node is ``x[:, 0]``."""
    if node.op_type != "Gather" or node.domain or node.attributes.get_int("axis", 0) != 1:
        return False
    index = node.inputs[1].const_value if node.inputs[1] is not None else None
    return index is not None and index.shape.rank() == 0 and int(index.numpy()) == 0


def _positions(node: ir.Node) -> list[int]:
    """The inputs of a node that hold something for each position of its result; empty where it does not work so."""
    result = node.outputs[0]
    if _rank(result) != _RANK:
        return []
    if _is_attention(node):
        return [_QUERY]
    if node.domain or node.op_type not in _BY_POSITION or node.attributes.get_int("axis", -1) not in (-1, _RANK - 1):
        return []
    if node.op_type == "MatMul":
        return [0] if [_rank(value) for value in node.inputs] == [_RANK, 2] else []
    found = [index for index, value in enumerate(node.inputs) if _has_positions(value, result)]
    others = [value for index, value in enumerate(node.inputs) if index not in found]
    return found if all(_rank(value) in (0, 1) for value in others) else []


def _has_positions(value: ir.Value | None, result: ir.Value) -> bool:
    """Whether a value has the positions of a result, and is not the same at all of them."""
    if value is None or value.shape is None or result.shape is None or _rank(value) != _RANK:
        return False
    return bool(value.shape[1] == result.shape[1]) and value.shape[1] != 1


def _is_attention(node: ir.Node) -> bool:
    """Whether a node attends over sequences, with nothing but what is added to its scores."""
    if (node.domain, node.op_type) != _ATTENTION or not {"num_heads", "scale"}.issuperset(node.attributes):
        return False
    sequences = [_rank(_input(node, index)) for index in (_QUERY, _KEY, _VALUE)]
    others = [value for index, value in enumerate(node.inputs) if index > _VALUE and index != _BIAS]
    bias = _input(node, _BIAS)
    return sequences == [_RANK] * 3 and not any(others) and (bias is None or _rank(bias) == _RANK + 1)


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if len(node.inputs) > index else None


def _rank(value: ir.Value | None) -> int | None:
    return None if value is None or value.shape is None else value.shape.rank()


def _first(graph: ir.Graph, before: ir.Node, value: ir.Value, axis: int) -> ir.Value:
    """A node that gives ``value[:, :1]``, along whichever axis."""
    bounds = [_constant(graph, number) for number in (0, 1, axis)]
    output = ir.Value(name=f"{value.name}_first", type=value.type, shape=_shortened(value, axis))
    graph.insert_before(before, ir.node("Slice", [value, *bounds], outputs=[output]))
    return output


def _shortened(value: ir.Value, axis: int) -> ir.Shape | None:
    if value.shape is None:
        return None
    return ir.Shape([1 if index == axis else dimension for index, dimension in enumerate(value.shape)])


def _constant(graph: ir.Graph, number: int) -> ir.Value:
    name = f"first_{number}"
    if name not in graph.initializers:
        tensor = ir.Tensor(np.array([number], np.int64), name=name)
        value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)
        graph.register_initializer(value)
    return graph.initializers[name]
