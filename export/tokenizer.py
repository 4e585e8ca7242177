"""Freezing a checkpoint's tokenizer to ``tokenizer.json``, checked against the original on difficult texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer
from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import convert_slow_tokenizer

from torchless.errors import ExportError, VerificationError

_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# How the tokenizer was loaded, which transformers saves with it.
_LOADING_OPTIONS = ("is_local", "local_files_only", "name_or_path")

PROBES = (
    "Hello, world!",
    "",
    " ",
    "  two  spaces \t tab \n newline \r\n end ",
    "Don't stop: it's 3.14% of $1,000.00 (approx.)",
    "UPPER lower MiXeD ẞ İstanbul Ǆ",
    "naïve café na\u0308ive cafe\u0301 ﬁne \u00a0nbsp\u200bzero\u200dwidth\ufeffbom",
    "emoji 😀 👩‍👩‍👧‍👦 🇩🇪 ❤️ 👍🏽",
    "中文分词测试。日本語のテキスト、カタカナ ﾊﾝｶｸ 한국어 텍스트",
    "עברית مَرْحَبًا بالعالم हिन्दी ไทย தமிழ்",
    "Ελληνικά Русский Ёлка ÅÄÖ ß œ æ",
    "control \x00 \x07 \x1b \x7f \u0085 chars \ufffd",
    "math ∑∫√ ½ ² ™ Ⅳ ﷺ quotes “ ” ‘ ’ „ dash – — …",
    "code: for (int i=0; i<n; ++i) { a[i] = b_c->d; } <html> http://a.b/c?d=e&f=g",
    "x" * 250,
    "word " * 60,
    "\U0001f9ff\U00020000\U000e0001 rare planes",
)


def freeze(tokenizer: PreTrainedTokenizerBase, folder: Path, input_names: tuple[str, ...]) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json`` for any tokenizer with a fast form.

    Args:
        tokenizer: the checkpoint's own tokenizer.
        folder: the bundle's folder.
        input_names: what the graph takes of the tokenizer's outputs.

    Raises:
        ExportError: no fast form of this tokenizer is known.
        VerificationError: the frozen tokenizer encodes a probe differently.
    """
    frozen = _backend(tokenizer)
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer.json"
    frozen.save(str(path))
    _write_config(tokenizer, folder / "tokenizer_config.json", input_names)
    _compare(tokenizer, Tokenizer.from_file(str(path)))


def _backend(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """The tokenizer as the ``tokenizers`` library has it, without truncation or padding left from an earlier call."""
    if tokenizer.is_fast:
        backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    else:
        try:
            backend = convert_slow_tokenizer(tokenizer)
        except (ValueError, ImportError, AttributeError, KeyError) as error:
            raise ExportError(f"{type(tokenizer).__name__} has no fast form: tokenizer.json cannot be made") from error
    backend.no_truncation()
    backend.no_padding()
    return backend


def _write_config(tokenizer: PreTrainedTokenizerBase, path: Path, input_names: tuple[str, ...]) -> None:
    """Complete what transformers saves with what a runtime without transformers has to be told."""
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for name in _LOADING_OPTIONS:
        config.pop(name, None)
    config.update(
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        model_input_names=list(input_names),
        model_max_length=tokenizer.model_max_length,
        clean_up_tokenization_spaces=bool(tokenizer.clean_up_tokenization_spaces),
    )
    for name in _SPECIAL_TOKENS:
        token = getattr(tokenizer, name, None)
        if token is not None:
            config[name] = str(token)
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def _compare(tokenizer: PreTrainedTokenizerBase, frozen: Tokenizer) -> None:
    specials = " ".join(tokenizer.all_special_tokens)
    probes = (*PROBES, f"special {specials} in text", specials.replace(" ", ""))
    for text, pair in zip(probes, (*probes[1:], probes[0]), strict=True):
        _same(tokenizer, frozen, text)
        if pair:  # transformers takes an empty second text for none
            _same(tokenizer, frozen, text, pair)


def _same(tokenizer: PreTrainedTokenizerBase, frozen: Tokenizer, text: str, pair: str | None = None) -> None:
    try:
        wanted = tokenizer(
            text, pair, return_token_type_ids=True, return_offsets_mapping=tokenizer.is_fast, verbose=False
        )
    except Exception as error:  # tokenizers raises nothing more specific
        raise ExportError(f"{type(tokenizer).__name__} cannot encode {text!r}: {error}") from error
    found = _fields(frozen.encode(text, pair))
    for field, values in found.items():
        if field in wanted and list(wanted[field]) != values:
            raise VerificationError(
                f"the frozen tokenizer gives other {field} than {type(tokenizer).__name__} for {(text, pair)!r}"
            )


def _fields(encoding: Encoding) -> dict[str, list[Any]]:
    return {"input_ids": encoding.ids, "token_type_ids": encoding.type_ids, "offset_mapping": encoding.offsets}
