"""Checks of texts and token ids before the library sees them, and of what it says of others."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import tokenizers

from .errors import InputError

Text: TypeAlias = str | tuple[str, str]


def encode_one(
    backend: tokenizers.Tokenizer, text: Text | Sequence[str], special_tokens: bool = True
) -> tokenizers.Encoding:
    """Encode a text, a pair of texts, or a list of words."""
    first, second = text if isinstance(text, tuple) else (text, None)
    try:
        return backend.encode(first, second, is_pretokenized=isinstance(text, list), add_special_tokens=special_tokens)
    except TypeError as error:
        raise not_unicode(error) from error


def not_unicode(error: TypeError) -> InputError:
    """Texts were checked to be strings, so that the library only refuses those with half a surrogate pair."""
    return InputError(f"a text is not valid Unicode: {error}")


def check_all(texts: Any) -> bool:
    """Check a list of texts; returns whether they are lists of words."""
    if not isinstance(texts, (list, tuple)):
        raise InputError(f"expected a list of texts, not {type(texts).__name__}: {texts!r:.80}")
    for text in texts:
        check(text)
    words = any(isinstance(text, list) for text in texts)
    if words and not all(isinstance(text, list) for text in texts):
        raise InputError("some texts are lists of words and some are not")
    return words


def check(text: Any) -> None:
    """Check that something is a text, a pair of texts, or a list of words."""
    if isinstance(text, str):
        return
    pair = isinstance(text, tuple) and len(text) == 2
    if not ((pair or isinstance(text, list)) and all(isinstance(part, str) for part in text)):
        raise InputError(f"expected a text or a pair of texts, not {type(text).__name__}: {text!r:.80}")


def listed(ids: Any) -> list[int]:
    """Token ids as the library takes them."""
    if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu":
        plain: list[int] = ids.tolist()
        return plain
    return list(map(operator.index, ids))


def no_ids(error: Exception) -> InputError:
    """What the library refuses: negative numbers and what is no number."""
    return InputError(f"expected token ids, which are numbers from 0 up: {error}")


def clean_up(text: str) -> str:
    """Undo the spaces that word pieces put before punctuation; the list is transformers'."""
    for spaced in (" .", " ?", " !", " ,"):
        text = text.replace(spaced, spaced[1:])
    text = text.replace(" ' ", "'")
    for spaced in (" n't", " 'm", " 's", " 've", " 're"):
        text = text.replace(spaced, spaced[1:])
    return text
