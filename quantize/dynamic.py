"""Dynamic int8: weights in int8 per output channel, activations in uint8 by the range they have in each call.

Products with constant weights become ``com.microsoft::DynamicQuantizeMatMul``, the addition of a bias included, and
without the reshapes that a Gemm needs.
Products of one input become one product whose result is split: on single steps and on long inputs alike that was up to
a tenth faster than sharing the quantized input between them. A weight that is also an embedding is stored once, row
by row: the embedding scales the rows that it looks up, and the product takes the transpose, which ONNX Runtime makes
when it loads the graph. Attention operators, small products and whatever is in a subgraph stay as they are.

Reference: ONNX Runtime's contrib operator DynamicQuantizeMatMul, version 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
from numpy.typing import NDArray

# Fewer weights than this gain nothing from int8, and a classifier's few columns are better left exact.
_SMALL_PRODUCT = 1 << 14
# An embedding that serves no product is only worth its rounding where it is a large part of the file.
_LARGE_TABLE = 1 << 22

_FLOAT = ir.DataType.FLOAT
_MICROSOFT = "com.microsoft"
_PRODUCTS = (("", "MatMul"), ("", "Gemm"), (_MICROSOFT, "FusedMatMul"))
# Attributes of Gemm and FusedMatMul, with the values that leave a plain product and sum.
_PLAIN = {"transA": 0, "transBatchA": 0, "transBatchB": 0, "alpha": 1.0, "beta": 1.0}


def to_int8(model: ir.Model, *, reduce_range: bool = False) -> ir.Model:
    """A copy of a float32 model whose large products run in int8; its inputs and outputs stay as they are.

    An activation's range is taken over the whole batch, so that a row's result depends a little on the rows beside it.

    Args:
        model: a graph whose weights are initializers.
        reduce_range: weights of 7 bits: on x86 processors without VNNI, sums of two full products overflow.
    """
    result = model.clone()
    graph = result.graph
    products = [product for node in graph if (product := _product(node)) is not None]
    tables = [node for node in graph if _is_table(node)]
    tied = {product.weight for product in products if product.rows} & {node.inputs[0] for node in tables}
    rewrite = _Rewrite(graph, reduce_range)
    for group in _groups(products, tied):
        rewrite.products(group, tied=group[0].weight in tied)
    for node in tables:
        if node.inputs[0] in tied or math.prod(_shape(node.inputs[0])) >= _LARGE_TABLE:
            rewrite.table(node)
    result.opset_imports.setdefault(_MICROSOFT, 1)
    passes.RemoveUnusedNodesPass()(result)
    return result


def quantize(
    weight: NDArray[np.float32], axis: int, *, reduce_range: bool = False
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a matrix to int8, symmetric about zero, each channel by a scale of its own.

    Args:
        weight: ``(rows, columns)``.
        axis: what a channel is: 0 a row, 1 a column.
        reduce_range: round to -63...63 instead of -127...127.

    Returns:
        Whole numbers of the weight's shape, and one scale per channel. Their product is the weight to half a scale.
    """
    limit = np.float32(63 if reduce_range else 127)
    scales = np.abs(weight).max(axis=1 - axis, keepdims=True) / limit
    steps = weight / np.where(scales > 0, scales, np.float32(1))
    return np.rint(steps, out=steps).astype(np.int8), scales.reshape(-1)


@dataclass(frozen=True)
class _Product:
    """A product with constant weights.

    Attributes:
        input: ``(..., inputs)``.
        weight: an initializer, ``(outputs, inputs)`` where ``rows``, otherwise ``(inputs, outputs)``.
        rows: an output's weights are a row.
        bias: an initializer with one element per output, or None.
        nodes: the product, and the addition of its bias where that is a node of its own.
    """

    input: ir.Value
    weight: ir.Value
    rows: bool
    bias: ir.Value | None
    nodes: tuple[ir.Node, ...]

    @property
    def width(self) -> int:
        return _shape(self.weight)[0 if self.rows else 1]


