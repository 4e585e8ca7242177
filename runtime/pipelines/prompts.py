"""Prompts of language models: texts to tokens that leave room for more."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from ..errors import InputError, OptionError, TruncationWarning, user_stacklevel
from ..generation.config import GenerationConfig
from ..tokenizer import Tokenizer, Truncation


def prompt_tokens(
    tokenizer: Tokenizer, texts: Sequence[str], *, special_tokens: bool, longest: int | None = None
) -> list[list[int]]:
    """The tokens of prompts.

    Args:
        tokenizer: the model's.
        texts: each may be empty.
        special_tokens: whether to add them.
        longest: tokens to which longer prompts are cut, with a warning; None cuts nothing.
    """
    cut: Truncation | None = None if longest is None else "longest_first"
    encodings = tokenizer.encode(list(texts), truncation=cut, max_length=longest, special_tokens=special_tokens)
    return [list(encoding.ids) for encoding in encodings]


def begun(tokens: list[int], bos: int | None) -> list[int]:
    """The tokens, or where there is none that which begins a text.

    Raises:
        InputError: there is no such token.
    """
    if not tokens and bos is None:
        raise InputError("an empty text cannot be continued: the model has no token to begin with")
    return tokens or [bos] if bos is not None else tokens


def check_room(tokens: list[int], limit: int | None) -> None:
    """Check that a prompt leaves room for a token.

    Raises:
        InputError: it fills the model's positions.
    """
    if limit is not None and len(tokens) >= limit:
        raise InputError(
            f"the prompt has {len(tokens)} tokens, and the model reads {limit} with those that it generates: give a "
            "shorter one, or truncation=True to cut its end, or handle_long_generation='hole' to cut its beginning"
        )


def longest_prompt(config: GenerationConfig, limit: int | None) -> int | None:
    """Tokens that a prompt may have, so that there is room for those that the call asks for, and for one at least.

    Args:
        config: how to generate.
        limit: tokens that the model reads in all; None where nothing limits them.

    Raises:
        OptionError: there is room for none.
    """
    if config.max_new_tokens is None:
        limit = config.max_length if limit is None else min(limit, config.max_length)
    if limit is None:
        return None
    new = config.max_new_tokens if config.max_new_tokens and "max_new_tokens" in config.explicit else 1
    if new >= limit:
        raise OptionError(f"{new} new tokens leave no room for a prompt: there are {limit} in all")
    return limit - new


def keep_end(tokens: list[int], config: GenerationConfig, limit: int | None) -> list[int]:
    """The end of a prompt that leaves room for what is to be generated; warns of what is lost.

    Raises:
        OptionError: what is to be generated fills the model's positions alone, or ends before the prompt does.
    """
    new = config.max_new_tokens if config.max_new_tokens is not None else config.max_length - len(tokens)
    if limit is None or len(tokens) + new <= limit:
        return tokens
    if new < 0:
        raise OptionError(f"max_length={config.max_length} ends before the prompt of {len(tokens)} tokens does")
    if new >= limit:
        raise OptionError(f"{new} new tokens leave no room for a prompt: the model reads {limit} tokens in all")
    kept = limit - new
    warnings.warn(
        f"the prompt of {len(tokens)} tokens leaves no room for {new} more: {len(tokens) - kept} tokens lost at its "
        "beginning",
        TruncationWarning,
        stacklevel=user_stacklevel(),
    )
    return tokens[-kept:]
