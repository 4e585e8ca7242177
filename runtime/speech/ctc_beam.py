"""Prefix beam search over the frames of a CTC model, without a language model."""

from __future__ import annotations

from heapq import nlargest
from math import exp, inf, log1p
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .ctc_collapse import Emission

# Tokens less likely than this in a frame, and prefixes so much less likely than the best, are not followed (as in
# pyctcdecode, natural logarithms).
TOKEN_MIN_LOGP = -5.0
BEAM_PRUNE_LOGP = -10.0

# An alignment, last emission first: what was emitted before, token, first frame, end frame.
_Path: TypeAlias = "tuple[_Path, int, int, int] | None"


class Likely(NamedTuple):
    """The tokens worth following in some frames, of which there are few.

    Attributes:
        ends: (frames,), where each frame's tokens end among all.
        tokens: (count,), their ids.
        log_probs: (count,), their natural logarithms.
    """

    ends: NDArray[np.int64]
    tokens: NDArray[np.int64]
    log_probs: NDArray[np.floating[Any]]


def likely(log_probs: NDArray[np.floating[Any]], token_min_logp: float = TOKEN_MIN_LOGP) -> Likely:
    """The likeliest token of each frame, and all that are not less likely than ``token_min_logp``.

    Args:
        log_probs: (frames, vocab), natural logarithms.
        token_min_logp: the least log-probability.
    """
    chosen = log_probs >= token_min_logp
    chosen[np.arange(len(log_probs)), log_probs.argmax(axis=1)] = True
    rows, tokens = np.nonzero(chosen)
    return Likely(chosen.sum(axis=1).cumsum(), tokens, log_probs[rows, tokens])


class _Prefix:
    """What is known of one prefix: the tokens that some alignments of the frames so far collapse to.

    Attributes:
        last: its last token, -1 where it has none.
        blank, token: log-probability of the alignments that end in a blank, and in its last token.
        best_blank, best_token: log-probability of the likeliest alignment of each kind.
        path_blank, path_token: those alignments.
    """

    __slots__ = ("best_blank", "best_token", "blank", "last", "path_blank", "path_token", "token")

    def __init__(self, last: int) -> None:
        self.last = last
        self.blank = self.token = self.best_blank = self.best_token = -inf
        self.path_blank: _Path = None
        self.path_token: _Path = None

    @property
    def total(self) -> float:
        return log_add(self.blank, self.token)

    @property
    def best(self) -> tuple[float, _Path]:
        """Log-probability of the likeliest alignment, and this alignment; of equals the earlier."""
        if self.best_blank >= self.best_token:
            return self.best_blank, self.path_blank
        return self.best_token, self.path_token

    def end_in_blank(self, logp: float, best: float, path: _Path) -> None:
        """Add alignments that end in a blank."""
        self.blank = log_add(self.blank, logp)
        if best > self.best_blank:
            self.best_blank, self.path_blank = best, path

    def end_in_token(self, logp: float, best: float, path: _Path) -> None:
        """Add alignments that end in the prefix's last token."""
        self.token = log_add(self.token, logp)
        if best > self.best_token:
            self.best_token, self.path_token = best, path


