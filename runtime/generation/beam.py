"""Beam search: the hypotheses of each input, those that go on and those that are finished.

The steps and the arithmetic are those of transformers' ``_beam_search``, so that tokens and scores come out the same.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .config import GenerationConfig
from .device_logits import DeviceLogits, read
from .output import Flags, Floats, Ints
from .sampling import draw_several
from .selection import largest
from .stopping import Stopping

# Stands for minus infinity in sums, where a hypothesis is not to be chosen but must stay comparable.
_NEVER = np.float32(-1e9)

_Kind = TypeVar("_Kind", bound=np.generic)


class Beams:
    """The state of a beam search over (inputs, beams) hypotheses.

    Args:
        prompts: (inputs, prompt_length) padded on the left with -1.
        config: the resolved options.
        stop: which hypotheses are finished.
        generator: draws the candidates in beam sampling; the most probable ones are taken if None.

    Attributes:
        done: whether no input can be improved any more.
        indices: (inputs * beams, new tokens): the rows that the finished hypotheses were chosen in, best first.
    """

    def __init__(
        self, prompts: Ints, config: GenerationConfig, stop: Stopping, generator: np.random.Generator | None
    ) -> None:
        inputs, self._prompt_length = prompts.shape
        beams, capacity = config.num_beams, config.max_length
        self._config, self._stop, self._generator = config, stop, generator
        self._inputs, self._beams = inputs, beams
        # A hypothesis can end in as many ways as there are end-of-sequence tokens; some must be left to go on.
        self._candidates = max(2, 1 + len(config.eos_tokens)) * beams
        self._length = self._prompt_length
        self._first_row = np.arange(inputs)[:, None] * beams
        fill = _fill(config)
        self._tokens = np.full((inputs, beams, capacity), fill, dtype=np.int64)
        self._tokens[:, :, : self._length] = prompts[:, None]
        self._origins = np.full((inputs, beams, capacity - self._length), -1, dtype=np.int64)
        # All beams begin alike: only the first one counts.
        self._scores = np.full((inputs, beams), _NEVER)
        self._scores[:, 0] = 0
        self._ended = _Ended(self._tokens, self._origins, fill)
        self._open = np.ones((inputs, 1), dtype=bool)
        self.done = False

    @property
    def history(self) -> Ints:
        """(inputs * beams, length) tokens so far of the hypotheses that go on."""
        return self._tokens.reshape(self._inputs * self._beams, -1)[:, : self._length]

    def advance(self, scores: Floats | DeviceLogits) -> tuple[Ints, Ints]:
        """One more token for every hypothesis.

        Args:
            scores: (inputs * beams, vocab) processed log-probabilities of the next token.

        Returns:
            The tokens of the hypotheses that go on, and the rows that they continue, each (inputs * beams,).
        """
        totals, beam, token = self._choose(scores)
        length = self._length
        tokens = _gather(self._tokens[:, :, : length + 1], beam)
        tokens[:, :, length] = token
        origins = _gather(self._origins[:, :, : length + 1 - self._prompt_length], beam)
        origins[:, :, -1] = beam + self._first_row
        hits = self._stop(tokens.reshape(-1, length + 1)).reshape(self._inputs, -1)
        # Before the scores of those that go on are needed: what just ended may still be among the best.
        self._finish(totals, hits, tokens, origins)
        totals = totals + np.where(hits, _NEVER, np.float32(0))
        kept = np.argsort(-totals, axis=1, kind="stable")[:, : self._beams]
        self._scores = _gather(totals, kept)
        self._tokens[:, :, : length + 1] = _gather(tokens, kept)
        self._origins[:, :, : length + 1 - self._prompt_length] = _gather(origins, kept)
        self._length += 1
        self._close()
        self.done = not self._open.any() or bool(hits.all()) or self._full_everywhere()
        return _gather(token, kept).ravel(), (_gather(beam, kept) + self._first_row).ravel()

    def result(self) -> tuple[Ints, Floats, Ints]:
        """Sequences (rows, length), their scores (rows,), and the rows they came from (rows, new tokens)."""
        count = self._config.num_return_sequences
        origins = self._ended.origins[:, :count].reshape(self._inputs * count, -1)
        longest = int((origins >= 0).sum(axis=1).max())
        tokens = self._ended.tokens[:, :count].reshape(self._inputs * count, -1)[:, : self._prompt_length + longest]
        return tokens, self._ended.scores[:, :count].ravel(), origins[:, :longest]

    @property
    def running(self) -> Flags:
        """(inputs * beams,) whether the hypotheses of an input can still be improved."""
        return self._open.repeat(self._beams, axis=1).ravel() & (not self.done)

    def _choose(self, scores: Floats | DeviceLogits) -> tuple[Floats, Ints, Ints]:
        """The candidates of each input: log-probability of the whole, beam, and token, each (inputs, candidates)."""
        vocabulary = scores.shape[1]
        if self._generator is not None:
            return self._draw(read(scores).reshape(self._inputs, self._beams, vocabulary))
        # The best of an input are among the best of its beams.
        count = min(self._candidates, vocabulary)
        values, tokens = scores.largest(count) if isinstance(scores, DeviceLogits) else largest(scores, count)
        totals = (values.reshape(self._inputs, self._beams, count) + self._scores[:, :, None]).reshape(self._inputs, -1)
        order = np.argsort(-totals, axis=1, kind="stable")[:, : self._candidates]
        return _gather(totals, order), order // count, _gather(tokens.reshape(self._inputs, -1), order)

    def _draw(self, scores: Floats) -> tuple[Floats, Ints, Ints]:
        totals = np.empty((self._inputs, self._candidates), dtype=np.float32)
        beam, token = (np.empty(totals.shape, dtype=np.int64) for _ in range(2))
        for row, (values, before) in enumerate(zip(scores, self._scores, strict=True)):
            beams, tokens = np.nonzero(values != -np.inf)
            possible = values[beams, tokens] + before[beams]
            if len(possible) < self._candidates:
                # Too few are possible: some of the impossible ones fill up.
                beams, tokens = (part.ravel() for part in np.indices(values.shape))
                possible = (values + before[:, None]).ravel()
            places = draw_several(possible, self._candidates, self._generator)  # type: ignore[arg-type]
            totals[row], beam[row], token[row] = possible[places], beams[places], tokens[places]
        return totals, beam, token

    def _finish(self, totals: Floats, hits: Flags, tokens: Ints, origins: Ints) -> None:
        """Take what ended into the finished hypotheses, where it is better than the worst of them."""
        new = hits.copy()
        new[:, self._beams :] = False  # only the best candidates may end
        if not new.any():
            return
        length = self._length + 1 - self._prompt_length
        totals = totals / length**self._config.length_penalty
        full = self._ended.finished.all(axis=1, keepdims=True) & (self._config.early_stopping is True)
        for refused in (full, ~self._open, ~new):
            totals = totals + np.where(refused, _NEVER, np.float32(0))
        self._ended.merge(totals, new, tokens, origins)

    def _close(self) -> None:
        """Close the inputs whose hypotheses that go on cannot be better than the finished ones."""
        penalty, length = self._config.length_penalty, self._length - self._prompt_length
        if self._config.early_stopping == "never" and penalty > 0:
            length = self._config.max_length - self._prompt_length
        best = self._scores[:, :1] / length**penalty
        worst = np.where(self._ended.finished, self._ended.scores.min(axis=1, keepdims=True), _NEVER)
        self._open &= (best > worst).any(axis=1, keepdims=True)

    def _full_everywhere(self) -> bool:
        return self._config.early_stopping is True and bool(self._ended.finished.all())


class _Ended:
    """The finished hypotheses of each input, best first; places that are not taken yet hold something unfinished."""

    def __init__(self, tokens: Ints, origins: Ints, fill: int) -> None:
        self.tokens, self.origins, self._fill = tokens.copy(), origins.copy(), fill
        self.scores: Floats = np.full(tokens.shape[:2], _NEVER, dtype=np.float32)
        self.finished: Flags = np.zeros(tokens.shape[:2], dtype=bool)

    def merge(self, scores: Floats, new: Flags, tokens: Ints, origins: Ints) -> None:
        """Keep the best of these hypotheses and of the new ones (inputs, candidates), shorter than capacity."""
        merged = np.concatenate((self.scores, scores), axis=1)
        kept = np.argsort(-merged, axis=1, kind="stable")[:, : self.scores.shape[1]]
        self.finished = _gather(np.concatenate((self.finished, new), axis=1), kept)
        self.scores = _gather(merged, kept)
        self.tokens = _gather(_joined(self.tokens, tokens, self._fill), kept)
        self.origins = _gather(_joined(self.origins, origins, -1), kept)


def _joined(old: Ints, new: Ints, fill: int) -> Ints:
    """(inputs, n, capacity) and (inputs, m, less), filled up, as (inputs, n + m, capacity)."""
    joined = np.full((len(old), old.shape[1] + new.shape[1], old.shape[2]), fill, dtype=np.int64)
    joined[:, : old.shape[1]] = old
    joined[:, old.shape[1] :, : new.shape[2]] = new
    return joined


def _gather(values: NDArray[_Kind], places: Ints) -> NDArray[_Kind]:
    """(inputs, n, ...) at (inputs, m) places of each input: (inputs, m, ...)."""
    gathered: NDArray[_Kind] = values[np.arange(len(values))[:, None], places]
    return gathered


def _fill(config: GenerationConfig) -> int:
    """What follows the end of a hypothesis; transformers takes a padding token of 0 for none."""
    return config.pad_token_id or (config.eos_tokens or (0,))[0]
