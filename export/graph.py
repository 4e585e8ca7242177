"""Graph cleaning: the file holds the model and nothing of the machine that made it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

import onnx_ir as ir
import onnx_ir.passes.common as passes

from .early_selection import select_early
from .fusions import fuse

PRODUCER = "torchless"
_IR_VERSION = 10


def clean(model: ir.Model) -> ir.Model:
    """Fuse; drop idle reshapes, duplicates, unused parts and comments; leave out positions that nobody reads; sign."""
    _skip_reshapes(model.graph)
    fuse(model)
    ir.passes.Sequential(
        passes.CommonSubexpressionEliminationPass(),
        passes.DeduplicateInitializersPass(),
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedOpsetsPass(),
        passes.ClearMetadataAndDocStringPass(),
    )(model)
    select_early(model.graph)
    for value in (*model.graph.inputs, *model.graph.initializers.values(), *_results(model)):
        value.metadata_props.clear()
    model.graph.name = "model"
    model.producer_name = PRODUCER
    model.producer_version = metadata.version("torchless")
    model.ir_version = _IR_VERSION
    return model


def _results(model: ir.Model) -> Iterator[ir.Value]:
    return (value for node in model.graph.all_nodes() for value in node.outputs)


def _skip_reshapes(graph: ir.Graph) -> None:
    """Let reshapes start from the first input of their chain, and drop those that end in that input's own shape."""
    for node in graph:
        if node.op_type != "Reshape" or node.domain:
            continue
        source = node.inputs[0]
        while source is not None and (before := source.producer()) is not None and before.op_type == "Reshape":
            source = before.inputs[0]
        output = node.outputs[0]
        if source is None or not _absolute(node):
            continue
        if _same_shape(source, output) and not output.is_graph_output():
            output.replace_all_uses_with(source)
        else:
            node.replace_input_with(0, source)


def _same_shape(first: ir.Value, second: ir.Value) -> bool:
    """Whether both shapes are known, dimension names included, and equal."""
    if first.shape is None or first.shape.has_unknown_dim():
        return False
    return first.shape == second.shape


def _absolute(node: ir.Node) -> bool:
    """Whether the target shape does not copy dimensions of the input (a 0 without allowzero)."""
    if node.attributes.get_int("allowzero", 0) == 1:
        return True
    target = node.inputs[1].const_value if node.inputs[1] is not None else None
    return target is not None and 0 not in target.numpy()
