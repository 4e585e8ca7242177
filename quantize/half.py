"""Half precision: weights and arithmetic in float16, inputs and outputs as they were.

ONNX Runtime casts back around the operators that have no float16 kernel on a device. Left in float32 here are those
whose specification has no float16, and whatever is computed for an integer: float16 cannot count beyond 2048, and
a relative position that is rounded falls into another bucket. What an If, Loop or Scan that stays in float32 holds
stays so with it; of another one all inputs and outputs of its bodies are float16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .casts import Casts
from .converted import Converted
from .schemes import Scheme
from .types import add_types, bodies

_LARGEST = float(np.finfo(np.float16).max)
_SMALLEST = float(np.finfo(np.float16).smallest_subnormal)
_FLOAT, _HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16
_INTEGERS = (ir.DataType.INT64, ir.DataType.INT32)
# Assigned anew everywhere: a copied value shares its type with the original.
_HALF_TENSOR = ir.TensorType(_HALF)

# Attributes that hold a data type: of the result (Cast, random generators) or of the arithmetic inside.
_TYPE_ATTRIBUTES = ("to", "dtype")
# Operators whose specification has no float16.
_FLOAT_ONLY = ("Range",)


def convert(model: ir.Model, scheme: Scheme) -> Converted:
    """A float16 copy of a graph as a bundle holds it: without types inside, caches becoming float16 themselves.

    Args:
        model: a float32 graph.
        scheme: "fp16"; nodes that it excludes, by their own name or that of a weight, stay in float32.
    """
    typed = model.clone()
    add_types(typed)
    result = to_half(typed, is_cache, lambda node: scheme.excludes(node.name, *_weights(node)))
    quantized: dict[str, str] = {}
    left: dict[str, str] = {}
    for graph in (result.graph, *result.graph.subgraphs()):
        for name, value in graph.initializers.items():
            if value.dtype == _HALF:
                users = dict.fromkeys(node.op_type for node, _ in value.uses())
                quantized[name.removesuffix("_half")] = "+".join(users)
            elif value.dtype == _FLOAT:
                left[name] = "serves a node that stays in float32"
    return Converted(result, quantized, left)


def is_cache(name: str) -> bool:
    """Whether a graph's input or output of that name holds keys or values."""
    return name.startswith(("past_key_values.", "present."))


def _weights(node: ir.Node) -> list[str]:
    return [str(value.name) for value in node.inputs if value is not None and value.is_initializer()]


def to_half(
    model: ir.Model,
    half_io: Callable[[str], bool] = lambda name: False,
    float32: Callable[[ir.Node], bool] = lambda node: False,
) -> ir.Model:
    """A float16 copy of a float32 model, with casts at its float32 inputs and outputs.

    Finite constants beyond float16's range become its largest value and those too small its smallest, so that a
    mask's minimum stays finite and an epsilon does not become zero.

    Args:
        model: a graph whose values have types, as an exporter or shape inference leaves them.
        half_io: names of inputs and outputs that become float16 themselves, such as caches.
        float32: nodes that stay in float32, because their results may leave float16's range.
    """
    result = model.clone()
    graph = result.graph
    nodes = list(graph.all_nodes())
    kept = _kept(nodes, float32)
    casts = Casts(graph)
    for value in [value for part in (graph, *graph.subgraphs()) for value in part.initializers.values()]:
        _convert_initializer(value, kept)
    for node in nodes:
        if node not in kept:
            _convert_node(node)
    casts.back([node for node in nodes if node in kept])
    for node in nodes:
        if node in kept:
            for value in node.outputs:
                casts.for_others(value, kept)
    for value in graph.inputs:
        if half_io(str(value.name)) and value.dtype == _FLOAT:
            value.type = _HALF_TENSOR
        else:
            casts.for_others(value, kept)
    for node in nodes:
        for body in bodies(node):
            casts.results(body, _FLOAT if node in kept else _HALF)
    for index, value in enumerate(graph.outputs):
        if value.dtype == _HALF and not half_io(str(value.name)):
            casts.output(graph, index, value)
    return result