def _product(node: ir.Node) -> _Product | None:
    """The node as a product, if its second factor is a constant matrix that is large enough."""
    plain = all(node.attributes[name].value == value for name, value in _PLAIN.items() if name in node.attributes)
    if (node.domain, node.op_type) not in _PRODUCTS or not plain:
        return None
    source, factor, *rest = node.inputs
    weight, rows = _matrix(factor)
    if source is None or weight is None or math.prod(_shape(weight)) < _SMALL_PRODUCT:
        return None
    if "transB" in node.attributes:
        rows ^= bool(node.attributes["transB"].as_int())
    alone = _Product(source, weight, rows, None, (node,))
    product: _Product | None = alone
    if rest and rest[0] is not None:
        product = _with_bias(alone, rest[0])
    elif (addition := _follower(node, "Add")) is not None:
        other = addition.inputs[1] if addition.inputs[0] is node.outputs[0] else addition.inputs[0]
        product = _with_bias(alone, other, addition) or alone
    return _without_reshapes(product) if product is not None else None


def _with_bias(product: _Product, bias: ir.Value | None, *addition: ir.Node) -> _Product | None:
    """The product with a constant that is added to it; None where that is not a vector over the outputs."""
    if not _is_constant(bias) or _shape(bias) not in ((product.width,), (1, product.width)):
        return None
    return replace(product, bias=bias, nodes=(*product.nodes, *addition))


def _without_reshapes(product: _Product) -> _Product:
    """The product of the whole input, where that is made a matrix first and the result gets its dimensions back.

    A Gemm takes nothing but matrices. Beside products as fast as these, reshapes take up to 4 % of a decoder's step.
    """
    before, after = product.input.producer(), _follower(product.nodes[-1], "Reshape")
    if after is None or before is None or before.op_type != "Reshape" or before.graph is not after.graph:
        return product
    source, shape = before.inputs[0], after.outputs[0].shape
    if source is None or source.shape is None or shape is None or shape.has_unknown_dim():
        return product
    inputs = math.prod(_shape(product.weight)) // product.width
    if [*source.shape] != [*shape[:-1], inputs] or shape[-1] != product.width:
        return product
    return replace(product, input=source, nodes=(*product.nodes, after))


def _follower(node: ir.Node, operator: str) -> ir.Node | None:
    """The node that alone uses a node's result, if it is of this kind."""
    (result,) = node.outputs
    users = [use.node for use in result.uses()]
    if len(users) != 1 or result.is_graph_output():
        return None
    (user,) = users
    return user if (user.domain, user.op_type) == ("", operator) and user.graph is node.graph else None


def _matrix(value: ir.Value | None) -> tuple[ir.Value | None, bool]:
    """The constant matrix that a value is, and whether it is there as its transpose."""
    producer = value.producer() if value is not None else None
    transposed = producer is not None and producer.op_type == "Transpose" and _swaps(producer)
    if producer is not None and transposed:
        value = producer.inputs[0]
    return (value, transposed) if _is_constant(value) and len(_shape(value)) == 2 else (None, False)


def _swaps(transpose: ir.Node) -> bool:
    order = transpose.attributes.get("perm")
    return order is None or list(order.as_ints()) == [1, 0]


def _is_table(node: ir.Node) -> bool:
    """Whether a node looks up rows of a constant matrix."""
    axis = node.attributes.get("axis")
    return (
        node.op_type == "Gather"
        and (axis is None or axis.as_int() == 0)
        and _is_constant(node.inputs[0])
        and len(_shape(node.inputs[0])) == 2
    )


def _groups(products: Iterable[_Product], tied: set[ir.Value]) -> list[list[_Product]]:
    """Products of one input together, those of tied weights alone, as these are not laid out side by side."""
    groups: dict[tuple[ir.Value, ir.Node | None], list[_Product]] = {}
    for product in products:
        alone = product.nodes[0] if product.weight in tied else None
        groups.setdefault((product.input, alone), []).append(product)
    return list(groups.values())


