"""Putting other operators and weights into a graph, and telling which weights are left: shared by the schemes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
from numpy.typing import NDArray

from .products import MICROSOFT, is_constant, name_of, shape_of, size_of

# Fewer weights than this gain nothing from fewer bits, and a classifier's few columns are better left exact.
SMALL = 1 << 14

_PRODUCTS = ("MatMul", "Gemm", "FusedMatMul")
_CONVOLUTIONS = ("Conv", "ConvTranspose", "FusedConv", "NhwcFusedConv")
_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)


class Rewriter:
    """Changes a copy of a model, subgraphs included. What is made under one name is made once.

    Args:
        model: a float32 model, which stays as it is.

    Attributes:
        model: the copy; large constants of nodes and of subgraphs are initializers of its main graph.
    """

    def __init__(self, model: ir.Model) -> None:
        self.model = model.clone()
        passes.LiftConstantsToInitializersPass()(self.model)
        passes.LiftSubgraphInitializersToMainGraphPass()(self.model)
        self.graph = self.model.graph
        self._made: dict[str, ir.Value] = {}
        values = [value for node in self.nodes() for value in (*node.inputs, *node.outputs) if value is not None]
        self._names = {value.name for value in values}
        self._names |= {*self.graph.initializers, *(value.name for value in self.graph.inputs)}

    def nodes(self) -> list[ir.Node]:
        """The nodes of the graph and its subgraphs."""
        return list(self.graph.all_nodes())

    def initializer(self, name: str, array: NDArray[Any] | Callable[[], NDArray[Any]]) -> ir.Value:
        """The constant that was made under this name, or one made of the array, which may be a function's result."""
        if name not in self._made:
            content = np.ascontiguousarray(array() if callable(array) else array)
            tensor = ir.Tensor(content, name=self._free(name))
            value = ir.Value(name=tensor.name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)
            self.graph.register_initializer(value)
            self._made[name] = value
        return self._made[name]

    def made(self, name: str) -> ir.Value | None:
        """The constant that was made under this name."""
        return self._made.get(name)

    def insert(self, before: ir.Node, nodes: Sequence[ir.Node]) -> None:
        """Put nodes before another, in whichever graph it is; their results get names that no graph has."""
        for node in nodes:
            for value in node.outputs:
                value.name = value.name or self._free(f"{before.outputs[0].name}_{node.op_type}")
        assert before.graph is not None
        before.graph.insert_before(before, nodes)

    def replace(self, nodes: Sequence[ir.Node], value: ir.Value) -> None:
        """Let a value take the place of what the last node gave, name included, and remove the nodes."""
        old, graph = nodes[-1].outputs[0], nodes[-1].graph
        assert graph is not None
        value.name, value.type, value.shape = old.name, old.type, old.shape
        old.name = None
        old.replace_all_uses_with(value, replace_graph_outputs=True)
        graph.remove(nodes, safe=True)

    def finish(self, reasons: Mapping[str, str], convolutions: str) -> dict[str, str]:
        """Remove what is no longer used, and tell why the weights that are still there were left.

        Args:
            reasons: by a weight's name; where none is given, the weight's use is the reason.
            convolutions: why the weights of convolutions were left.
        """
        self.graph.opset_imports.setdefault(MICROSOFT, 1)
        passes.RemoveUnusedNodesPass()(self.model)
        passes.RemoveUnusedOpsetsPass()(self.model)
        made = {value.name for value in self._made.values()}
        left = {}
        for value in self.graph.initializers.values():
            reason = "" if value.name in made else reasons.get(name_of(value)) or _reason(value, convolutions)
            if reason:
                left[name_of(value)] = reason
        return left

    def _free(self, name: str) -> str:
        """A name that no value has: this one, or this one with a number."""
        free, number = name, 1
        while free in self._names:
            free, number = f"{name}_{number}", number + 1
        self._names.add(free)
        return free


def _reason(value: ir.Value, convolutions: str) -> str:
    """Why a constant stays in float: what it is used for. Empty where it is no weight, or a small one."""
    if value.const_value is None or value.const_value.dtype not in _FLOATS or len(shape_of(value)) < 2:
        return ""
    uses = [(use.node.op_type, use.idx) for use in value.uses()]
    if any(operator in _CONVOLUTIONS for operator, _ in uses):
        return convolutions
    if size_of(value) < SMALL:
        return ""
    if not is_constant(value):
        return "not float32" if value.const_value.dtype != ir.DataType.FLOAT else "a caller may replace it"
    operators = "+".join(sorted({operator for operator, _ in uses}))
    if not all(operator in _PRODUCTS for operator, _ in uses):
        return f"used by {operators}"
    if len(shape_of(value)) > 2:
        return f"a batch of matrices ({operators})"
    return f"the left factor of {operators}" if uses[0][1] == 0 else f"a scaled or transposed product ({operators})"
