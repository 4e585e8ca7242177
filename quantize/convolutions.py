"""Convolutions with constant weights in a graph, and which of them are worth int8."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from .products import is_constant, name_of, shape_of, size_of
from .rewriting import SMALL, Rewriter
from .schemes import Scheme

# What quantizing the input and the result costs beside the products: below so many products for each number that is
# read or written int8 is not faster. And below so many channels in a group, but where windows do not overlap, ONNX
# Runtime is slower in int8. Times of float32 by those of int8, with quantization, one operator each on x86-64 with
# AVX512-VNNI: Wav2Vec2's of 512 channels 3-6, its positions' 7, Whisper's 2-3, patches of ViT 2.4, 3 x 3 of ResNet 2,
# 1 x 1 of 128 channels and more 1.6-2; depthwise 0.6, 4 channels in a group 0.4, the first of ResNet 1.0 and that of
# Wav2Vec2 0.2, 1 x 1 of 24 channels 0.8.
_INTENSITY = 64
_CHANNELS = 16
# Below it Gelu is nearer to 0 than 0.0002: a range that ends here has finer steps.
_GELU = -4.0


@dataclass(frozen=True)
class Convolution:
    """A convolution with constant weights.

    Attributes:
        weight: an initializer, ``(outputs, inputs / groups, ...)``.
        bias: an initializer ``(outputs,)``, or None.
        nodes: the convolution, and the Relu that alone uses its result.
        floor: the least number of the output that still counts: a Gelu behind it makes nothing of what is below.
    """

    weight: ir.Value
    bias: ir.Value | None
    nodes: tuple[ir.Node, ...]
    floor: float

    @property
    def input(self) -> ir.Value:
        """What is convolved, ``(batch, inputs, ...)``: of now, as what gave it may have been replaced."""
        (value, *_) = self.nodes[0].inputs
        assert value is not None
        return value

    @property
    def output(self) -> ir.Value:
        """What the last node gives."""
        return self.nodes[-1].outputs[0]


def convolutions(rewriter: Rewriter, scheme: Scheme) -> tuple[list[Convolution], dict[str, str]]:
    """The convolutions to be quantized, and why the weights of others are left, by name.

    A weight of which one use is left is left altogether.
    """
    found, reasons = [], {}
    for node in rewriter.nodes():
        if node.op_type not in ("Conv", "ConvTranspose") or node.domain or node.inputs[1] is None:
            continue
        convolution, reason = _find(node, scheme)
        if convolution is None:
            reasons[name_of(node.inputs[1])] = reason
        else:
            found.append(convolution)
    return [convolution for convolution in found if name_of(convolution.weight) not in reasons], reasons


def _find(node: ir.Node, scheme: Scheme) -> tuple[Convolution | None, str]:
    """The node as a convolution, or why it is left."""
    source, weight, *rest = node.inputs
    bias = rest[0] if rest else None
    if source is None or weight is None or not is_constant(weight) or not (bias is None or is_constant(bias)):
        return None, "a convolution whose weights are not constant float32"
    if scheme.excludes(name_of(weight), node.name):
        return None, "excluded"
    if node.op_type == "ConvTranspose":
        return None, "a transposed convolution, which has no operator in int8"
    if reason := _slow(node, shape_of(weight)):
        return None, reason
    if size_of(weight) < SMALL:
        return None, f"a convolution of fewer than {SMALL} weights"
    user = _only_user(node)
    nodes = (node, user) if user is not None and user.op_type == "Relu" else (node,)
    floor = _GELU if user is not None and user.op_type == "Gelu" else -math.inf
    return Convolution(weight, bias, nodes, floor), ""


def _slow(node: ir.Node, shape: tuple[int, ...]) -> str:
    """Why int8 does not make a convolution faster whose weight has this shape; empty where it does."""
    outputs, channels, *kernel = shape
    group = node.attributes["group"].as_int() if "group" in node.attributes else 1
    strides = list(node.attributes["strides"].as_ints()) if "strides" in node.attributes else [1] * len(kernel)
    if channels < _CHANNELS and kernel != strides:
        return f"a convolution of {channels} channels in a group; int8 pays from {_CHANNELS} on"
    read = channels * group * math.prod(strides)
    intensity = outputs * channels * math.prod(kernel) // (read + outputs)
    if intensity < _INTENSITY:
        return f"a convolution of {intensity} products for a number read or written; int8 pays from {_INTENSITY} on"
    return ""


def _only_user(node: ir.Node) -> ir.Node | None:
    """The node that alone uses a node's result, in the same graph."""
    (result,) = node.outputs
    users = [use.node for use in result.uses()]
    return users[0] if len(users) == 1 and not result.is_graph_output() and users[0].graph is node.graph else None
