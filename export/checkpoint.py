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
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from torchless import tasks
from torchless.errors import ExportError, TaskError

from .recipes import Recipe, recipe_for

# What transformers and the libraries under it raise for files that are missing, damaged or contradicting.
_LOAD_ERRORS = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError, EOFError),
    *(SafetensorError, StrictDataclassError, pickle.UnpicklingError),
)
_Loaded = TypeVar("_Loaded")

# What models call their first input, by what they read.
_INPUTS = {"text": ("input_ids",), "sound": ("input_values", "input_features"), "image": ("pixel_values",)}
# Where Optimum has two classes for a task, or none: that of models without and with an encoder and a decoder.
_AUTO_CLASSES: dict[str, tuple[Any, Any]] = {
    "automatic-speech-recognition": (transformers.AutoModelForCTC, transformers.AutoModelForSpeechSeq2Seq),
    "image-feature-extraction": (transformers.AutoModel, None),
}


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        config: of the model.
        tokenizer: a ``PreTrainedTokenizerBase``; None where no text is read or written.
        model: in float32 and evaluation mode.
        recipe: of the task that it is to serve.
        preprocessor: the feature extractor of what hears, the image processor of what sees; None where text is read.
        missing: parameters that the folder has no weights for: transformers made them up at random.
    """

    config: PreTrainedConfig
    tokenizer: Any
    model: PreTrainedModel
    recipe: Recipe
    preprocessor: Any = None
    missing: frozenset[str] = frozenset()


def load(folder: Path, task: str | None, device: str) -> Checkpoint:
    """Load a checkpoint for a task, or for the task that its ``architectures`` point to where None.

    Raises:
        ExportError: a file that is missing, truncated or not understood, an architecture that cannot be exported,
            or weights that lack the task's head.
        TaskError: an unknown task, or none given and none to be inferred.
    """
    config = _loading("the configuration", lambda: AutoConfig.from_pretrained(folder))
    recipe = recipe_for(task if task is not None else _infer(config)).for_model(bool(config.is_encoder_decoder))
    tokenizer = _load_tokenizer(folder) if _has_words(recipe) else None
    preprocessor = _load_preprocessor(folder, recipe)
    model, report = _load_model(folder, config, recipe)
    model.to(device)
    _check_reads(model, recipe)
    return Checkpoint(config, tokenizer, model, recipe, preprocessor, frozenset(report["missing_keys"]))


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The checkpoint's own tokenizer; where its files are missing, transformers makes up one with no vocabulary."""
    tokenizer: PreTrainedTokenizerBase = _loading("the tokenizer", lambda: AutoTokenizer.from_pretrained(folder))
    names = tokenizer.vocab_files_names
    needed = [names[key] for key in ("vocab_file", "merges_file") if key in names]
    absent = [name for name in needed if not (folder / name).is_file()]
    if absent and not (folder / "tokenizer.json").is_file():
        raise ExportError(f"cannot load the tokenizer: there is neither tokenizer.json nor {' and '.join(absent)}")
    return tokenizer


def _has_words(recipe: Recipe) -> bool:
    """Whether the model reads or writes text."""
    return recipe.reads == "text" or recipe.task == "automatic-speech-recognition"


def _load_preprocessor(folder: Path, recipe: Recipe) -> Any:
    """The checkpoint's feature extractor or image processor, the one that needs no torchvision."""
    if recipe.reads == "text":
        return None
    auto: Any = AutoFeatureExtractor if recipe.reads == "sound" else AutoImageProcessor
    backend = {} if recipe.reads == "sound" else {"backend": "pil"}
    what = "the feature extractor" if recipe.reads == "sound" else "the image processor"
    return _loading(what, lambda: auto.from_pretrained(folder, **backend))


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
    if task in _AUTO_CLASSES:
        auto_class = _AUTO_CLASSES[task][recipe.encodes]
    else:
        auto_class = TasksManager.get_model_class_for_task(task, model_type=config.model_type)
    try:
        model_class: Any = auto_class._model_mapping[type(config)]
    except KeyError as error:
        raise ExportError(f"architecture {config.model_type!r} does not serve task {task!r} in transformers") from error
    if not isinstance(model_class, tuple):
        return model_class  # type: ignore[no-any-return]
    named = [kind for kind in model_class if kind.__name__ in (config.architectures or ())]
    return (*named, *model_class)[0]  # type: ignore[no-any-return]


def _check_reads(model: PreTrainedModel, recipe: Recipe) -> None:
    """Raise ExportError where the model takes another kind of input than the task gives."""
    if model.main_input_name not in _INPUTS[recipe.reads]:
        raise ExportError(
            f"{type(model).__name__} takes {model.main_input_name}: it cannot be exported for {recipe.task!r}, which "
            f"reads {recipe.reads}s"
        )
