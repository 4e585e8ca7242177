"""Static int8: weights in int8 per output channel, activations in uint8 by ranges that were calibrated.

A product with constant weights reads its input through one ``QuantizeLinear`` of a constant scale, which it shares with
the other products of that input, and becomes ``com.microsoft::MatMulIntegerToFloat``, bias included: this is what ONNX
Runtime itself makes of a product between quantizations and dequantizations, without what it leaves beside it. To
quantize the result as well (QLinearMatMul) cost up to twice the time. A convolution with enough terms becomes
``QLinearConv``, which quantizes its result; a Relu behind it is part of that. Unlike in dynamic int8 a row's result
does not depend on the rows beside it; numbers beyond a range are cut.

References: ONNX operators QuantizeLinear and QLinearConv; ONNX Runtime's contrib operator MatMulIntegerToFloat.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .attention import standardize
from .converted import Converted
from .convolutions import Convolution, convolutions
from .dynamic import Int8, reduces
from .histogram import Range
from .products import MICROSOFT, Product, array_of, name_of
from .rewriting import Candidates, Rewriter
from .schemes import Scheme

_LEVELS = 255
_SMALLEST = float(np.finfo(np.float32).tiny)


def wanted(model: ir.Model, scheme: Scheme) -> list[str]:
    """Names of the activations whose ranges :func:`convert` needs: inputs of products, both ends of convolutions."""
    rewriter = Rewriter(model)
    inside = _calibrated(rewriter.graph)
    names = [name_of(product.input) for product in Candidates.find(rewriter, scheme).products]
    for convolution in convolutions(rewriter, scheme)[0]:
        names += [name_of(convolution.input), name_of(convolution.output)]
    return [name for name in dict.fromkeys(names) if name in inside]


def convert(model: ir.Model, scheme: Scheme, ranges: Mapping[str, Range]) -> Converted:
    """A copy of a float32 model whose large products and convolutions run in int8; inputs and outputs stay.

    Args:
        model: a graph whose weights are initializers.
        scheme: ``reduce_range`` makes weights of 7 bits: on x86 processors without VNNI, sums of two full products
            overflow; None asks this machine.
        ranges: of the :func:`wanted` activations by name; what works on one that is missing stays as it is.
    """
    rewriter = Rewriter(model)
    found = Candidates.find(rewriter, scheme)
    convolved, reasons = convolutions(rewriter, scheme)
    found.reasons.update(reasons)
    weights = Int8(rewriter, reduces(scheme))
    rewrite = _Static(rewriter, ranges, weights, reduces(scheme))
    found = _whole(found, rewrite)
    every: list[Product | Convolution] = [*found.products, *convolved]
    parts = {part.nodes[0]: part for part in every}
    for part in [parts[node] for node in rewriter.nodes() if node in parts]:
        if isinstance(part, Product):
            rewrite.product(part, tied=part.weight in found.tied)
        elif reason := rewrite.convolution(part):
            found.reasons[name_of(part.weight)] = reason
    weights.tables(found)
    left = rewriter.finish(found.reasons, "a convolution whose weights are not constant")
    standardize(rewriter.model)
    return Converted(rewriter.model, rewriter.quantized, left)


def _whole(found: Candidates, rewrite: _Static) -> Candidates:
    """The candidates without the weights of which a product cannot be quantized: they would be stored in two ways."""
    missing = {}
    for product in found.products:
        if reason := rewrite.missing(product.input):
            missing[name_of(product.weight)] = reason
    return replace(
        found,
        products=[product for product in found.products if name_of(product.weight) not in missing],
        tables=[node for node in found.tables if name_of(node.inputs[0]) not in missing],
        reasons=found.reasons | missing,
    )


def steps(found: Range) -> tuple[np.float32, np.uint8] | None:
    """Scale and zero point of uint8 numbers that cover a range and zero; None where the range is of no width.

    Example:
        >>> steps(Range(-1.0, 1.55))
        (np.float32(0.01), np.uint8(100))
    """
    low, high = min(found.low, 0.0), max(found.high, 0.0)
    scale = (high - low) / _LEVELS
    if not math.isfinite(scale) or scale < _SMALLEST:
        return None
    return np.float32(scale), np.uint8(round(-low / scale))


class _Quantized:
    """An activation in uint8 as a graph has it: the numbers, their scale and zero point."""

    def __init__(self, numbers: ir.Value, scale: ir.Value, zero: ir.Value) -> None:
        self.inputs = numbers, scale, zero
        self.step = np.float32(array_of(scale))


class _Static:
    """Puts operators on calibrated activations into a graph. An activation is quantized once in each graph."""

    def __init__(self, rewriter: Rewriter, ranges: Mapping[str, Range], weights: Int8, reduce_range: bool) -> None:
        self._rewriter = rewriter
        self._ranges = ranges
        self._weights = weights
        self._limit = 63 if reduce_range else 127
        self._quantized: dict[tuple[ir.Value, ir.Graph | None], _Quantized] = {}

    def product(self, product: Product, *, tied: bool) -> None:
        """Let a product multiply whole numbers."""
        first = product.nodes[0]
        quantized = self._input(product.input, first)
        name, array = name_of(product.weight), array_of(product.weight)
        nodes = []
        if tied:
            table, scales = self._weights.weights([name], [array], axis=0)
            nodes.append(ir.node("Transpose", [table], {"perm": [1, 0]}))
            matrix = nodes[0].outputs[0]
        else:
            matrix, scales = self._weights.weights(
                [name + ".T" * product.rows], [array.T if product.rows else array], axis=1
            )
        numbers, scale, zero = quantized.inputs
        bias = self._bias(product)
        nodes.append(
            ir.node("MatMulIntegerToFloat", [numbers, matrix, scale, scales, zero, None, bias], domain=MICROSOFT)
        )
        self._rewriter.insert(first, nodes)
        self._rewriter.record(product.weight, "MatMulIntegerToFloat")
        self._rewriter.replace(product.nodes, nodes[-1].outputs[0])

    def convolution(self, convolution: Convolution) -> str:
        """Let a convolution run on whole numbers, and a Relu behind it by cutting; returns why it cannot."""
        if reason := self.missing(convolution.input) or self.missing(convolution.output):
            return reason
        first, output = convolution.nodes[0], convolution.output
        graph = first.graph
        quantized = self._input(convolution.input, first)
        constants = self._constants(convolution, quantized.step)
        scale, zero = self._steps(output, convolution.floor)
        inputs = [*quantized.inputs, *constants[:3], scale, zero, *constants[3:]]
        node = ir.node("QLinearConv", inputs, dict(first.attributes))
        back = ir.node("DequantizeLinear", [node.outputs[0], scale, zero])
        self._rewriter.insert(first, [node, back])
        self._rewriter.record(convolution.weight, "QLinearConv")
        self._rewriter.replace(convolution.nodes, back.outputs[0])
        self._quantized[back.outputs[0], graph] = _Quantized(node.outputs[0], scale, zero)
        return ""

    def missing(self, value: ir.Value) -> str:
        """Why an activation cannot be quantized; empty where it can."""
        found = self._ranges.get(name_of(value))
        if found is None:
            return f"no range of {name_of(value)!r} was calibrated"
        if steps(found) is None:
            return f"the range of {name_of(value)!r} is {found.low:g} to {found.high:g}"
        return ""

    def _input(self, value: ir.Value, before: ir.Node) -> _Quantized:
        """The activation in uint8."""
        key = value, before.graph
        if key not in self._quantized:
            scale, zero = self._steps(value)
            node = ir.node("QuantizeLinear", [value, scale, zero])
            self._rewriter.insert(before, [node])
            self._quantized[key] = _Quantized(node.outputs[0], scale, zero)
        return self._quantized[key]

    def _steps(self, value: ir.Value, floor: float = -math.inf) -> tuple[ir.Value, ir.Value]:
        """Scale and zero point of an activation as constants; numbers below the floor do not count."""
        seen = self._ranges[name_of(value)]
        found = steps(Range(max(seen.low, floor), seen.high))
        assert found is not None
        name = name_of(value)
        scale, zero = self._rewriter.initializers(
            (f"{name}_scale", f"{name}_zero_point"), lambda: map(np.asarray, found)
        )
        return scale, zero

    def _bias(self, product: Product) -> ir.Value | None:
        """What a product adds, a vector."""
        if product.bias is None:
            return None
        return self._rewriter.initializer(f"{name_of(product.bias)}_bias", array_of(product.bias).ravel())

    def _constants(self, convolution: Convolution, step: np.float32) -> list[ir.Value]:
        """Weights, scales, zero points and, if there is one, the bias of a convolution of inputs of a step."""
        bias = None if convolution.bias is None else array_of(convolution.bias)
        base = f"{name_of(convolution.weight)}_{convolution.nodes[0].name}"
        names = [f"{base}_{part}" for part in ("int8", "scales", "zero_points", "bias")[: 3 if bias is None else 4]]

        def make() -> list[NDArray[np.generic]]:
            parts = quantize_filters(array_of(convolution.weight), bias, step, self._limit)
            return [part for part in parts if part is not None]

        return self._rewriter.initializers(names, make)


def quantize_filters(
    weight: NDArray[np.float32], bias: NDArray[np.float32] | None, step: np.float32, limit: int
) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.int8], NDArray[np.int32] | None]:
    """Round the filters of a convolution to int8, symmetric about zero, each by a scale of its own.

    Args:
        weight: ``(outputs, inputs, ...)``.
        bias: ``(outputs,)``, in whole steps of input and filter afterwards. A filter's scale is made larger where its
            bias would not fit in 31 bits.
        step: the scale of the input.
        limit: the largest number.

    Returns:
        Filters; scales and zero points, all 0, ``(outputs,)``; the bias.
    """
    axes = tuple(range(1, weight.ndim))
    scales = np.abs(weight).max(axis=axes) / np.float32(limit)
    if bias is not None:
        scales = np.maximum(scales, np.abs(bias) / (step * np.float32(1 << 30)))
    scales = np.where(scales > 0, scales, np.float32(1))
    filters = np.rint(weight / np.expand_dims(scales, axes)).astype(np.int8)
    whole = None if bias is None else np.rint(bias / (step * scales).astype(np.float64)).astype(np.int32)
    return filters, scales, np.zeros(len(scales), np.int8), whole


def _calibrated(graph: ir.Graph) -> set[str]:
    """Names of the activations of the main graph: its inputs and what its nodes give."""
    values = [*graph.inputs, *(value for node in graph for value in node.outputs)]
    return {name_of(value) for value in values}
