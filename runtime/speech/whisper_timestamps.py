"""Which tokens of times may come next in Whisper's text, and the reading of a window's text into segments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..generation.output import Floats, Ints

TIME_PRECISION = 0.02
"""Seconds from one timestamp token to the next."""
FRAMES_PER_TIMESTAMP = 2
"""Feature frames from one timestamp token to the next."""


class TimestampRules:
    """A processor of scores that lets timestamps come in pairs, in order, and first; as in openai/whisper.

    Where timestamps together are more probable than any other token, one of them comes.

    Args:
        no_timestamps: the token <|notimestamps|>; those behind it are times.
        end: the end-of-sequence token, the first that is no text.
        begin: tokens that were there before the first new one.
        last_first: the latest first timestamp, counted in timestamps from 0; None for any.
    """

    def __init__(self, no_timestamps: int, end: int, begin: int, last_first: int | None = None) -> None:
        self._none, self._first, self._end = no_timestamps, no_timestamps + 1, end
        self._begin, self._last_first = begin, last_first

    def __call__(self, tokens: Ints, scores: Floats) -> Floats:
        """Tokens (rows, length) and scores (rows, vocab) to scores."""
        scores[:, self._none] = -np.inf
        for row, sampled in enumerate(tokens[:, self._begin :]):
            self._rule_out(sampled, scores[row])
        if tokens.shape[1] == self._begin:
            scores[:, : self._first] = -np.inf
            if self._last_first is not None:
                scores[:, self._first + self._last_first + 1 :] = -np.inf
        times, text = scores[:, self._first :], scores[:, : self._first]
        # The sum of a softmax's numerators: its denominator is the same on both sides.
        likely = _log_sum_exp(times) > text.max(axis=1)
        scores[likely, : self._first] = -np.inf
        return scores

    def _rule_out(self, sampled: Ints, scores: Floats) -> None:
        """Let no timestamp stand alone, or before the last one: (new tokens,) and (vocab,)."""
        if not len(sampled):
            return
        last_is_time = sampled[-1] >= self._first
        one_before = len(sampled) < 2 or sampled[-2] >= self._first
        if last_is_time:
            if one_before:
                scores[self._first :] = -np.inf
            else:
                scores[: self._end] = -np.inf
        times = sampled[sampled >= self._first]
        if len(times):
            # The time at which a segment ended may be repeated, as the begin of the next one.
            allowed = times[-1] if last_is_time and not one_before else times[-1] + 1
            scores[self._first : allowed] = -np.inf


def _log_sum_exp(scores: Floats) -> NDArray[np.float32]:
    """Of each row, (rows, n) to (rows,); minus infinity where all are."""
    highest = scores.max(axis=1, keepdims=True)
    shift = np.where(np.isfinite(highest), highest, 0)
    with np.errstate(divide="ignore"):
        total: NDArray[np.float32] = np.log(np.exp(scores - shift).sum(axis=1)) + shift[:, 0]
    return total


def split(tokens: Sequence[int], timestamps_from: int, frames: int) -> tuple[list[slice], int]:
    """A window's text as segments, and how many feature frames of the window they cover.

    Two timestamps in a row end a segment. What follows the last pair was cut off by the window's end and is left to
    the next window, unless a single timestamp closes it: then nothing is said until the window's end.

    Args:
        tokens: the window's text, without the end-of-sequence token.
        timestamps_from: the first token that is a time.
        frames: feature frames that the window has.

    Example:
        >>> split([100, 7, 8, 150, 150, 9], timestamps_from=100, frames=3000)
        ([slice(0, 5, None)], 100)
    """
    times = [token >= timestamps_from for token in tokens]
    ends = [place for place in range(1, len(tokens)) if times[place - 1] and times[place]]
    if not ends:
        return [slice(0, len(tokens))], frames
    closed = times[-2:] == [False, True]
    if closed:
        ends.append(len(tokens))
    else:
        ends[-1] += 1  # with both of its last timestamps, as what is said next has none
    segments = [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]
    if closed:
        return segments, frames
    return segments, (tokens[ends[-1] - 2] - timestamps_from) * FRAMES_PER_TIMESTAMP
