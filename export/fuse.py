"""Fused operators in place of small ones that each read and write whole activations.

ONNX Runtime's own optimizer finds these patterns in the form that older exporters give them and misses them in captured
graphs. Every rewrite computes the same function. They rely on the shapes that the exporter leaves on values.

Reference: ONNX Runtime's contrib operators, SkipLayerNormalization and MultiHeadAttention version 1.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

DOMAIN = "com.microsoft"
_QKV = 3  # MultiHeadAttention's first inputs: query, key, value
_BIAS = 3  # and the place of their bias


def fuse(model: ir.Model) -> ir.Model:
    """Fuse in place. Nodes whose results are no longer used stay, to be removed by the caller."""
    for node in list(model.graph):
        if node.op_type == "LayerNormalization" and not node.domain:
            _skip_layer_normalization(model.graph, node)
        elif node.op_type == "MultiHeadAttention" and node.domain == DOMAIN:
            _attention_bias(model.graph, node)
    model.opset_imports.setdefault(DOMAIN, 1)
    return model


def _skip_layer_normalization(graph: ir.Graph, node: ir.Node) -> None:
    """``LayerNormalization(x + skip)``, where ``x`` may be ``y + bias``, to one SkipLayerNormalization."""
    total = node.inputs[0]
    addends = _addends(total)
    if total is None or addends is None or len(node.inputs) != 3 or len(node.outputs) != 1:
        return
    axis = node.attributes.get("axis")
    if not _same_shape(*addends) or (axis is not None and axis.as_int() not in (-1, 2)):
        return
    inputs = [*addends, node.inputs[1], node.inputs[2]]
    for place, addend in enumerate(addends):
        if (biased := _biased(addend)) is not None:
            inputs[place] = biased[0]
            inputs.append(biased[1])
            break
    epsilon = node.attributes.get("epsilon")
    fused = ir.node(
        "SkipLayerNormalization",
        inputs,
        {"epsilon": 1e-5 if epsilon is None else epsilon.as_float()},
        domain=DOMAIN,
        num_outputs=4,
        name=f"skip_{node.name}",
    )
    # The fourth output is the sum, with which models that normalize first go on.
    for old, new in ((node.outputs[0], fused.outputs[0]), (total, fused.outputs[3])):
        new.name, new.type, new.shape = f"{old.name}_fused", old.type, old.shape
    place_of_sum = total.producer()
    if place_of_sum is None or node.outputs[0].is_graph_output() or total.is_graph_output():
        return
    graph.insert_after(place_of_sum, fused)
    others = [use for use in total.uses() if use.node is not node]
    node.outputs[0].replace_all_uses_with(fused.outputs[0])
    if others:
        total.replace_all_uses_with(fused.outputs[3])
    else:
        fused.resize_outputs(1)


def _attention_bias(graph: ir.Graph, node: ir.Node) -> None:
    """Let MultiHeadAttention add the biases of query, key and value, which it reads anyway to lay them out by head."""
    if len(node.inputs) > _BIAS and node.inputs[_BIAS] is not None:
        return
    biased = [_biased(value) for value in node.inputs[:_QKV]]
    found = [pair for pair in biased if pair is not None]
    if len(found) != _QKV:
        return
    arrays = [bias.const_value.numpy() for _, bias in found if bias.const_value is not None]
    bias = ir.Value(name=f"{node.name}.bias", const_value=ir.Tensor(np.concatenate(arrays), name=f"{node.name}.bias"))
    bias.shape, bias.type = ir.Shape([sum(array.size for array in arrays)]), found[0][1].type
    graph.register_initializer(bias)
    node.resize_inputs(max(len(node.inputs), _BIAS + 1))
    for place, (value, _) in enumerate(found):
        node.replace_input_with(place, value)
    node.replace_input_with(_BIAS, bias)


def _addends(value: ir.Value | None) -> tuple[ir.Value, ir.Value] | None:
    """The two operands of the addition that gives a value."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != "Add" or node.domain:
        return None
    first, second = node.inputs
    return None if first is None or second is None else (first, second)


def _biased(value: ir.Value | None) -> tuple[ir.Value, ir.Value] | None:
    """A product and the constant vector added to it, where nothing else uses their sum."""
    addends = _addends(value)
    if value is None or addends is None or len(value.uses()) != 1:
        return None
    product, bias = addends
    constant = bias.const_value
    if constant is None or len(constant.shape) != 1 or bias.producer() is not None:
        return None
    node = product.producer()
    return (product, bias) if node is not None and node.op_type == "MatMul" else None


def _same_shape(first: ir.Value, second: ir.Value) -> bool:
    """Whether both are known to have one shape of three dimensions, so that nothing is broadcast."""
    shape = first.shape
    return shape is not None and len(shape) == 3 and not shape.has_unknown_dim() and shape == second.shape
