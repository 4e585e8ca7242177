"""The graphs of a model that generates, over a cache of keys and values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from transformers import PreTrainedModel

from torchless.errors import OptionError
from torchless.manifest import GraphSpec
from torchless.progress import Report, timed
from torchless.quantize import saving

from . import capture, precision
from .checkpoint import Checkpoint
from .limits import declared_positions
from .options import Options
from .plans import plans
from .steps import Checker, open_sessions
from .written import Written

# What carries the sums of all layers: residual additions and root mean square norms.
_RESIDUAL = ("Add", "Mul", "Pow", "ReduceMean", "Sqrt", "Reciprocal", "SimplifiedLayerNormalization")


def input_names(checkpoint: Checkpoint) -> tuple[str, ...]:
    """What the graphs take of the tokenizer's outputs."""
    return "input_ids", "attention_mask"


def write_graphs(
    folder: Path, checkpoint: Checkpoint, longest: int | None, options: Options, report: Report
) -> Written:
    """Write and verify each variant of each graph; variants are verified together, as they will run.

    Raises:
        OptionError: attention is not to be fused, without which there is no cache to write in place.
        ExportError: the model cannot be exported.
        VerificationError: the graphs disagree with the checkpoint.
    """
    if options.attention != "fused":
        raise OptionError("generation runs over ONNX Runtime's fused attention: attention='fused' is the only choice")
    models: dict[str, ir.Model] = {}
    for plan in plans(checkpoint.model):
        with timed(report, f"capture {plan.role}"):
            models[plan.role] = capture.capture_plan(checkpoint.model, plan, options.opset)
    encodes = checkpoint.recipe.encodes
    checker = Checker(
        checkpoint.model,
        checkpoint.tokenizer.all_special_ids,
        declared_positions(checkpoint.model) if encodes else longest,
        longest if encodes else None,
    )
    keep = _wide(checkpoint.model)
    kept = {role: tuple(str(node.name) for node in model.graph if keep(node)) for role, model in models.items()}
    float32 = {role: names for role, names in kept.items() if names}
    written = {
        dtype: _write(folder, models, float32, dtype, checker, options.device, report) for dtype in options.dtypes
    }
    return Written(
        graphs={role: {dtype: written[dtype][role] for dtype in options.dtypes} for role in models},
        references=(checker.reference(next(reversed(models))),),
        attention=next(map(capture.attention_of, reversed(models.values()))),
        float32=float32,
    )


def _wide(model: PreTrainedModel) -> Callable[[ir.Node], bool]:
    """The nodes that stay in float32 in a float16 graph.

    A model that keeps weights in float32 (T5) has a residual stream beyond float16's range: its sums and norms too.
    """
    modules = set(model._keep_in_fp32_modules or ())
    weights = [
        parameter.detach().cpu().numpy()
        for name, parameter in model.named_parameters()
        if parameter.dim() == 2 and not modules.isdisjoint(name.split("."))
    ]

    def keep(node: ir.Node) -> bool:
        if node.op_type in _RESIDUAL:
            return bool(modules)
        return node.op_type in ("MatMul", "Gemm") and any(_holds(node.inputs[1], weight) for weight in weights)

    return keep


def _holds(value: ir.Value | None, weight: NDArray[np.float32]) -> bool:
    """Whether a graph's value is a linear layer's weight, whose name is lost where torch's exporter turned it round."""
    if value is None or value.const_value is None:
        return False
    held = value.const_value.numpy()
    same = held.shape == weight.shape[::-1] and np.array_equal(held[0], weight[:, 0])  # most differ here
    return same and np.array_equal(held, weight.T)


def _write(
    folder: Path,
    models: dict[str, ir.Model],
    float32: Mapping[str, Collection[str]],
    dtype: str,
    checker: Checker,
    device: str,
    report: Report,
) -> dict[str, GraphSpec]:
    """One variant of every graph, by role."""
    specs, paths = {}, {}
    for role, model in models.items():
        with timed(report, f"write {role} in {dtype}"):
            lowered = precision.lower(model, dtype, float32.get(role, ()))
            files = saving.save(lowered.model, folder / "onnx" / saving.file_name(role, dtype))
            specs[role], paths[role] = lowered.entered(saving.spec(folder, lowered.model, files)), files[0]
    with timed(report, f"verify {dtype}"):
        checker.check(open_sessions(paths, device), dtype)
    return specs
