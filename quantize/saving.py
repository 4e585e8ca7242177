"""Graphs as files, and what the manifest says of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import onnx_ir as ir

from torchless.files import file_spec
from torchless.manifest import GraphSpec, TensorSpec

_EXTERNAL_ABOVE = 1 << 30  # bytes of weights


def save(model: ir.Model, path: Path) -> tuple[Path, ...]:
    """Write the graph, with its weights beside it in ``<name>.data`` where they are large; returns the files.

    Types and shapes between inputs and outputs are left out: a runtime infers them, and they mislead quantizers.
    """
    bare = model.clone()
    results = (value for node in bare.graph.all_nodes() for value in node.outputs)
    for value in (*bare.graph.initializers.values(), *results):
        if not value.is_graph_output():
            value.shape = value.type = None
    weights = sum(value.const_value.nbytes for value in bare.graph.initializers.values() if value.const_value)
    if weights <= _EXTERNAL_ABOVE:
        ir.external_data.load_to_model(bare)
        ir.save(bare, path)
        return (path,)
    data = path.with_name(f"{path.name}.data")
    ir.save(bare, path, external_data=data.name)
    return path, data


def file_name(role: str, dtype: str) -> str:
    """What a graph's file is called: ``model.onnx``, ``model_fp16.onnx``."""
    return f"{role}.onnx" if dtype == "fp32" else f"{role}_{dtype}.onnx"


def spec(folder: Path, model: ir.Model, files: Sequence[Path]) -> GraphSpec:
    """What the manifest says of a saved graph: its files, the model first, and its signature."""
    first, *data = (file_spec(path, folder) for path in files)
    return GraphSpec(
        model=first, data=tuple(data), inputs=signature(_required(model)), outputs=signature(model.graph.outputs)
    )


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


def _required(model: ir.Model) -> list[ir.Value]:
    """The inputs that have no default."""
    return [value for value in model.graph.inputs if value.name not in model.graph.initializers]
