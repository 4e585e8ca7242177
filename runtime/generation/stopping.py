"""When a row ends: its end-of-sequence token, a stop string, its length, the time, or the caller's own rule."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..errors import OptionError
from ..tokenizer import Tokenizer
from .config import GenerationConfig
from .output import Flags, Ints

# tokens (rows, length), padded on the left with -1, to (rows,) flags, or one for all.
StopRule: TypeAlias = Callable[[Ints], Flags | Sequence[bool] | bool]


class Stopping:
    """Every rule of one request; time is counted from here.

    Args:
        config: the resolved options.
        tokenizer: what stop strings are looked up with.
        rule: the caller's own.

    Example:
        >>> stop = Stopping(GenerationConfig(max_length=9, eos_token_id=[3, 4]))
        >>> stop(np.array([[5, 3], [3, 5], [-1, 4]])).tolist()
        [True, False, True]
    """

    def __init__(
        self, config: GenerationConfig, tokenizer: Tokenizer | None = None, rule: StopRule | None = None
    ) -> None:
        self._max_length = config.max_length
        self._eos = np.array(config.eos_tokens, dtype=np.int64)
        self._deadline = None if config.max_time is None else time.monotonic() + config.max_time
        self._strings = None
        if config.stop_strings:
            if tokenizer is None:
                raise OptionError(f"stop_strings={config.stop_strings!r} need a tokenizer")
            self._strings = StopStrings(tokenizer, config.stop_strings)
        self._rule = rule

    def __call__(self, tokens: Ints) -> Flags:
        """Which rows of ``tokens`` (rows, length), left-padded with -1, end with their last token: (rows,)."""
        rows, length = tokens.shape
        if length >= self._max_length:
            return np.ones(rows, dtype=bool)
        last = tokens[:, -1]
        ended: Flags = last == self._eos[0] if len(self._eos) else np.zeros(rows, dtype=bool)
        for token in self._eos[1:]:
            ended |= last == token
        if self._strings is not None:
            ended |= self._strings(tokens)
        if self._deadline is not None and time.monotonic() > self._deadline:
            ended[:] = True
        if self._rule is not None:
            ended |= self._asked(self._rule, tokens)
        return ended

    @staticmethod
    def _asked(rule: StopRule, tokens: Ints) -> Flags:
        answer = np.asarray(rule(tokens))
        if answer.dtype != bool or answer.shape not in ((), (len(tokens),)):
            raise OptionError(
                f"stopping must return True, False, or {len(tokens)} of them, not {answer.dtype} {answer.shape}"
            )
        return answer


class StopStrings:
    """Whether the last token completes a text, anywhere inside it.

    Tokens are compared by the bytes that they stand for in the middle of a text, as in transformers'
    ``StopStringCriteria``, so that a stop string may begin and end inside tokens.

    Args:
        tokenizer: whose tokens these are.
        strings: the texts.
    """

    def __init__(self, tokenizer: Tokenizer, strings: Sequence[str]) -> None:
        self._strings = [string.encode() for string in strings]
        self._longest = max(map(len, self._strings))
        self._pieces = TokenBytes(tokenizer)

    def __call__(self, tokens: Ints) -> Flags:
        """(rows, length) to (rows,)."""
        return np.array([self._complete(row) for row in tokens], dtype=bool)

    def _complete(self, row: Ints) -> bool:
        text, position = self._pieces[int(row[-1])], len(row) - 1
        wanted = len(text) + self._longest - 1
        while len(text) < wanted and position > 0 and row[position - 1] >= 0:
            position -= 1
            text = self._pieces[int(row[position])] + text
        # What comes before the last token is cut shorter than any stop string, so that the last token completes it.
        return any(string in text[-(wanted - self._longest + len(string)) :] for string in self._strings)


class TokenBytes(dict[int, bytes]):
    """The bytes of each token in the middle of a text, looked up when first asked for."""

    _CONTEXT = "abcdef"  # what follows it in a text of tokens is the last token's own

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        decoder = tokenizer.backend.decoder
        kinds = _kinds(json.loads(decoder.__getstate__())) if decoder is not None else set()
        self._level = _byte_level() if "ByteLevel" in kinds and "ByteFallback" not in kinds else {}
        self._fallback = "ByteFallback" in kinds
        (encoding,) = tokenizer.encode([self._CONTEXT], truncation=None, special_tokens=False)
        self._before = encoding.tokens

    def __missing__(self, token: int) -> bytes:
        piece = self[token] = self._bytes(self._tokenizer.backend.id_to_token(token) or "")
        return piece

    def _bytes(self, token: str) -> bytes:
        if self._level and all(character in self._level for character in token):
            return bytes(self._level[character] for character in token)
        if self._fallback and len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            return bytes.fromhex(token[3:5])
        text = self._tokenizer.join([*self._before, token])
        _, found, after = text.partition(self._CONTEXT)
        if not found:  # a vocabulary of words, which does not know these letters
            before = self._tokenizer.join(self._before)
            after = text.removeprefix(before) if text.startswith(before) else self._tokenizer.join([token])
        return after.encode()


def _kinds(decoder: Any) -> set[str]:
    """The types of a decoder and of those that it is made of."""
    if isinstance(decoder, dict):
        return {str(decoder.get("type"))}.union(*map(_kinds, decoder.values()))
    return set().union(*map(_kinds, decoder)) if isinstance(decoder, list) else set()


def _byte_level() -> dict[str, int]:
    """The byte that each character of a byte-level vocabulary stands for (GPT-2's table)."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in set(shown)]
    table = {chr(byte): byte for byte in shown}
    return table | {chr(256 + place): byte for place, byte in enumerate(hidden)}
