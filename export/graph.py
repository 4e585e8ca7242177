"""Graph cleaning and saving: the file holds the model and nothing of the machine that made it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

import onnx_ir as ir
import onnx_ir.passes.common as passes

from torchless.manifest import GraphSpec, TensorSpec

from .bundle import file_spec
from .fusions import fuse

PRODUCER = "torchless"
_IR_VERSION = 10
_EXTERNAL_ABOVE = 1 << 30  # bytes of weights


def clean(model: ir.Model) -> ir.Model:
    """Fuse; drop reshapes that undo each other, duplicates, unused parts and comments; sign the graph."""
    _skip_reshapes(model.graph)
    fuse(model)
    ir.passes.Sequential(
        passes.CommonSubexpressionEliminationPass(),
        passes.DeduplicateInitializersPass(),
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedOpsetsPass(),
        passes.ClearMetadataAndDocStringPass(),
    )(model)
    for value in (*model.graph.inputs, *model.graph.initializers.values(), *_results(model)):
        value.metadata_props.clear()
    model.graph.name = "model"
    model.producer_name = PRODUCER
    model.producer_version = metadata.version("torchless")
    model.ir_version = _IR_VERSION
    return model


def save(model: ir.Model, path: Path) -> tuple[Path, ...]:
    """Write the graph, with its weights beside it in ``<name>.data`` where they are large; returns the files.

    Types and shapes between inputs and outputs are left out: a runtime infers them, and they mislead quantizers.
    """
    bare = model.clone()
    for value in (*bare.graph.initializers.values(), *_results(bare)):
        if not value.is_graph_output():
            value.shape = value.type = None
    weights = sum(value.const_value.nbytes for value in bare.graph.initializers.values() if value.const_value)
    if weights <= _EXTERNAL_ABOVE:
        ir.save(bare, path)
        return (path,)
    data = path.with_name(f"{path.name}.data")
    ir.save(bare, path, external_data=data.name)
    return path, data


def _results(model: ir.Model) -> Iterator[ir.Value]:
    return (value for node in model.graph.all_nodes() for value in node.outputs)


def signature(values: Iterable[ir.Value]) -> tuple[TensorSpec, ...]:
    """What a graph's inputs or outputs are called and hold."""
    return tuple(
        TensorSpec(
            name=str(value.name),
            dtype=value.dtype.numpy().name if value.dtype is not None else "",
            shape=tuple(dim if isinstance(dim, int) else str(dim.value) for dim in value.shape or ()),
        )
        for value in values
    )


def file_name(role: str, dtype: str) -> str:
    """What a graph's file is called: ``model.onnx``, ``model_fp16.onnx``."""
    return f"{role}.onnx" if dtype == "fp32" else f"{role}_{dtype}.onnx"


def spec(folder: Path, model: ir.Model, files: Sequence[Path]) -> GraphSpec:
    """What the manifest says of a saved graph: its files, the model first, and its signature."""
    first, *data = (file_spec(path, folder) for path in files)
    return GraphSpec(
        model=first, data=tuple(data), inputs=signature(_required(model)), outputs=signature(model.graph.outputs)
    )


def _required(model: ir.Model) -> list[ir.Value]:
    """The inputs that have no default."""
    return [value for value in model.graph.inputs if value.name not in model.graph.initializers]


def _skip_reshapes(graph: ir.Graph) -> None:
    """Let a chain of reshapes start from its first input, and drop it where it ends in that input's own shape."""
    for node in graph:
        if node.op_type != "Reshape" or node.domain:
            continue
        source = node.inputs[0]
        while source is not None and (before := source.producer()) is not None and before.op_type == "Reshape":
            source = before.inputs[0]
        output = node.outputs[0]
        if source is None or source is node.inputs[0] or not _absolute(node):
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
    allow_zero = node.attributes.get("allowzero")
    return allow_zero is not None and allow_zero.as_int() == 1
