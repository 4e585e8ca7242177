"""Dynamic int8: weights in int8 per output channel, activations in uint8 by the range they have in each call.

Products with constant weights become ``com.microsoft::DynamicQuantizeMatMul``, the addition of a bias included.
Products of one input become one product whose result is split: on single steps and on long inputs alike that was up to
a tenth faster than sharing the quantized input between them. A weight that is also an embedding is stored once, row
by row: the embedding scales the rows that it looks up, and the product takes the transpose, which ONNX Runtime makes
when it loads the graph. Attention operators, small products and whatever is in a subgraph stay as they are.

Reference: ONNX Runtime's contrib operator DynamicQuantizeMatMul, version 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
from numpy.typing import NDArray

from .products import MICROSOFT, Product, array_of, find_product, is_table, name_of, size_of

# Fewer weights than this gain nothing from int8, and a classifier's few columns are better left exact.
_SMALL_PRODUCT = 1 << 14
# An embedding that serves no product is only worth its rounding where it is a large part of the file.
_LARGE_TABLE = 1 << 22


def to_int8(model: ir.Model, *, reduce_range: bool = False) -> ir.Model:
    """A copy of a float32 model whose large products run in int8; its inputs and outputs stay as they are.

    An activation's range is taken over the whole batch, so that a row's result depends a little on the rows beside it.

    Args:
        model: a graph whose weights are initializers.
        reduce_range: weights of 7 bits: on x86 processors without VNNI, sums of two full products overflow.
    """
    result = model.clone()
    graph = result.graph
    found = [product for node in graph if (product := find_product(node)) is not None]
    products = [product for product in found if size_of(product.weight) >= _SMALL_PRODUCT]
    tables = [node for node in graph if is_table(node)]
    tied = {product.weight for product in products if product.rows} & {node.inputs[0] for node in tables}
    rewrite = _Rewrite(graph, reduce_range)
    for group in _groups(products, tied):
        rewrite.products(group, tied=group[0].weight in tied)
    for node in tables:
        if node.inputs[0] in tied or size_of(node.inputs[0]) >= _LARGE_TABLE:
            rewrite.table(node)
    result.opset_imports.setdefault(MICROSOFT, 1)
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


def _groups(products: Iterable[Product], tied: set[ir.Value]) -> list[list[Product]]:
    """Products of one input together, those of tied weights alone, as these are not laid out side by side."""
    groups: dict[tuple[ir.Value, ir.Node | None], list[Product]] = {}
    for product in products:
        alone = product.nodes[0] if product.weight in tied else None
        groups.setdefault((product.input, alone), []).append(product)
    return list(groups.values())


@dataclass(frozen=True)
class _Rewrite:
    """Puts int8 operators and weights into a graph. What is made of the same sources is made once."""

    graph: ir.Graph
    reduce_range: bool

    def products(self, group: list[Product], *, tied: bool) -> None:
        """Let one product give what those of the group gave."""
        first = group[0]
        nodes = []
        if tied:
            table, scales = self._quantized(name_of(first.weight), [array_of(first.weight)], axis=0)
            nodes.append(ir.node("Transpose", [table], {"perm": [1, 0]}))
            matrix = nodes[0].outputs[0]
        else:
            names = [name_of(product.weight) + ".T" * product.rows for product in group]
            arrays = (array_of(part.weight).T if part.rows else array_of(part.weight) for part in group)
            matrix, scales = self._quantized("+".join(names), arrays, axis=1)
        inputs = [first.input, matrix, scales, None, self._biases(group)]
        nodes.append(ir.node("DynamicQuantizeMatMul", inputs, domain=MICROSOFT))
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
        table, scales = self._quantized(name_of(weight), [array_of(weight)], axis=0)
        last = self._initializer("last_axis", np.array([-1]))
        rows = ir.node("Gather", [table, indices])
        cast = ir.node("Cast", [rows.outputs[0]], {"to": ir.DataType.FLOAT})
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

    def _biases(self, group: list[Product]) -> ir.Value | None:
        """The biases one after another, zero where a product has none; None where no product has one."""
        if all(product.bias is None for product in group):
            return None
        names, arrays = [], []
        for bias, width in ((product.bias, product.width) for product in group):
            names.append(f"zero_{width}" if bias is None else name_of(bias))
            arrays.append(np.zeros(width, np.float32) if bias is None else array_of(bias).ravel())
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