@dataclass(frozen=True)
class _Rewrite:
    """Puts int8 operators and weights into a graph. What is made of the same sources is made once."""

    graph: ir.Graph
    reduce_range: bool

    def products(self, group: list[_Product], *, tied: bool) -> None:
        """Let one product give what those of the group gave."""
        first = group[0]
        nodes = []
        if tied:
            table, scales = self._quantized(_name(first.weight), [_array(first.weight)], axis=0)
            nodes.append(ir.node("Transpose", [table], {"perm": [1, 0]}))
            matrix = nodes[0].outputs[0]
        else:
            names = [_name(product.weight) + ".T" * product.rows for product in group]
            arrays = (_array(part.weight).T if part.rows else _array(part.weight) for part in group)
            matrix, scales = self._quantized("+".join(names), arrays, axis=1)
        inputs = [first.input, matrix, scales, None, self._biases(group)]
        nodes.append(ir.node("DynamicQuantizeMatMul", inputs, domain=_MICROSOFT))
        if len(group) > 1:
            widths = [product.width for product in group]
            sizes = self._initializer(f"widths_{'_'.join(map(str, widths))}", np.array(widths))
            nodes.append(ir.node("Split", [nodes[-1].outputs[0], sizes], {"axis": -1}, num_outputs=len(group)))
        self.graph.insert_before(first.nodes[0], nodes)
        for product, value in zip(group, nodes[-1].outputs, strict=True):
            self._replace(product.nodes, value)

    def table(self, node: ir.Node) -> None:
        """Look up rows of int8 and their scales, and multiply them."""
        weight, indices = node.inputs
        table, scales = self._quantized(_name(weight), [_array(weight)], axis=0)
        last = self._initializer("last_axis", np.array([-1]))
        rows = ir.node("Gather", [table, indices])
        cast = ir.node("Cast", [rows.outputs[0]], {"to": _FLOAT})
        scale = ir.node("Gather", [scales, indices])
        column = ir.node("Unsqueeze", [scale.outputs[0], last])
        product = ir.node("Mul", [cast.outputs[0], column.outputs[0]])
        self.graph.insert_before(node, [rows, cast, scale, column, product])
        self._replace([node], product.outputs[0])

    def _replace(self, nodes: Sequence[ir.Node], value: ir.Value) -> None:
        """Let a value take the place of what the last node gave, name included, and remove the nodes."""
        old = nodes[-1].outputs[0]
        value.name, value.type, value.shape = old.name, old.type, old.shape
        old.name = None
        old.replace_all_uses_with(value, replace_graph_outputs=True)
        self.graph.remove(nodes, safe=True)

    def _biases(self, group: list[_Product]) -> ir.Value | None:
        """The biases one after another, zero where a product has none; None where no product has one."""
        if all(product.bias is None for product in group):
            return None
        names, arrays = [], []
        for product in group:
            names.append(f"zero_{product.width}" if product.bias is None else _name(product.bias))
            arrays.append(np.zeros(product.width, np.float32) if product.bias is None else _array(product.bias).ravel())
        return self._initializer("+".join(names) + "_bias", np.concatenate(arrays))

    def _quantized(self, name: str, arrays: Iterable[NDArray[np.float32]], axis: int) -> tuple[ir.Value, ir.Value]:
        """The arrays side by side in int8, and their scales."""
        layout = ("rows", "columns")[axis]
        names = f"{name}_int8_{layout}", f"{name}_scales_{layout}"
        if names[0] in self.graph.initializers:
            return self.graph.initializers[names[0]], self.graph.initializers[names[1]]
        parts = quantize(np.concatenate(list(arrays), axis=1), axis, reduce_range=self.reduce_range)
        return self._initializer(names[0], parts[0]), self._initializer(names[1], parts[1])

    def _initializer(self, name: str, array: NDArray[Any]) -> ir.Value:
        if name not in self.graph.initializers:
            tensor = ir.Tensor(np.ascontiguousarray(array), name=name)
            self.graph.register_initializer(
                ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)
            )
        return self.graph.initializers[name]


def _is_constant(value: ir.Value | None) -> bool:
    """Whether a value is a float32 initializer that no caller can replace."""
    if value is None or value.const_value is None or not value.is_initializer() or value.is_graph_input():
        return False
    return value.const_value.dtype == _FLOAT


def _name(value: ir.Value | None) -> str:
    return str(value.name) if value is not None else ""


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    return tuple(_tensor(value).shape.numpy())


def _array(value: ir.Value | None) -> NDArray[np.float32]:
    return _tensor(value).numpy()


def _tensor(value: ir.Value | None) -> ir.TensorProtocol:
    """What a value holds that was found to be constant."""
    assert value is not None
    assert value.const_value is not None
    return value.const_value