class PrefixBeamSearch:
    """The likeliest tokens given the frames of a CTC model (Graves 2012; Hannun et al. 2014), frames as they come.

    The log-probability of a prefix is that of all its alignments together. Beside it goes the likeliest of them,
    which tells when each token was emitted: a Viterbi alignment of the chosen tokens, among what the beam followed.

    Args:
        width: prefixes that are kept from frame to frame.
        blank: CTC's blank.
        beam_prune_logp: prefixes so much less likely than the best are dropped.

    Example:
        >>> search = PrefixBeamSearch(width=8, blank=0)
        >>> search.advance(likely(np.log([[0.6, 0.4], [0.6, 0.4]])))  # the best path is two blanks, but 0.64 > 0.36
        >>> search.best()
        [Emission(token=1, start=0, end=1)]
    """

    def __init__(self, width: int, blank: int, *, beam_prune_logp: float = BEAM_PRUNE_LOGP) -> None:
        self._width, self._blank, self._beam_prune_logp = width, blank, beam_prune_logp
        self._frame = 0
        nothing = _Prefix(-1)
        nothing.blank = nothing.best_blank = 0.0
        # By a hash of the tokens: the tokens themselves would make each frame cost as much as all before it.
        self._prefixes = {0: nothing}

    def advance(self, frames: Likely) -> None:
        """Take in further frames."""
        candidates = list(zip(frames.tokens.tolist(), frames.log_probs.tolist(), strict=True))
        start = 0
        for end in frames.ends.tolist():
            self._step(candidates[start:end])
            start = end

    def hypotheses(self) -> list[tuple[list[Emission], float]]:
        """The token sequences that were kept, likeliest first, with their log-probabilities."""
        ranked = sorted(self._prefixes.values(), key=lambda prefix: -prefix.total)
        return [(_emissions(prefix.best[1]), prefix.total) for prefix in ranked]

    def best(self) -> list[Emission]:
        """The likeliest token sequence."""
        return _emissions(max(self._prefixes.values(), key=lambda prefix: prefix.total).best[1])

    def _step(self, candidates: list[tuple[int, float]]) -> None:
        """One frame.

        Args:
            candidates: the tokens to follow, with their log-probabilities.
        """
        found: dict[int, _Prefix] = {}
        for key, prefix in self._prefixes.items():
            total, (best, path) = prefix.total, prefix.best
            for token, logp in candidates:
                if token == self._blank:
                    _entry(found, key, prefix.last).end_in_blank(total + logp, best + logp, path)
                elif token != prefix.last:
                    longer = _entry(found, hash((key, token)), token)
                    longer.end_in_token(total + logp, best + logp, self._emit(path, token))
                else:
                    self._repeat(found, key, prefix, logp)
        self._frame += 1
        self._prefixes = self._pruned(found)

    def _repeat(self, found: dict[int, _Prefix], key: int, prefix: _Prefix, logp: float) -> None:
        """The last token once more: it goes on, or after a blank it is another one."""
        token = prefix.last
        if prefix.token > -inf and prefix.path_token is not None:
            before, _, start, _ = prefix.path_token
            path = (before, token, start, self._frame + 1)
            _entry(found, key, token).end_in_token(prefix.token + logp, prefix.best_token + logp, path)
        if prefix.blank > -inf:
            path = self._emit(prefix.path_blank, token)
            longer = _entry(found, hash((key, token)), token)
            longer.end_in_token(prefix.blank + logp, prefix.best_blank + logp, path)

    def _emit(self, path: _Path, token: int) -> tuple[_Path, int, int, int]:
        return path, token, self._frame, self._frame + 1

    def _pruned(self, found: dict[int, _Prefix]) -> dict[int, _Prefix]:
        scored = [(prefix.total, key) for key, prefix in found.items()]
        floor = max(scored)[0] + self._beam_prune_logp
        kept = nlargest(self._width, scored) if len(scored) > self._width else scored
        return {key: found[key] for total, key in kept if total >= floor}


def log_softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Logarithms of probabilities along the last axis, in float32."""
    shifted = logits.astype(np.float32)
    shifted -= shifted.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def log_add(a: float, b: float) -> float:
    """``log(exp(a) + exp(b))`` without overflow."""
    if a < b:
        a, b = b, a
    return a if b == -inf else a + log1p(exp(b - a))


def _entry(found: dict[int, _Prefix], key: int, last: int) -> _Prefix:
    prefix = found.get(key)
    if prefix is None:
        prefix = found[key] = _Prefix(last)
    return prefix


def _emissions(path: _Path) -> list[Emission]:
    found = []
    while path is not None:
        path, token, start, end = path
        found.append(Emission(token, start, end))
    return found[::-1]
