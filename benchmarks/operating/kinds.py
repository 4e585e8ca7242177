"""Kinds of work that both sides do, whatever their operators are called."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

KINDS = ("products", "convolution", "attention", "activation", "norms", "rounding", "sums", "copies", "rest")
"""Products of a tensor and weights; attention from scores to sums; GELU; norms; to and from 8 bits with their ranges;
sums and products by elements (biases, what is added to a layer's input); what only moves numbers; the others."""

# ONNX Runtime's operators, after its optimizations.
_ONNX = {
    "products": "MatMul Gemm MatMulInteger MatMulIntegerToFloat DynamicQuantizeMatMul QLinearMatMul QGemm FusedGemm",
    "convolution": "Conv FusedConv QLinearConv ConvInteger NhwcFusedConv",
    "attention": "Attention MultiHeadAttention QAttention Softmax QLinearSoftmax",
    "activation": "Gelu FastGelu QuickGelu BiasGelu Erf Tanh Relu",
    "norms": "LayerNormalization SkipLayerNormalization SimplifiedLayerNormalization GroupNorm InstanceNormalization",
    "rounding": "QuantizeLinear DequantizeLinear DynamicQuantizeLinear",
    "sums": "Add Sub Mul",
    "copies": "Transpose Concat Split Slice Reshape Gather Expand Squeeze Unsqueeze Cast Pad",
}
_BY_OPERATOR = {operator: kind for kind, operators in _ONNX.items() for operator in operators.split()}
# OpenVINO's: the first that is a part of a node's type, or of the names of the layers that it was fused from.
_OPENVINO = (
    ("fullyconnected", "", "products"),
    ("convolution", "", "convolution"),
    ("matmul", "scaled_dot_product softmax", "attention"),  # where no side is weights
    ("", "layer_norm layernorm group_norm mvn", "norms"),
    ("gelu", "gelu", "activation"),
    ("quantize", "smooth_quant fq_output fq_input", "rounding"),
    ("add subtract multiply muladd eltwise powerstatic", "", "sums"),
    ("transpose concat split slice reshape gather broadcast convert reorder unsqueeze pad", "", "copies"),
)
_HEADS = 4  # axes of what is transposed for attention: (batch, length, heads, width of a head)


@dataclass(frozen=True)
class Work:
    """What one operator did in a call.

    Attributes:
        kind: of :data:`KINDS`.
        ms: milliseconds.
        shape: of a product's weights, as in "768x3072"; empty for the others.
        operations: of a product; an addition and a multiplication are two.
    """

    kind: str
    ms: float
    shape: str = ""
    operations: float = 0.0


def of_onnx(operator: str, ms: float, given: Sequence[int], made: Sequence[int]) -> Work:
    """The work of an operator of ONNX Runtime, by the shapes of its first input and output."""
    return _work(_BY_OPERATOR.get(operator, "rest"), ms, given, made)


def of_openvino(operator: str, layers: str, ms: float, given: Sequence[int], made: Sequence[int]) -> Work:
    """The work of a node of OpenVINO, by its type, the names of the layers that are fused in it, and shapes."""
    operator, layers = operator.lower(), layers.lower()
    if operator == "transpose" and len(made) == _HEADS:
        return Work("attention", ms)
    for types, names, kind in _OPENVINO:
        if any(part in operator for part in types.split()) or any(part in layers for part in names.split()):
            return _work(kind, ms, given, made)
    return Work("rest", ms)


def _work(kind: str, ms: float, given: Sequence[int], made: Sequence[int]) -> Work:
    if kind != "products" or not given or not made:
        return Work(kind, ms)
    return Work(kind, ms, f"{given[-1]}x{made[-1]}", 2.0 * math.prod(made) * given[-1])


def summed(works: Iterable[Work]) -> dict[str, dict[str, float]]:
    """One call by kind, and its products by the shape of their weights.

    Returns:
        ``"kinds"``: milliseconds by kind; ``"products"``: milliseconds by shape; ``"operations"``: those by shape.
    """
    kinds, products, operations = dict.fromkeys(KINDS, 0.0), dict[str, float](), dict[str, float]()
    for work in works:
        kinds[work.kind] += work.ms
        if work.shape:
            products[work.shape] = products.get(work.shape, 0.0) + work.ms
            operations[work.shape] = operations.get(work.shape, 0.0) + work.operations
    return {"kinds": kinds, "products": products, "operations": operations}


def speed(operations: Mapping[str, float], ms: Mapping[str, float]) -> float:
    """1e9 operations in a second, of all products; 0 without any."""
    total = sum(ms.values())
    return sum(operations.values()) / total / 1e6 if total else 0.0