def half(array: NDArray[np.float32]) -> NDArray[np.float16]:
    """Round to float16, keeping finite values finite and values other than zero off zero."""
    limited = np.where(np.isfinite(array), np.clip(array, -_LARGEST, _LARGEST), array)
    tiny = (limited != 0) & (np.abs(limited) < _SMALLEST)
    return np.where(tiny, np.copysign(_SMALLEST, limited), limited).astype(np.float16)


def _kept(nodes: Sequence[ir.Node], float32: Callable[[ir.Node], bool]) -> set[ir.Node]:
    """The nodes that stay in float32: those asked for, and all that lead to a number cast to an integer.

    With a node that has bodies stays what is inside.
    """
    owners = {body: node for node in nodes for body in bodies(node)}
    waiting = [node for node in nodes if _needs_float(node)]
    asked = {inner for node in nodes if float32(node) for inner in (node, *_inside(node))}
    found: set[ir.Node] = set()  # not those asked for: what leads to an integer may lead through them
    while waiting:
        node = waiting.pop()
        found.add(node)
        sources = [_source(value, owners) for value in node.inputs if value is not None and value.dtype == _FLOAT]
        waiting += [source for source in (*sources, *_inside(node)) if source is not None and source not in found]
    return asked | found


def _inside(node: ir.Node) -> Iterable[ir.Node]:
    """The nodes of a node's bodies, at any depth."""
    for body in bodies(node):
        yield from body.all_nodes()


def _source(value: ir.Value, owners: Mapping[ir.Graph, ir.Node]) -> ir.Node | None:
    """The node that gives a value: of a body's input the node that the body is of."""
    if value.is_graph_input() and isinstance(value.graph, ir.Graph):
        return owners.get(value.graph)
    return value.producer()


def _needs_float(node: ir.Node) -> bool:
    if node.op_type in _FLOAT_ONLY and not node.domain:
        return True
    source = node.inputs[0] if node.op_type == "Cast" else None
    return source is not None and source.dtype == _FLOAT and node.attributes["to"].as_int() in _INTEGERS


def _convert_initializer(value: ir.Value, kept: set[ir.Node]) -> None:
    """Weights become float16; one that also serves a kept node gets a float16 copy for the others."""
    if value.const_value is None or value.dtype != _FLOAT:
        return
    others = [(node, index) for node, index in value.uses() if node not in kept]
    tensor = _half_tensor(value.const_value)
    if others and len(others) == len(value.uses()):
        value.const_value, value.type = tensor, _HALF_TENSOR
    elif others and value.graph is not None:
        copy = ir.Value(name=f"{value.name}_half", type=_HALF_TENSOR, shape=value.shape, const_value=tensor)
        value.graph.register_initializer(copy)
        for node, index in others:
            node.replace_input_with(index, copy)


def _convert_node(node: ir.Node) -> None:
    """Let a node compute in float16: its results' types, and the types and constants among its attributes."""
    for value in (*node.outputs, *(value for body in bodies(node) for value in body.inputs)):
        if value.dtype == _FLOAT:
            value.type = _HALF_TENSOR
    for name, attribute in list(node.attributes.items()):
        if name in _TYPE_ATTRIBUTES and attribute.type == ir.AttributeType.INT and attribute.as_int() == _FLOAT:
            node.attributes[name] = ir.AttrInt64(name, int(_HALF))
        elif attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype == _FLOAT:
            node.attributes[name] = ir.AttrTensor(name, _half_tensor(attribute.as_tensor()))
    if node.op_type == "ConstantOfShape" and "value" not in node.attributes:
        node.attributes["value"] = ir.AttrTensor("value", ir.Tensor(np.zeros(1, np.float16)))
    if node.op_type == "Constant":
        _convert_constant(node)


def _convert_constant(node: ir.Node) -> None:
    """A constant written as a Python float or list has no type of its own: write it as a tensor."""
    for name in ("value_float", "value_floats"):
        if name in node.attributes:
            array = np.asarray(node.attributes.pop(name).value, dtype=np.float32)
            node.attributes["value"] = ir.AttrTensor("value", ir.Tensor(half(array)))


def _half_tensor(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.Tensor(half(tensor.numpy()), name=tensor.name)
