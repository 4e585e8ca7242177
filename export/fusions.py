"""Parts of a captured graph that ONNX Runtime has one operator for, and does not find by itself.

Each function looks for one pattern and replaces it; what only almost matches stays as it is.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .einsums import multiply_einsums
from .nodes import both_ways
from .rotary import fuse_rotary

_MICROSOFT = "com.microsoft"


def fuse(model: ir.Model) -> None:
    """Replace every pattern in the graph; unused nodes and weights are left for a later pass to remove."""
    unflatten_products(model.graph)
    multiply_einsums(model.graph)
    fuse_rms_norms(model.graph)
    fuse_rotary(model.graph)
    share_tied_weights(model)


def unflatten_products(graph: ir.Graph) -> None:
    """``Reshape, Gemm, Reshape`` over a batch of sequences becomes a product and a sum.

    torch's exporter writes it for layers that flatten their input first, as GPT-2's do.
    """
    for gemm in list(graph):
        ends = _flattened(gemm)
        if ends is None:
            continue
        source, last = ends
        product = ir.node("MatMul", [source, gemm.inputs[1]])
        if len(gemm.inputs) == 2:
            _replace(last, product)
        else:
            product.outputs[0].type, product.outputs[0].shape = source.type, last.outputs[0].shape
            product.outputs[0].name = f"{last.outputs[0].name}_product"
            graph.insert_before(last, product)
            _replace(last, ir.node("Add", [product.outputs[0], gemm.inputs[2]]))
        graph.remove(gemm, safe=True)


def fuse_rms_norms(graph: ir.Graph) -> None:
    """``x / sqrt(mean(x * x) + epsilon) * weight`` over the last axis becomes SimplifiedLayerNormalization.

    Reference: Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467.
    """
    for node in list(graph):
        found = _rms_norm(node)
        if found is None:
            continue
        source, weight, epsilon = found
        attributes = {"axis": -1, "epsilon": epsilon, "stash_type": 1}
        norm = ir.node("SimplifiedLayerNormalization", [source, weight], attributes)
        _replace(node, norm)


def share_tied_weights(model: ir.Model) -> None:
    """A product with an embedding's transpose takes the embedding itself, so that the weight is stored once.

    torch's exporter writes the transpose as a node, or folds it into a second copy of a small weight.
    """
    graph = model.graph
    tables = {node.inputs[0] for node in graph if node.op_type == "Gather" and _is_matrix(node.inputs[0])}
    for node in list(graph):
        if node.op_type != "MatMul" or node.domain:
            continue
        table = next((table for table in tables if table and _is_transpose(node.inputs[1], table)), None)
        if table is not None:
            product = ir.node("FusedMatMul", [node.inputs[0], table], {"transB": 1}, domain=_MICROSOFT)
            _replace(node, product)
            model.opset_imports.setdefault(_MICROSOFT, 1)


def _flattened(gemm: ir.Node) -> tuple[ir.Value, ir.Node] | None:
    """The sequences that a Gemm reads flattened, and the reshape that gives its result their shape again."""
    if gemm.op_type != "Gemm" or None in gemm.inputs:
        return None
    neutral = {"transA": 0, "transB": 0, "alpha": 1.0, "beta": 1.0}
    if any(attribute.value != neutral[name] for name, attribute in gemm.attributes.items()):
        return None
    flat = gemm.inputs[0].producer() if gemm.inputs[0] is not None else None
    users = [user for user, _ in gemm.outputs[0].uses()]
    if flat is None or flat.op_type != "Reshape" or [user.op_type for user in users] != ["Reshape"]:
        return None
    source, result = flat.inputs[0], users[0].outputs[0].shape
    if source is None or source.shape is None or result is None or gemm.outputs[0].is_graph_output():
        return None
    same = len(source.shape) == len(result) == 3 and list(source.shape[:2]) == list(result[:2])
    kept = flat.outputs[0].shape is not None and source.shape[-1] == flat.outputs[0].shape[-1]
    return (source, users[0]) if same and kept and isinstance(source.shape[-1], int) else None


def _rms_norm(node: ir.Node) -> tuple[ir.Value, ir.Value, float] | None:
    """What a last multiplication normalizes, the weights it multiplies by, and epsilon; None where it does not."""
    if node.op_type != "Mul" or node.domain:
        return None
    for weight, scaled in both_ways(node):
        product = scaled.producer()
        if not _is_vector(weight) or product is None or product.op_type != "Mul":
            continue
        for source, inverse in both_ways(product):
            epsilon = _epsilon(source, inverse)
            if epsilon is not None:
                return source, weight, epsilon
    return None


def _epsilon(source: ir.Value, inverse: ir.Value) -> float | None:
    """Epsilon where ``inverse`` is ``1 / sqrt(mean(source ** 2) + epsilon)``."""
    node = inverse.producer()
    for expected in ("Reciprocal", "Sqrt"):
        if node is None or node.op_type != expected or node.inputs[0] is None:
            return None
        node = node.inputs[0].producer()
    if node is None or node.op_type != "Add":
        return None
    for constant, mean in both_ways(node):
        reduce, number = mean.producer(), _scalar(constant)
        if number is None or reduce is None or reduce.op_type != "ReduceMean" or not _over_last_axis(reduce):
            continue
        square = reduce.inputs[0].producer() if reduce.inputs[0] is not None else None
        if square is None or square.inputs[0] is not source:
            continue
        by_itself = square.op_type == "Mul" and square.inputs[1] is source
        if by_itself or (square.op_type == "Pow" and _scalar(square.inputs[1]) == 2):
            return number
    return None


def _over_last_axis(node: ir.Node) -> bool:
    axes = node.inputs[1] if len(node.inputs) > 1 else None
    keeps = node.attributes.get("keepdims")
    if keeps is not None and keeps.as_int() != 1:
        return False
    return axes is not None and axes.const_value is not None and axes.const_value.numpy().tolist() == [-1]


def _scalar(value: ir.Value | None) -> float | None:
    if value is None or value.const_value is None or value.const_value.size != 1:
        return None
    return float(value.const_value.numpy().reshape(()))


def _is_vector(value: ir.Value) -> bool:
    return value.is_initializer() and value.shape is not None and len(value.shape) == 1


def _is_matrix(value: ir.Value | None) -> bool:
    return value is not None and value.is_initializer() and value.shape is not None and len(value.shape) == 2


def _is_transpose(value: ir.Value | None, table: ir.Value) -> bool:
    """Whether a matrix is the transpose of an embedding: a node over it, or a copy."""
    if value is None:
        return False
    producer = value.producer()
    if producer is not None:
        return producer.op_type == "Transpose" and producer.inputs[0] is table
    if not _is_matrix(value) or value.const_value is None or table.const_value is None:
        return False
    if tuple(value.const_value.shape) != tuple(reversed(table.const_value.shape)):
        return False
    return bool(np.array_equal(value.const_value.numpy(), table.const_value.numpy().T))


def _replace(node: ir.Node, new: ir.Node) -> None:
    """Put a node of one output in another's place, under its output's name."""
    old, output = node.outputs[0], new.outputs[0]
    output.type, output.shape, output.name = old.type, old.shape, old.name
    graph = node.graph
    assert graph is not None
    graph.insert_before(node, new)
    old.replace_all_uses_with(output, replace_graph_outputs=True)
    old.name = f"{old.name}_replaced"
    graph.remove(node, safe=True)
