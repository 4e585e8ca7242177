"""Dynamic int8: weights in int8 per output channel, activations in uint8 by the range they have in each call.

Products with constant weights become ``com.microsoft::DynamicQuantizeMatMul``, the addition of a bias included.
Products of one input become one product whose result is split: on single steps and on long inputs alike that was up to
a tenth faster than sharing the quantized input between them. A weight that is also an embedding is stored once, row
by row: the embedding scales the rows that it looks up, and the product takes the transpose, which ONNX Runtime makes
when it loads the graph. Small products stay as they are; attention itself is in float32, by the standard's operator.

Reference: ONNX Runtime's contrib operator DynamicQuantizeMatMul, version 1.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .attention import standardize
from .converted import Converted
from .products import MICROSOFT, Product, array_of, name_of, size_of
from .rewriting import Candidates, Rewriter
from .schemes import Scheme

# An embedding that serves no product is only worth its rounding where it is a noticeable part of the file.
_LARGE_TABLE = 1 << 16


def convert(model: ir.Model, scheme: Scheme) -> Converted:
    """A copy of a float32 model whose large products run in int8; its inputs and outputs stay as they are.

    An activation's range is taken over the whole batch, so that a row's result depends a little on the rows beside it.

    Args:
        model: a graph whose weights are initializers.
        scheme: ``reduce_range`` makes weights of 7 bits: on x86 processors without VNNI, sums of two full products
            overflow; None asks this machine.
    """
    rewriter = Rewriter(model)
    found = Candidates.find(rewriter, scheme)
    rewrite = Int8(rewriter, reduces(scheme))
    for group in _groups(found.products, found.tied):
        rewrite.products(group, tied=group[0].weight in found.tied)
    rewrite.tables(found)
    left = rewriter.finish(found.reasons, "convolutions need calibrated ranges: int8-static")
    standardize(rewriter.model)
    return Converted(rewriter.model, rewriter.quantized, left)


def to_int8(model: ir.Model, *, reduce_range: bool = False) -> ir.Model:
    """The graph of :func:`convert`, without the account of it."""
    return convert(model, Scheme("int8", reduce_range=reduce_range)).model


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


def reduces(scheme: Scheme) -> bool:
    """Whether weights have 7 bits: as the scheme says, or as this processor needs it."""
    if scheme.reduce_range is not None:
        return scheme.reduce_range
    from .hardware import saturates

    return saturates()


def _groups(products: Iterable[Product], tied: set[ir.Value]) -> list[list[Product]]:
    """Products of one input in one graph together, so long as no weight has to be stored twice for that.

    Alone are those of tied weights, and of a weight that stands beside others for another input.
    """
    groups: dict[tuple[ir.Value, ir.Graph | None], list[Product]] = {}
    for product in products:
        groups.setdefault((product.input, product.nodes[0].graph), []).append(product)
    beside: dict[ir.Value, set[tuple[ir.Value, ...]]] = {}
    for group in groups.values():
        weights = tuple(product.weight for product in group if product.weight not in tied)
        for weight in weights:
            beside.setdefault(weight, set()).add(weights)
    result = []
    for group in groups.values():
        together = [product for product in group if len(beside.get(product.weight, ())) == 1]
        result += [together] * bool(together) + [[product] for product in group if product not in together]
    return result


class Int8:
    """Puts int8 operators and weights into a graph."""

    def __init__(self, rewriter: Rewriter, reduce_range: bool) -> None:
        self._rewriter = rewriter
        self._reduce_range = reduce_range

    def products(self, group: list[Product], *, tied: bool) -> None:
        """Let one product give what those of the group gave."""
        first = group[0]
        nodes = []
        if tied:
            table, scales = self.weights([name_of(first.weight)], [array_of(first.weight)], axis=0)
            nodes.append(ir.node("Transpose", [table], {"perm": [1, 0]}))
            matrix = nodes[0].outputs[0]
        else:
            names = [name_of(product.weight) + ".T" * product.rows for product in group]
            arrays = (array_of(part.weight).T if part.rows else array_of(part.weight) for part in group)
            matrix, scales = self.weights(names, arrays, axis=1)
        inputs = [first.input, matrix, scales, None, self._biases(group)]
        nodes.append(ir.node("DynamicQuantizeMatMul", inputs, domain=MICROSOFT))
        if len(group) > 1:
            widths = [product.width for product in group]
            sizes = self._rewriter.initializer(f"widths_{'_'.join(map(str, widths))}", np.array(widths))
            nodes.append(ir.node("Split", [nodes[-1].outputs[0], sizes], {"axis": -1}, num_outputs=len(group)))
        self._rewriter.insert(first.nodes[0], nodes)
        for product, value in zip(group, nodes[-1].outputs, strict=True):
            self._rewriter.record(product.weight, "DynamicQuantizeMatMul")
            self._rewriter.replace(product.nodes, value)

    def tables(self, found: Candidates) -> None:
        """Look up rows of int8 in the embeddings that are large or also products."""
        for node in found.tables:
            if node.inputs[0] in found.tied or size_of(node.inputs[0]) >= _LARGE_TABLE:
                self.table(node)
            else:
                found.reasons[name_of(node.inputs[0])] = f"an embedding of fewer than {_LARGE_TABLE} numbers"

    def table(self, node: ir.Node) -> None:
        """Look up rows of int8 and their scales, and multiply them."""
        weight, indices = node.inputs
        table, scales = self.weights([name_of(weight)], [array_of(weight)], axis=0)
        last = self._rewriter.initializer("last_axis", np.array([-1]))
        rows = ir.node("Gather", [table, indices])
        cast = ir.node("Cast", [rows.outputs[0]], {"to": ir.DataType.FLOAT})
        scale = ir.node("Gather", [scales, indices])
        column = ir.node("Unsqueeze", [scale.outputs[0], last])
        product = ir.node("Mul", [cast.outputs[0], column.outputs[0]])
        self._rewriter.insert(node, [rows, cast, scale, column, product])
        self._rewriter.record(weight, "Gather")
        self._rewriter.replace([node], product.outputs[0])

    def _biases(self, group: list[Product]) -> ir.Value | None:
        """The biases one after another, zero where a product has none; None where no product has one."""
        if all(product.bias is None for product in group):
            return None
        names, arrays = [], []
        for bias, width in ((product.bias, product.width) for product in group):
            names.append(f"zero_{width}" if bias is None else name_of(bias))
            arrays.append(np.zeros(width, np.float32) if bias is None else array_of(bias).ravel())
        return self._rewriter.initializer("+".join(names) + "_bias", np.concatenate(arrays))

    def weights(
        self, names: Iterable[str], arrays: Iterable[NDArray[np.float32]], axis: int
    ) -> tuple[ir.Value, ir.Value]:
        """The arrays side by side in int8, and their scales."""
        name, layout = "+".join(names), ("rows", "columns")[axis]

        def make() -> tuple[NDArray[np.int8], NDArray[np.float32]]:
            return quantize(np.concatenate(list(arrays), axis=1), axis, reduce_range=self._reduce_range)

        numbers, scales = self._rewriter.initializers((f"{name}_int8_{layout}", f"{name}_scales_{layout}"), make)
        return numbers, scales
