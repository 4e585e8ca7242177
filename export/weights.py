"""Whether a checkpoint has the weights that its task needs, and the form in which they are exported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch.nn.utils import parametrize
from transformers import PreTrainedModel

from torchless.errors import ExportError

from .checkpoint import Checkpoint
from .readers import reader_for
from .recipes import Output


def complete(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with those outputs alone that the model gives and has the weights for, its weights folded.

    Raises:
        ExportError: an output that the task needs depends on weights that are missing, or torch cannot run the model.
    """
    recipe, missing = checkpoint.recipe, checkpoint.missing
    if missing or any(output.optional for output in recipe.outputs):
        given = _run(checkpoint)
        outputs = [output for output in recipe.outputs if not output.optional]
        for output in recipe.outputs:
            value = given.get(output.name)
            if output.optional and value is not None and not _needed(checkpoint.model, given, [output], missing):
                outputs.append(output)
        _check(checkpoint, _needed(checkpoint.model, given, outputs, missing))
        checkpoint = replace(checkpoint, recipe=replace(recipe, outputs=tuple(outputs)))
    _fold(checkpoint.model)
    return checkpoint


def _run(checkpoint: Checkpoint) -> Any:
    """What the model gives for a short input, with gradients."""
    model = checkpoint.model
    inputs = reader_for(checkpoint).example(checkpoint)
    if checkpoint.recipe.encodes:
        inputs["decoder_input_ids"] = torch.zeros((1, 1), dtype=torch.int64, device=model.device)
    try:
        return model(**inputs, return_dict=True)
    except (RuntimeError, IndexError, ValueError) as error:
        raise ExportError(f"torch cannot run {type(model).__name__}: {error}") from error


def _needed(model: PreTrainedModel, given: Any, outputs: Iterable[Output], missing: frozenset[str]) -> list[str]:
    """Those missing weights that reach the outputs; a pooler's do not where only hidden states are asked for."""
    parameters = {name: value for name, value in model.named_parameters() if name in missing}
    if not parameters:
        return sorted(missing)
    total = torch.stack([given[output.name].sum() for output in outputs]).sum()
    gradients = torch.autograd.grad(total, list(parameters.values()), allow_unused=True, retain_graph=True)
    idle = {name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None}
    return sorted(missing - idle)


def _check(checkpoint: Checkpoint, needed: list[str]) -> None:
    if not needed:
        return
    model = checkpoint.model
    names = ", ".join(needed[:3]) + (", ..." if len(needed) > 3 else "")
    made_for = ", ".join(model.config.architectures or ()) or "another task"
    raise ExportError(
        f"the checkpoint has no weights for {names} of {type(model).__name__}: "
        f"it was saved as {made_for} and does not serve task {checkpoint.recipe.task!r}"
    )


def _fold(model: PreTrainedModel) -> None:
    """Let weights that are kept as a direction and a length be what they come to."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
