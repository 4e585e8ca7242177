"""Models that answer from some positions: the last layer computes what becomes of those alone.

A classifier of texts or pictures reads position 0 of the last hidden states. Queries, products and norms of the other
positions of the last layer are for nothing; keys and values are not. Of 12 layers that is a fourteenth of the work.
A decoder's logits are wanted after each row's last tokens, so that behind its last attention a prompt needs only these:
of 12 layers a sixteenth.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from .nodes import constant

# What computes each position for itself: inputs of the result's rank hold positions, others are weights.
_BY_POSITION = (
    *("Add", "Sub", "Mul", "Div", "Pow", "Gelu", "Relu", "Tanh", "Sigmoid", "MatMul"),
    *("LayerNormalization", "SimplifiedLayerNormalization"),
)
_ATTENTION = ("com.microsoft", "MultiHeadAttention")
_QUERY, _KEY, _VALUE, _BIAS = 0, 1, 2, 5
_RANK = 3


def select_early(graph: ir.Graph) -> None:
    """Take positions where a hidden state is last needed whole, if some are all that is wanted of the last one."""
    _select_first(graph)
    _select_gathered(graph)


def _select_first(graph: ir.Graph) -> None:
    """Position 0, through attention too: there the query is enough."""
    narrow = _narrow(graph, _takes_first)
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
        node.outputs[0].shape = _shortened(node.outputs[0], 1, 1)


def _select_gathered(graph: ir.Graph) -> None:
    """The positions that a GatherND takes of each row, from behind the last attention on."""
    gathers = [node for node in graph if _gathers(node)]
    if len(gathers) != 1 or gathers[0].outputs[0].is_graph_output():
        return
    (gather,) = gathers
    narrow = _narrow(graph, lambda node: node is gather, attention=False)
    if not narrow:
        return
    kept, result = gather.outputs[0].shape, gather.outputs[0]
    taken: dict[ir.Value, ir.Value] = {}
    for node in [node for node in graph if node in narrow]:
        for index in narrow[node]:
            value = node.inputs[index]
            assert value is not None
            if value.producer() in narrow:
                continue
            if value not in taken:
                shape = _shortened(value, 1, None if kept is None else kept[1])
                output = ir.Value(name=f"{value.name}_kept", type=value.type, shape=shape)
                early = ir.node("GatherND", [value, gather.inputs[1]], {"batch_dims": 1}, outputs=[output])
                graph.insert_before(node, early)
                taken[value] = output
            node.replace_input_with(index, taken[value])
        node.outputs[0].shape = _shortened(node.outputs[0], 1, None if kept is None else kept[1])
    source = gather.inputs[0]
    assert source is not None
    result.replace_all_uses_with(source)
    graph.remove(gather, safe=True)
    graph.sort()  # what counts the positions may come later


def _narrow(graph: ir.Graph, takes: Callable[[ir.Node], bool], *, attention: bool = True) -> dict[ir.Node, list[int]]:
    """The nodes of whose result only what ``takes`` picks is used, and that can give it alone.

    Without ``attention`` those alone that are behind the last attention.

    Returns:
        Their inputs of positions, by node.
    """
    found: dict[ir.Node, list[int]] = {}
    for node in reversed(graph):
        positions = _positions(node) if attention or not _is_attention(node) else []
        uses = [(use.node, use.idx) for use in node.outputs[0].uses()]
        few = all((takes(user) and index == 0) or index in found.get(user, ()) for user, index in uses)
        if positions and uses and few and not node.outputs[0].is_graph_output():
            found[node] = positions
    return found


def _takes_first(node: ir.Node) -> bool:
    """Whether a node is ``x[:, 0]``."""
    if node.op_type != "Gather" or node.domain or node.attributes.get_int("axis", 0) != 1:
        return False
    index = node.inputs[1].const_value if node.inputs[1] is not None else None
    return index is not None and index.shape.rank() == 0 and int(index.numpy()) == 0


def _gathers(node: ir.Node) -> bool:
    """Whether a node takes positions of each row of sequences."""
    if node.op_type != "GatherND" or node.domain or node.attributes.get_int("batch_dims", 0) != 1:
        return False
    return [_rank(value) for value in (*node.inputs, node.outputs[0])] == [_RANK] * 3


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
    bounds = [constant(graph, [number]) for number in (0, 1, axis)]
    output = ir.Value(name=f"{value.name}_first", type=value.type, shape=_shortened(value, axis, 1))
    graph.insert_before(before, ir.node("Slice", [value, *bounds], outputs=[output]))
    return output


def _shortened(value: ir.Value, axis: int, size: int | ir.SymbolicDim | None) -> ir.Shape | None:
    if value.shape is None:
        return None
    return ir.Shape([size if index == axis else dimension for index, dimension in enumerate(value.shape)])
