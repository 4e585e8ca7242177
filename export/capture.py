"""From a model to an ONNX graph: fused attention where the model allows it, traced as it is where not."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import onnx_ir as ir
import torch
from transformers import PreTrainedModel

from torchless.errors import ExportError

from . import attention, cached_attention
from .architectures import adapted
from .checkpoint import Checkpoint
from .first_convolution import folded_norms
from .graph import clean
from .plans import Plan, finish
from .readers import as_tensors, reader_for
from .translations import TRANSLATIONS

TRACED = "traced"


def implementations(model: PreTrainedModel, wanted: str) -> tuple[str, ...]:
    """The attention implementations to try, best first; ``wanted`` is "fused" or "traced"."""
    traced = ("eager", "sdpa") if model._supports_sdpa else ("eager",)
    fused = wanted == "fused" and attention.supported(model)
    return (attention.IMPLEMENTATION, *traced) if fused else traced


def capture(checkpoint: Checkpoint, implementation: str, opset: int) -> ir.Model:
    """Trace a model of one pass with one of :func:`implementations`.

    Raises:
        ExportError: torch cannot trace the model or has no ONNX translation of an operator in it.
    """
    reader = reader_for(checkpoint)
    module, names = reader.module(checkpoint), reader.input_names(checkpoint)
    inputs = as_tensors(reader.sample(checkpoint, *reader.traced), checkpoint.model.device)
    axes = reader.axes(checkpoint)
    arguments = list(inspect.signature(module.forward).parameters)[: len(names)]
    outputs = [output.name for output in checkpoint.recipe.outputs]
    with _attention(checkpoint.model, implementation):
        return _trace(
            module,
            dict(zip(arguments, inputs.values(), strict=True)),
            dict(zip(arguments, map(axes.__getitem__, names), strict=True)),
            names,
            outputs,
            opset,
        )


def capture_plan(model: PreTrainedModel, plan: Plan, opset: int) -> ir.Model:
    """Trace a graph of a generating model.

    Raises:
        ExportError: torch cannot trace the model or has no ONNX translation of an operator in it.
    """
    inputs = torch.utils._pytree.tree_map(lambda tensor: tensor.to(model.device), plan.inputs)
    with _attention(model, cached_attention.IMPLEMENTATION), adapted(model):
        graph = _trace(plan.module, inputs, plan.axes, plan.input_names, plan.output_names, opset)
    finish(graph, plan)
    return graph


def _trace(
    module: torch.nn.Module,
    inputs: dict[str, Any],
    axes: dict[str, Any],
    input_names: Sequence[str],
    output_names: Sequence[str],
    opset: int,
) -> ir.Model:
    name = type(getattr(module, "model", module)).__name__
    try:
        with torch.no_grad():
            program = torch.onnx.export(
                module,
                kwargs=inputs,
                input_names=list(input_names),
                output_names=list(output_names),
                dynamic_shapes=axes,
                opset_version=opset,
                custom_translation_table=TRANSLATIONS,
                dynamo=True,
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, attention.UnsupportedAttentionError) as error:
        raise ExportError(f"torch cannot export {name}: {_reason(error)}") from error
    if program is None:
        raise ExportError(f"torch exported nothing for {name}")
    return clean(program.model)


def attention_of(model: ir.Model) -> str:
    """The operator's name where the graph holds fused attention, else "traced"."""
    operators = {node.op_type for node in model.graph}
    fused = (cached_attention.OPERATOR, attention.OPERATOR)
    return next((operator for operator in fused if operator in operators), TRACED)


@contextmanager
def _attention(model: PreTrainedModel, implementation: str) -> Iterator[None]:
    with cached_attention.attending(model, implementation), folded_norms(model):
        yield


def _reason(error: BaseException) -> str:
    """The innermost cause, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
