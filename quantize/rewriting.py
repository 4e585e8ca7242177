"""Putting other operators and weights into a graph, and telling which weights are left: shared by the schemes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
from numpy.typing import NDArray

from .products import MICROSOFT, Product, find_product, free_name, is_constant, is_table, name_of, shape_of, size_of
from .schemes import Scheme

# Fewer weights than this gain nothing from fewer bits, and a classifier's few columns are better left exact.
SMALL = 1 << 14

_PRODUCTS = ("MatMul", "Gemm", "FusedMatMul")
_CONVOLUTIONS = ("Conv", "ConvTranspose", "FusedConv", "NhwcFusedConv")
# Their constants of float32 are scales.
_BLOCKWISE = ("MatMulNBits", "GatherBlockQuantized")
_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)


class Rewriter:
    """Changes a copy of a model, subgraphs included. What is made under one name is made once.

    Args:
        model: a float32 model, which stays as it is.

    Attributes:
        model: the copy; large constants of nodes and of subgraphs are initializers of its main graph.
        quantized: the operator that a weight, by its name, now goes through; several are joined by "+".
    """

    def __init__(self, model: ir.Model) -> None:
        self.model = model.clone()
        passes.LiftConstantsToInitializersPass()(self.model)
        passes.LiftSubgraphInitializersToMainGraphPass()(self.model)
        self.graph = self.model.graph
        self.quantized: dict[str, str] = {}
        self._made: dict[str, ir.Value] = {}
        values = [value for node in self.nodes() for value in (*node.inputs, *node.outputs) if value is not None]
        self._names = {value.name for value in (*values, *self.graph.inputs, *self.graph.initializers.values())}

    def nodes(self) -> list[ir.Node]:
        """The nodes of the graph and its subgraphs."""
        return list(self.graph.all_nodes())

    def initializer(self, name: str, array: NDArray[Any]) -> ir.Value:
        """The constant that was made under this name, or one made of the array."""
        (value,) = self.initializers([name], lambda: [array])
        return value

    def initializers(self, names: Sequence[str], make: Callable[[], Iterable[NDArray[Any]]]) -> list[ir.Value]:
        """The constants that were made under these names, or those that a function makes."""
        if names[0] not in self._made:
            for name, array in zip(names, make(), strict=True):
                tensor = ir.Tensor(np.ascontiguousarray(array), name=free_name(self._names, name))
                kind = ir.TensorType(tensor.dtype)
                value = ir.Value(name=tensor.name, type=kind, shape=tensor.shape, const_value=tensor)
                self.graph.register_initializer(value)
                self._made[name] = value
        return [self._made[name] for name in names]

    def insert(self, before: ir.Node, nodes: Sequence[ir.Node]) -> None:
        """Put nodes before another, in whichever graph it is; their results get names that no graph has."""
        for node in nodes:
            for value in node.outputs:
                value.name = value.name or free_name(self._names, f"{before.outputs[0].name}_{node.op_type}")
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

    def record(self, weight: ir.Value | None, operator: str) -> None:
        """Account for a weight that goes through an operator from now on."""
        before = self.quantized.get(name_of(weight), "").split("+")
        self.quantized[name_of(weight)] = "+".join(sorted({operator, *before} - {""}))

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


@dataclass(frozen=True)
class Candidates:
    """The products and embeddings of a graph that a scheme is to quantize.

    Attributes:
        products: of weights that are not small.
        tables: nodes that look up rows.
        tied: weights of products that are tables too, whose rows belong to one output.
        reasons: why other weights of products and tables are left, by name.
    """

    products: list[Product]
    tables: list[ir.Node]
    tied: set[ir.Value]
    reasons: dict[str, str] = field(default_factory=dict)

    @classmethod
    def find(cls, rewriter: Rewriter, scheme: Scheme) -> Candidates:
        """Look through the graph and its subgraphs; a weight of which one use is excluded is left altogether."""
        nodes = rewriter.nodes()
        found = [product for node in nodes if (product := find_product(node)) is not None]
        uses = [(product.weight, product.nodes) for product in found]
        uses += [(node.inputs[0], (node,)) for node in nodes if is_table(node) and node.inputs[0] is not None]
        reasons = {}
        for weight, users in uses:
            if scheme.excludes(name_of(weight), *(str(node.name) for node in users)):
                reasons[name_of(weight)] = "excluded"
        for product in found:
            if size_of(product.weight) < SMALL:
                reasons.setdefault(name_of(product.weight), f"a product of fewer than {SMALL} weights")
        products = [product for product in found if name_of(product.weight) not in reasons]
        tables = [node for node in nodes if is_table(node) and reasons.get(name_of(node.inputs[0])) != "excluded"]
        tied = {product.weight for product in products if product.rows} & {node.inputs[0] for node in tables}
        return cls(products, tables, tied, reasons)


def _reason(value: ir.Value, convolutions: str) -> str:
    """Why a constant stays in float: what it is used for. Empty where it is no weight, or a small one."""
    if value.const_value is None or value.const_value.dtype not in _FLOATS or len(shape_of(value)) < 2:
        return ""
    uses = [(use.node.op_type, use.idx) for use in value.uses()]
    if any(operator in _CONVOLUTIONS for operator, _ in uses):
        return convolutions
    if size_of(value) < SMALL or all(operator in _BLOCKWISE for operator, _ in uses):
        return ""
    if not is_constant(value):
        return "not float32" if value.const_value.dtype != ir.DataType.FLOAT else "a caller may replace it"
    operators = "+".join(sorted({operator for operator, _ in uses}))
    if not all(operator in _PRODUCTS for operator, _ in uses):
        return f"used by {operators}"
    if len(shape_of(value)) > 2:
        return f"a batch of matrices ({operators})"
    if uses[0][1] == 0:
        return f"the left factor of {operators}"
    return f"{operators} that scales, transposes its input, or adds what is no constant vector"
