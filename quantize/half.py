"""Half precision: weights and arithmetic in float16, inputs and outputs as they were.

ONNX Runtime casts back around the operators that have no float16 kernel on a device, so only the few whose
specification has no float16 are left in float32 here.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

_LARGEST = float(np.finfo(np.float16).max)
_SMALLEST = float(np.finfo(np.float16).smallest_subnormal)
_FLOAT, _HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16

# Attributes that hold a data type: of the result (Cast, random generators) or of the arithmetic inside.
_TYPE_ATTRIBUTES = ("to", "dtype")
# Operators whose specification has no float16.
_FLOAT_ONLY = ("Range",)


def to_half(model: ir.Model) -> ir.Model:
    """A float16 copy of a float32 model, with casts at its float32 inputs and outputs.

    Finite constants beyond float16's range become its largest value and those too small its smallest, so that a
    mask's minimum stays finite and an epsilon does not become zero.

    Args:
        model: a graph whose values have types, as an exporter or shape inference leaves them.
    """
    result = model.clone()
    graph = result.graph
    for value in graph.initializers.values():
        if value.const_value is not None and value.dtype == _FLOAT:
            value.const_value = _half_tensor(value.const_value)
            value.dtype = _HALF
    for node in graph.all_nodes():
        _convert(node)
    for node in [node for node in graph.all_nodes() if node.op_type in _FLOAT_ONLY and not node.domain]:
        _keep_float(node)
    for value in graph.inputs:
        if value.dtype == _FLOAT:
            _cast_input(graph, value)
    for index, value in enumerate(graph.outputs):
        if value.dtype == _HALF:
            _cast_output(graph, index, value)
    return result


def half(array: NDArray[np.float32]) -> NDArray[np.float16]:
    """Round to float16, keeping finite values finite and values other than zero off zero."""
    limited = np.where(np.isfinite(array), np.clip(array, -_LARGEST, _LARGEST), array)
    tiny = (limited != 0) & (np.abs(limited) < _SMALLEST)
    return np.where(tiny, np.copysign(_SMALLEST, limited), limited).astype(np.float16)


def _half_tensor(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.Tensor(half(tensor.numpy()), name=tensor.name)


def _convert(node: ir.Node) -> None:
    """Let a node compute in float16: its results' types, and the types and constants among its attributes."""
    for value in node.outputs:
        if value.dtype == _FLOAT:
            value.dtype = _HALF
    for name, attribute in list(node.attributes.items()):
        if name in _TYPE_ATTRIBUTES and attribute.type == ir.AttributeType.INT and attribute.as_int() == _FLOAT:
            node.attributes[name] = ir.AttrInt64(name, int(_HALF))
        elif attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype == _FLOAT:
            node.attributes[name] = ir.AttrTensor(name, _half_tensor(attribute.as_tensor()))
    if node.op_type == "ConstantOfShape" and "value" not in node.attributes:
        node.attributes["value"] = ir.AttrTensor("value", ir.Tensor(np.zeros(1, np.float16)))
    if node.op_type == "Constant":
        _constant_attribute(node)


def _constant_attribute(node: ir.Node) -> None:
    """A constant written as a Python float or list has no type of its own: write it as a tensor."""
    for name in ("value_float", "value_floats"):
        if name in node.attributes:
            array = np.asarray(node.attributes.pop(name).value, dtype=np.float32)
            node.attributes["value"] = ir.AttrTensor("value", ir.Tensor(half(array)))


def _keep_float(node: ir.Node) -> None:
    """Cast a node's float16 inputs to float32, and its results back."""
    for index, value in enumerate(node.inputs):
        if value is not None and value.dtype == _HALF:
            cast = _cast(value, _FLOAT)
            _graph_of(node).insert_before(node, cast)
            node.replace_input_with(index, cast.outputs[0])
    for value in node.outputs:
        if value.dtype == _HALF:
            value.dtype = _FLOAT
            cast = _cast(value, _HALF)
            value.replace_all_uses_with(cast.outputs[0], replace_graph_outputs=True)
            cast.replace_input_with(0, value)
            _graph_of(node).insert_after(node, cast)


def _cast_input(graph: ir.Graph, value: ir.Value) -> None:
    cast = _cast(value, _HALF)
    value.replace_all_uses_with(cast.outputs[0])
    cast.replace_input_with(0, value)
    graph.insert_before(graph[0], cast)


def _cast_output(graph: ir.Graph, index: int, value: ir.Value) -> None:
    """The output's name goes to the cast's result."""
    cast = _cast(value, _FLOAT)
    cast.outputs[0].name, value.name = value.name, f"{value.name}_half"
    graph.append(cast)
    graph.outputs[index] = cast.outputs[0]


def _cast(value: ir.Value, dtype: ir.DataType) -> ir.Node:
    output = ir.Value(name=f"{value.name}_{dtype.name.lower()}", type=ir.TensorType(dtype), shape=value.shape)
    return ir.node("Cast", [value], {"to": dtype}, outputs=[output])


def _graph_of(node: ir.Node) -> ir.Graph:
    graph = node.graph
    if not isinstance(graph, ir.Graph):
        raise TypeError(f"node {node.name!r} is not in a graph")
    return graph
