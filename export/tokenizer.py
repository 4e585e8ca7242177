"""Freezing a checkpoint's tokenizer to ``tokenizer.json``, checked against the original on difficult texts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import convert_slow_tokenizer

import torchless
from torchless.errors import ExportError

from .converters import CONVERTERS, Converted
from .languages import languages
from .tokenizer_json import save
from .tokenizer_probes import compare

_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# How the tokenizer was loaded, which transformers saves with it.
LOADING_OPTIONS = ("is_local", "local_files_only", "name_or_path")
_TARGET_FILE = "target_tokenizer.json"


def freeze(tokenizer: PreTrainedTokenizerBase, folder: Path, input_names: tuple[str, ...]) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json`` for any tokenizer with a fast form.

    Args:
        tokenizer: the checkpoint's own tokenizer.
        folder: the bundle's folder.
        input_names: what the graph takes of the tokenizer's outputs.

    Raises:
        ExportError: no fast form of this tokenizer is known.
        VerificationError: the frozen tokenizer encodes or decodes a probe differently.
    """
    converted = _converted(tokenizer)
    tokenizer.save_pretrained(folder)
    save(converted.tokenizer, folder / "tokenizer.json")
    if converted.target is not None:
        save(converted.target, folder / _TARGET_FILE)
    _write_config(tokenizer, folder, converted, input_names)
    compare(tokenizer, torchless.Tokenizer(folder))


def _converted(tokenizer: PreTrainedTokenizerBase) -> Converted:
    """The tokenizer as the ``tokenizers`` library has it, and what that cannot express."""
    name = type(tokenizer).__name__
    if tokenizer.is_fast or name not in CONVERTERS:
        return Converted(_backend(tokenizer), len(tokenizer))
    try:
        return CONVERTERS[name](tokenizer)
    except (OSError, ValueError, KeyError) as error:
        raise ExportError(f"{name} has no fast form: {error}") from error


def _backend(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """The tokenizer as the ``tokenizers`` library has it, without truncation or padding left from an earlier call."""
    if tokenizer.is_fast:
        backend: Tokenizer = tokenizer.backend_tokenizer  # transformers sets truncation and padding in each call
    else:
        try:
            backend = convert_slow_tokenizer(tokenizer)
        except (ValueError, ImportError, AttributeError, KeyError) as error:
            raise ExportError(f"{type(tokenizer).__name__} has no fast form: tokenizer.json cannot be made") from error
    backend.no_truncation()
    backend.no_padding()
    return backend


def _write_config(
    tokenizer: PreTrainedTokenizerBase, folder: Path, converted: Converted, input_names: tuple[str, ...]
) -> None:
    """Complete what transformers saves with what a runtime without transformers has to be told."""
    path = folder / "tokenizer_config.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for name in LOADING_OPTIONS:
        config.pop(name, None)
    config.update(
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        model_input_names=list(input_names),
        model_max_length=tokenizer.model_max_length,
        clean_up_tokenization_spaces=bool(tokenizer.clean_up_tokenization_spaces),
    )
    if not tokenizer.is_fast:  # those in Python clean up whatever their kind
        config["clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"] = True
    for name in _SPECIAL_TOKENS:
        token = getattr(tokenizer, name, None)
        if token is not None:
            config[name] = str(token)
    if isinstance(tokenizer.chat_template, dict):
        _gather_templates(tokenizer.chat_template, folder, config)
    if own := _own_settings(tokenizer, converted):
        config["torchless"] = own
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def _own_settings(tokenizer: PreTrainedTokenizerBase, converted: Converted) -> dict[str, Any]:
    own = converted.settings()
    if converted.target is not None:
        own["target"] = _TARGET_FILE
    if (spoken := languages(tokenizer)) is not None:
        own["languages"] = spoken
    if (hidden := getattr(tokenizer, "timestamp_pat", None)) is not None:
        own["hidden"] = hidden.pattern
    return own


def _gather_templates(templates: dict[str, str], folder: Path, config: dict[str, Any]) -> None:
    """Several chat templates go into the configuration, so that all that answers depend on is in listed files."""
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    shutil.rmtree(folder / "additional_chat_templates", ignore_errors=True)
    config["chat_template"] = [{"name": name, "template": templates[name]} for name in sorted(templates)]
