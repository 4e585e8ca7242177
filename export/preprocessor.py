"""Freezing what stands before and behind a model that hears or sees: its preprocessor's numbers, its characters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from torchless.errors import ExportError

# The kinds that transformers has of one processor, by what they compute with.
_KINDS = ("Fast", "Pil")
_CHARACTER_FILES = ("vocab.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


def freeze(preprocessor: Any, folder: Path) -> None:
    """Write ``preprocessor_config.json`` with every number, also those that transformers has defaults for.

    Raises:
        ExportError: a number has no form in JSON.
    """
    content = {name: value for name, value in preprocessor.to_dict().items() if not name.startswith("_")}
    name = type(preprocessor).__name__
    for kind in _KINDS:
        name = name.removesuffix(kind)
    content["feature_extractor_type" if hasattr(preprocessor, "sampling_rate") else "image_processor_type"] = name
    content.pop("processor_class", None)
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True, default=_plain)
    except TypeError as error:
        raise ExportError(f"{name} cannot be written as JSON: {error}") from error
    (folder / "preprocessor_config.json").write_text(text + "\n", encoding="utf-8")


def freeze_characters(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write the files of a tokenizer of characters, which the outputs of connectionist temporal classification name.

    Raises:
        ExportError: the tokenizer is of another kind.
    """
    tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        if path.name not in _CHARACTER_FILES:
            path.unlink()
    if not (folder / "vocab.json").is_file():
        raise ExportError(f"{type(tokenizer).__name__} is no tokenizer of characters: it has no vocab.json")
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    kept = {
        name: value for name, value in config.items() if name not in ("is_local", "local_files_only", "name_or_path")
    }
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """Values that JSON does not know: enumerations and NumPy's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "value"):
        return value.value
    if hasattr(value, "__dict__"):
        return vars(value)
    raise TypeError(f"{value!r:.80}")
