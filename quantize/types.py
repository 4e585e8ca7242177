"""Types of the values between a graph's inputs and outputs, which a bundle's files leave out.

ONNX's own inference stops where an operator of ONNX Runtime stands. Here the standard operators' types come from their
schemas; ONNX Runtime's give what their first input holds, as all do that a float32 bundle has.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import onnx
import onnx_ir as ir

_DECLARED = ("to", "dtype")


def add_types(model: ir.Model) -> None:
    """Give every value of the graph the type that its operator says, where that is known."""
    _add(model.graph, dict(model.opset_imports))


def _add(graph: ir.Graph | ir.Function, opsets: dict[str, int]) -> None:
    for value in graph.initializers.values() if isinstance(graph, ir.Graph) else ():
        if value.const_value is not None:
            value.type = ir.TensorType(value.const_value.dtype)
    for node in graph:
        inside = bodies(node)
        for body in inside:
            _add_to_inputs(node, body)
            _add(body, opsets)
        for value, dtype in zip(node.outputs, _results(node, inside, opsets), strict=True):
            if dtype is not None and value.dtype != dtype:
                value.type = ir.TensorType(dtype)


def bodies(node: ir.Node) -> list[ir.Graph]:
    """The graphs inside a node: branches of an If, what a Loop or Scan repeats."""
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found += attribute.as_graphs()
    return found


def _add_to_inputs(node: ir.Node, body: ir.Graph) -> None:
    """Give what a Loop or Scan repeats the types of the node's own inputs, where it states none."""
    given = [None, None, *node.inputs[2:]] if node.op_type == "Loop" else node.inputs
    for value, source in zip(body.inputs, given, strict=False):
        if value.dtype is None and source is not None and source.dtype is not None:
            value.type = ir.TensorType(source.dtype)


def _results(node: ir.Node, inside: Sequence[ir.Graph], opsets: dict[str, int]) -> list[ir.DataType | None]:
    """The data type of each of a node's outputs."""
    count = len(node.outputs)
    if inside:
        states = inside[0].outputs[1:] if node.op_type == "Loop" else inside[0].outputs
        return [value.dtype for value in states][:count]
    for name in _DECLARED:
        if name in node.attributes and node.attributes[name].type == ir.AttributeType.INT:
            return [ir.DataType(node.attributes[name].as_int())] * count
    if node.op_type in ("Constant", "ConstantOfShape"):
        return [_constant(node)]
    if node.domain or not onnx.defs.has(node.op_type, ""):
        return [next((value.dtype for value in node.inputs if value is not None), None)] * count
    return _by_schema(node, opsets[""])


def _constant(node: ir.Node) -> ir.DataType:
    """What a constant holds: its tensor's type, or that of the numbers or texts among its attributes."""
    if "value" in node.attributes:
        return node.attributes["value"].as_tensor().dtype
    names = " ".join(node.attributes)
    kinds = {"value_int": ir.DataType.INT64, "value_string": ir.DataType.STRING}
    return next((dtype for prefix, dtype in kinds.items() if prefix in names), ir.DataType.FLOAT)


def _by_schema(node: ir.Node, opset: int) -> list[ir.DataType | None]:
    """Types that the operator's schema states, or that it shares with inputs."""
    inputs, outputs = _schema(node.op_type, opset)
    bound: dict[str, ir.DataType] = {}
    for index, value in enumerate(node.inputs):
        if value is not None and value.dtype is not None:
            bound.setdefault(_at(inputs, index), value.dtype)
    found = (_at(outputs, index) for index in range(len(node.outputs)))
    return [bound[kind] if kind in bound else _named(kind) for kind in found]


def _at(kinds: Sequence[str], index: int) -> str:
    """A parameter's kind; the last one may stand for several."""
    return kinds[min(index, len(kinds) - 1)]


def _named(kind: str) -> ir.DataType | None:
    name = kind.removeprefix("tensor(").removesuffix(")").upper()
    return ir.DataType[name] if kind.startswith("tensor(") and name in ir.DataType.__members__ else None


@cache
def _schema(op_type: str, opset: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Kinds of an operator's inputs and outputs: a type such as ``tensor(int64)``, or a variable such as ``T``."""
    schema = onnx.defs.get_schema(op_type, opset, "")
    only = {
        variable.type_param_str: next(iter(variable.allowed_type_strs))
        for variable in schema.type_constraints
        if len(variable.allowed_type_strs) == 1
    }
    inputs, outputs = (
        [only.get(part.type_str, part.type_str) for part in parts] for parts in (schema.inputs, schema.outputs)
    )
    return tuple(inputs), tuple(outputs)
