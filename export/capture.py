"""From a model to an ONNX graph: fused attention where the model allows it, traced as it is where not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import onnx_ir as ir
import torch
from transformers import PreTrainedModel

from torchless.errors import ExportError

from . import attention
from .checkpoint import Checkpoint
from .encoder import Encoder, as_tensors, sample_inputs
from .graph import clean
from .translations import TRANSLATIONS

# Odd sizes that no model uses for something else, so that no axis can be taken for a constant.
_BATCH, _LENGTH = 3, 11
TRACED = "traced"


def implementations(model: PreTrainedModel, wanted: str) -> tuple[str, ...]:
    """The attention implementations to try, best first; ``wanted`` is "fused" or "traced"."""
    traced = ("eager", "sdpa") if model._supports_sdpa else ("eager",)
    fused = wanted == "fused" and attention.supported(model)
    return (attention.IMPLEMENTATION, *traced) if fused else traced


def capture(checkpoint: Checkpoint, implementation: str, opset: int) -> ir.Model:
    """Trace the checkpoint with one of :func:`implementations`.

    Raises:
        ExportError: torch cannot trace the model or has no ONNX translation of an operator in it.
    """
    module = Encoder(checkpoint.model, checkpoint.recipe).eval()
    inputs = as_tensors(sample_inputs(checkpoint, _BATCH, _LENGTH), checkpoint.model.device)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    try:
        with _attention(checkpoint.model, implementation), torch.no_grad():
            program = torch.onnx.export(
                module,
                kwargs=inputs,
                input_names=list(inputs),
                output_names=list(module.fields),
                dynamic_shapes=dict.fromkeys(inputs, axes),
                opset_version=opset,
                custom_translation_table=TRANSLATIONS,
                dynamo=True,
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, attention.UnsupportedAttentionError) as error:
        raise ExportError(f"torch cannot export {type(checkpoint.model).__name__}: {_reason(error)}") from error
    if program is None:
        raise ExportError(f"torch exported nothing for {type(checkpoint.model).__name__}")
    return clean(program.model)


def attention_of(model: ir.Model) -> str:
    """The operator's name where the graph holds fused attention, else "traced"."""
    return attention.OPERATOR if any(node.op_type == attention.OPERATOR for node in model.graph) else TRACED


@contextmanager
def _attention(model: PreTrainedModel, implementation: str) -> Iterator[None]:
    before = model.config._attn_implementation
    if implementation == before:
        yield
        return
    model.set_attn_implementation(implementation)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _reason(error: BaseException) -> str:
    """The innermost cause, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
