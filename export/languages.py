"""What a multilingual tokenizer puts around a text for each language, as data that the runtime can follow."""

from __future__ import annotations

import re
from typing import Any

from transformers import PreTrainedTokenizerBase

# Codes such as "eng_Latn", of the tokenizers that only have them among their special tokens.
_CODE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")


def languages(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any] | None:
    """The token of each language, and those around a text, ``None`` in the place of the language's own.

    Returns:
        ``{"tokens": {code: token}, "prefix": [token or None], "suffix": [...], "default": code}``, or None where the
        tokenizer has no source language to choose.
    """
    original: Any = tokenizer
    if not hasattr(original, "set_src_lang_special_tokens"):
        return None
    default = original.src_lang
    codes = _codes(original)
    if default not in codes:
        return None
    around = {}
    try:
        for code in dict.fromkeys((default, *codes)):
            original.src_lang = code
            around[code] = (_tokens(original, original.prefix_tokens), _tokens(original, original.suffix_tokens))
    finally:
        original.src_lang = default
    prefix, suffix = around[default]
    tokens = dict(codes)
    layout = [[None if token == tokens[default] else token for token in part] for part in (prefix, suffix)]
    for code, parts in around.items():
        if parts != tuple([tokens[code] if token is None else token for token in part] for part in layout):
            return None  # a language has tokens of another kind around it
    return {"tokens": tokens, "prefix": layout[0], "suffix": layout[1], "default": default}


def _codes(original: Any) -> dict[str, str]:
    """The token of each language."""
    identifiers: dict[str, int] = getattr(original, "lang_code_to_id", None) or {
        token: original.convert_tokens_to_ids(token) for token in original.all_special_tokens if _CODE.fullmatch(token)
    }
    return {code: str(original.convert_ids_to_tokens(identifier)) for code, identifier in identifiers.items()}


def _tokens(original: Any, identifiers: list[int]) -> list[str]:
    return [str(original.convert_ids_to_tokens(identifier)) for identifier in identifiers]
