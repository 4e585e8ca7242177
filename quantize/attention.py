"""Attention in quantized graphs: the standard's operator instead of ONNX Runtime's own, which is slower on CPUs.

``Attention`` of operator set 23 reads queries, keys and values where they lie; ``com.microsoft::MultiHeadAttention``
first copies each into an order of heads. With a mask, 12 heads of 64: 0.21 against 0.39 ms at 1 x 128 and 2.1 against
3.7 ms at 8 x 128 (batch x length), 2 threads. Float graphs keep MultiHeadAttention, which CUDA has had for longer.

Reference: ONNX operator Attention, version 23; on CPUs in ONNX Runtime since 1.23.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from .products import MICROSOFT

_OPSET = 23
# From the exporter's lowest set up to 23 operators mean the same, but for these; those of older graphs may not.
_OLDEST = 18
_CHANGED = frozenset({"DFT", "GridSample", "GroupNormalization"})
_PRODUCTS = ("MatMul", "FusedMatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulNBits")
_PARTS = ("Split", "Add", "Mul")
_ATTRIBUTES = {"num_heads", "scale"}


def standardize(model: ir.Model) -> None:
    """Let the standard's operator attend, in the graph itself, where it says the same."""
    opset = model.graph.opset_imports.get("")
    if opset is None or not _OLDEST <= opset <= _OPSET:
        return
    nodes = list(model.graph.all_nodes())
    if opset < _OPSET and any(node.op_type in _CHANGED for node in nodes):
        return
    found = [node for node in nodes if _is_plain(node)]
    for node in found:
        _replace(node)
    if found:
        model.graph.opset_imports[""] = _OPSET


def _is_plain(node: ir.Node) -> bool:
    """Whether a node is multi-head attention over sequences, with nothing but an additive mask."""
    if (node.domain, node.op_type) != (MICROSOFT, "MultiHeadAttention") or len(node.outputs) > 1:
        return False
    attended, rest = node.inputs[:3], list(node.inputs[3:])
    rest[2:3] = []  # what is added to the scores
    if any(part is not None for part in rest) or not _ATTRIBUTES.issuperset(node.attributes):
        return False
    return len(attended) == 3 and all(_is_sequence(part) for part in attended)


def _is_sequence(value: ir.Value | None) -> bool:
    """Whether a value is the result of a product, by itself, as a part, or with something added or multiplied.

    So has it an axis for the sequence and a width that ONNX Runtime knows. Keys and values from elsewhere may have an
    axis of heads; of a width that it does not know, as behind a reshape by numbers that are computed, it infers zero.
    """
    node = value.producer() if value is not None else None
    if node is None:
        return False
    return node.op_type in _PRODUCTS or (node.op_type in _PARTS and any(_is_sequence(part) for part in node.inputs))


def _replace(node: ir.Node) -> None:
    heads = node.attributes["num_heads"].as_int()
    attributes: dict[str, Any] = {"q_num_heads": heads, "kv_num_heads": heads}
    if "scale" in node.attributes:
        attributes["scale"] = node.attributes["scale"].as_float()
    mask = node.inputs[5] if len(node.inputs) > 5 else None
    inputs = [*node.inputs[:3], *([] if mask is None else [mask])]
    attention = ir.node("Attention", inputs, attributes, name=node.name)
    new, old = attention.outputs[0], node.outputs[0]
    new.name, new.type, new.shape = old.name, old.type, old.shape
    old.name = None
    assert node.graph is not None
    node.graph.insert_before(node, attention)
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    node.graph.remove(node, safe=True)
