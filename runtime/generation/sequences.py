"""Processors that look at sequences: n-grams that may not come again, and words that are favoured or banned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..errors import OptionError
from .output import Flags, Floats, Ints


class NGrams:
    """No n-gram may come a second time.

    Only n-grams that begin with the last ``size - 1`` tokens can be completed by the next one: they are found by
    comparing whole columns, without a table.
    """

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, tokens: Ints, scores: Floats) -> Floats:
        """Tokens (rows, length) and scores (rows, vocab) to scores."""
        begin = tokens.shape[1] - self._size + 1
        if begin > 0:
            _ban(scores, _followed(tokens, begin, tokens[:, begin:]), tokens[:, self._size - 1 :])
        return scores


class EncoderNGrams:
    """No n-gram of the input may come in the answer."""

    def __init__(self, size: int, encoder_tokens: Ints) -> None:
        self._size, self._tokens = size, encoder_tokens

    def __call__(self, tokens: Ints, scores: Floats) -> Floats:
        """Tokens (rows, length) and scores (rows, vocab) to scores."""
        count, begin = self._tokens.shape[1] - self._size + 1, tokens.shape[1] - self._size + 1
        if begin >= 0 and count > 0:
            source = self._tokens.repeat(len(tokens) // len(self._tokens), axis=0)
            _ban(scores, _followed(source, count, tokens[:, begin:]), source[:, self._size - 1 :])
        return scores


def _followed(tokens: Ints, count: int, suffix: Ints) -> Flags:
    """Where, among the first ``count`` columns, each row's suffix (rows, n) begins: (rows, count)."""
    # Padding is no token: a suffix that reaches into it begins nothing.
    whole = (suffix >= 0).all(axis=1, keepdims=True)
    same: Flags = np.broadcast_to(whole, (len(tokens), count))
    for place in range(suffix.shape[1]):
        same = same & (tokens[:, place : place + count] == suffix[:, place, None])
    return same


def _ban(scores: Floats, found: Flags, following: Ints) -> None:
    rows, places = np.nonzero(found)
    tokens = following[rows, places]
    valid = (tokens >= 0) & (tokens < scores.shape[1])
    scores[rows[valid], tokens[valid]] = -np.inf


class SequenceBias:
    """A bias is added to the token that would complete a sequence.

    Args:
        biases: by sequence of ids.
        name: of the option, for the error.
    """

    def __init__(self, biases: Mapping[tuple[int, ...], float], name: str) -> None:
        self._name = name
        self._highest = max(max(sequence) for sequence in biases)
        # One column for each token that ends a sequence: biases that fall on the same token add up first.
        self._columns = np.unique([sequence[-1] for sequence in biases])
        self._always = np.zeros(len(self._columns), dtype=np.float32)
        groups: dict[int, list[tuple[int, ...]]] = {}
        for sequence, bias in biases.items():
            if len(sequence) == 1:
                self._always[np.searchsorted(self._columns, sequence[0])] = bias
            else:
                groups.setdefault(len(sequence) - 1, []).append(sequence)
        self._groups = [
            (
                np.array([sequence[:-1] for sequence in group]),
                np.searchsorted(self._columns, [sequence[-1] for sequence in group]),
                np.array([biases[sequence] for sequence in group], dtype=np.float32),
            )
            for group in groups.values()
        ]

    def __call__(self, tokens: Ints, scores: Floats) -> Floats:
        """Tokens (rows, length) and scores (rows, vocab) to scores."""
        if self._highest >= scores.shape[1]:
            raise OptionError(f"{self._name} has token {self._highest}, beyond the vocabulary of {scores.shape[1]}")
        total = np.tile(self._always, (len(scores), 1))
        for prefixes, columns, biases in self._groups:
            length = prefixes.shape[1]
            if length <= tokens.shape[1]:
                complete = (tokens[:, None, -length:] == prefixes).all(axis=2)
                rows, which = np.nonzero(complete)
                np.add.at(total, (rows, columns[which]), biases[which])
        scores[:, self._columns] += total
        return scores


def bad_words(words: Iterable[Sequence[int]], eos: Sequence[int]) -> dict[tuple[int, ...], float]:
    """The biases that ban words; an end-of-sequence token alone is not banned, as it would never end."""
    return {tuple(word): -np.inf for word in words if not (len(word) == 1 and word[0] in eos)}
