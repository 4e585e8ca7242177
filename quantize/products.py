"""Products with constant weights in a graph, however they are written, and tables whose rows are looked up."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

MICROSOFT = "com.microsoft"

_FLOAT = ir.DataType.FLOAT
_PRODUCTS = (("", "MatMul"), ("", "Gemm"), (MICROSOFT, "FusedMatMul"))
# Attributes of Gemm and FusedMatMul, with the values that leave a plain product and sum.
_PLAIN = {"transA": 0, "transBatchA": 0, "transBatchB": 0, "alpha": 1.0, "beta": 1.0}


@dataclass(frozen=True)
class Product:
    """A product with constant weights.

    Attributes:
        weight: an initializer, ``(outputs, inputs)`` where ``rows``, otherwise ``(inputs, outputs)``.
        rows: an output's weights are a row.
        bias: an initializer with one element per output, or None.
        nodes: the product, and the addition of its bias where that is a node of its own.
    """

    weight: ir.Value
    rows: bool
    bias: ir.Value | None
    nodes: tuple[ir.Node, ...]

    @property
    def input(self) -> ir.Value:
        """What is multiplied, ``(..., inputs)``: of now, as it may be the result of a product that was replaced."""
        (value, *_) = self.nodes[0].inputs
        assert value is not None
        return value

    @property
    def width(self) -> int:
        """Number of outputs."""
        return shape_of(self.weight)[0 if self.rows else 1]


def find_product(node: ir.Node) -> Product | None:
    """The node as a product, if it multiplies by a constant matrix and adds nothing but a constant vector."""
    plain = all(node.attributes[name].value == value for name, value in _PLAIN.items() if name in node.attributes)
    if (node.domain, node.op_type) not in _PRODUCTS or not plain:
        return None
    source, factor, *rest = node.inputs
    weight, rows = _matrix(factor)
    if source is None or weight is None:
        return None
    if "transB" in node.attributes:
        rows ^= bool(node.attributes["transB"].as_int())
    product = Product(weight, rows, None, (node,))
    if rest and rest[0] is not None:
        return _with_bias(product, rest[0])
    addition = _addition(node)
    if addition is None:
        return product
    other = addition.inputs[1] if addition.inputs[0] is node.outputs[0] else addition.inputs[0]
    return _with_bias(product, other, addition) or product


def _with_bias(product: Product, bias: ir.Value | None, *addition: ir.Node) -> Product | None:
    """The product with a constant that is added to it; None where that is not a vector over the outputs."""
    if not is_constant(bias) or shape_of(bias) not in ((product.width,), (1, product.width)):
        return None
    return replace(product, bias=bias, nodes=(*product.nodes, *addition))


def _addition(node: ir.Node) -> ir.Node | None:
    """The addition that alone uses a node's result."""
    (result,) = node.outputs
    users = [use.node for use in result.uses()]
    if len(users) != 1 or result.is_graph_output():
        return None
    (user,) = users
    return user if (user.domain, user.op_type) == ("", "Add") and user.graph is node.graph else None


def _matrix(value: ir.Value | None) -> tuple[ir.Value | None, bool]:
    """The constant matrix that a value is, and whether it is there as its transpose."""
    producer = value.producer() if value is not None else None
    transposed = producer is not None and producer.op_type == "Transpose" and _swaps(producer)
    if producer is not None and transposed:
        value = producer.inputs[0]
    return (value, transposed) if is_constant(value) and len(shape_of(value)) == 2 else (None, False)


def _swaps(transpose: ir.Node) -> bool:
    order = transpose.attributes.get("perm")
    return order is None or list(order.as_ints()) == [1, 0]


def is_table(node: ir.Node) -> bool:
    """Whether a node looks up rows of a constant matrix."""
    axis = node.attributes.get("axis")
    return (
        node.op_type == "Gather"
        and (axis is None or axis.as_int() == 0)
        and is_constant(node.inputs[0])
        and len(shape_of(node.inputs[0])) == 2
    )


def is_constant(value: ir.Value | None) -> bool:
    """Whether a value is a float32 initializer that no caller can replace."""
    if value is None or value.const_value is None or not value.is_initializer() or value.is_graph_input():
        return False
    return value.const_value.dtype == _FLOAT


def name_of(value: ir.Value | None) -> str:
    """A value's name; values of a graph have one."""
    return str(value.name) if value is not None else ""


def size_of(value: ir.Value | None) -> int:
    """Number of elements of a constant."""
    return math.prod(shape_of(value))


def shape_of(value: ir.Value | None) -> tuple[int, ...]:
    """Shape of a constant."""
    return tuple(_tensor(value).shape.numpy())


def array_of(value: ir.Value | None) -> NDArray[np.float32]:
    """Elements of a constant."""
    return _tensor(value).numpy()


def _tensor(value: ir.Value | None) -> ir.TensorProtocol:
    """What a value holds that was found to be constant."""
    assert value is not None
    assert value.const_value is not None
    return value.const_value


def free_name(taken: set[str | None], name: str) -> str:
    """A name that no value has: this one, or this one with a number; it is taken from now on."""
    free, number = name, 1
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    taken.add(free)
    return free
