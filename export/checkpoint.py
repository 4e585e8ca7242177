"""Loading a checkpoint: its configuration, tokenizer and weights, as transformers reads them."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from optimum.exporters.tasks import TasksManager
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from torchless import tasks
from torchless.errors import ExportError, TaskError

from .recipes import Recipe, recipe_for

# What transformers and the libraries under it raise for files that are missing, damaged or contradicting.
_LOAD_ERRORS = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError, EOFError),
    *(SafetensorError, StrictDataclassError, pickle.UnpicklingError),
)
_Loaded = TypeVar("_Loaded")


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint: the model in float32 and evaluation mode, and the recipe of the task it is to serve."""

    config: PreTrainedConfig
    tokenizer: PreTrainedTokenizerBase
    model: PreTrainedModel
    recipe: Recipe


def load(folder: Path, task: str | None, device: str) -> Checkpoint:
    """Load a checkpoint for a task, or for the task that its ``architectures`` point to where None.

    Raises:
        ExportError: a file that is missing, truncated or not understood, an architecture that cannot be exported,
            or weights that lack the task's head.
        TaskError: an unknown task, or none given and none to be inferred.
    """
    config = _loading("the configuration", lambda: AutoConfig.from_pretrained(folder))
    recipe = recipe_for(task if task is not None else _infer(config))
    tokenizer = _load_tokenizer(folder)
    model, report = _load_model(folder, config, recipe)
    model.to(device)
    _check_reads_text(model)
    _check_weights(model, report["missing_keys"], recipe)
    return Checkpoint(config, tokenizer, model, recipe)


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The checkpoint's own tokenizer; where its files are missing, transformers makes up one with no vocabulary."""
    tokenizer: PreTrainedTokenizerBase = _loading("the tokenizer", lambda: AutoTokenizer.from_pretrained(folder))
    names = tokenizer.vocab_files_names
    needed = [names[key] for key in ("vocab_file", "merges_file") if key in names]
    absent = [name for name in needed if not (folder / name).is_file()]
    if absent and not (folder / "tokenizer.json").is_file():
        raise ExportError(f"cannot load the tokenizer: there is neither tokenizer.json nor {' and '.join(absent)}")
    return tokenizer


def _load_model(folder: Path, config: PreTrainedConfig, recipe: Recipe) -> tuple[Any, dict[str, Any]]:
    """The model in float32, whatever it was saved in, and what transformers says about its weights."""
    model_class: Any = _model_class(config, recipe)
    loaded: tuple[Any, dict[str, Any]] = _loading(
        "the weights",
        lambda: model_class.from_pretrained(
            folder, config=config, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        ),
    )
    return loaded


def _loading(what: str, read: Callable[[], _Loaded]) -> _Loaded:
    try:
        return read()
    except _LOAD_ERRORS as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        raise ExportError(f"cannot load {what}: {reason}") from error


def _infer(config: PreTrainedConfig) -> str:
    """The task of the first class in ``architectures`` that has one, also where its name does not follow the rule."""
    task = tasks.infer(config.to_dict())
    if task is not None:
        return task
    for name in config.architectures or ():
        with contextlib.suppress(AttributeError, ValueError):
            found: str = TasksManager.infer_task_from_model(getattr(transformers, name))
            return found
    raise TaskError(
        f"the task cannot be told from the checkpoint (architectures: {config.architectures}); "
        f"name one of {', '.join(tasks.TASKS)}"
    )


def _model_class(config: PreTrainedConfig, recipe: Recipe) -> type[PreTrainedModel]:
    """The transformers class that serves the task for this architecture."""
    task = recipe.task
    if config.is_encoder_decoder and not recipe.encodes:
        raise ExportError(f"{config.model_type} is an encoder-decoder architecture: it cannot be exported for {task!r}")
    auto_class = TasksManager.get_model_class_for_task(task, model_type=config.model_type)
    try:
        model_class: type[PreTrainedModel] = auto_class._model_mapping[type(config)]
    except KeyError as error:
        raise ExportError(f"architecture {config.model_type!r} does not serve task {task!r} in transformers") from error
    return model_class[0] if isinstance(model_class, tuple) else model_class


def _check_reads_text(model: PreTrainedModel) -> None:
    if model.main_input_name != "input_ids":
        raise ExportError(
            f"{type(model).__name__} takes {model.main_input_name}: only text models can be exported for now"
        )


def _check_weights(model: PreTrainedModel, missing: Any, recipe: Recipe) -> None:
    """Refuse a checkpoint without weights that the outputs depend on: transformers made them up at random."""
    needed = sorted(set(missing) - _without_effect(model, set(missing), recipe))
    if not needed:
        return
    names = ", ".join(needed[:3]) + (", ..." if len(needed) > 3 else "")
    made_for = ", ".join(model.config.architectures or ()) or "another task"
    raise ExportError(
        f"the checkpoint has no weights for {names} of {type(model).__name__}: "
        f"it was saved as {made_for} and does not serve task {recipe.task!r}"
    )


def _without_effect(model: PreTrainedModel, names: set[str], recipe: Recipe) -> set[str]:
    """Those parameters that do not reach the outputs, such as the pooler's where only hidden states are asked for."""
    parameters = {name: value for name, value in model.named_parameters() if name in names}
    if not parameters:
        return set()
    ids = torch.zeros((1, 8), dtype=torch.int64, device=model.device)
    decoded = {"decoder_input_ids": ids} if recipe.encodes else {}
    result = model(input_ids=ids, attention_mask=torch.ones_like(ids), **decoded)
    total = torch.stack([result[output.name].sum() for output in recipe.outputs]).sum()
    gradients = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
    return {name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None}
