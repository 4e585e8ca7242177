"""What a generation returns, and what it reports on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .device_logits import DeviceLogits

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float32]
Flags: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Step:
    """One decoding step, while it happens.

    Attributes:
        tokens: (rows,) the token that each row got; the padding token in rows that had ended before.
        scores: (rows, vocab) the processed scores that it was chosen by. Only until the next step is asked for, which
            uses the memory again, a GPU's too: copy them before to keep them, or ask for ``output_scores``.
        running: (rows,) whether the row goes on after this token.
        parents: (rows,) for a beam search, the row of the step before that this row continues; otherwise None.
        provisional: whether a later step may choose another beginning, as the steps of a beam search do.
    """

    tokens: Ints
    _scores: Floats | DeviceLogits
    running: Flags
    parents: Ints | None = None
    provisional: bool = False

    @property
    def scores(self) -> Floats:
        """(rows, vocab), until the next step; from a GPU's memory they are copied each time that they are asked for."""
        return self._scores if isinstance(self._scores, np.ndarray) else self._scores.read()


@dataclass(frozen=True)
class Speculation:
    """How often guessing ahead was right.

    Attributes:
        calls: runs of the model after the prompt.
        guessed: tokens looked up in the text so far.
        accepted: those of them that greedy decoding chose too, each of which saved a run.
    """

    calls: int
    guessed: int
    accepted: int


@dataclass(frozen=True)
class GenerationOutput:
    """The tokens that were generated.

    Attributes:
        sequences: (rows, length) int64: the prompts, padded on the left, or the decoder's first tokens; then the new
            tokens; then padding in rows that ended earlier. Rows are inputs times ``num_return_sequences``.
        prompt_length: how many columns of ``sequences`` were there before.
        scores: with ``output_scores``, (rows, vocab) float32 for each step: what tokens were chosen by. The rows of a
            beam search are inputs times beams, and hold log-probabilities without those of the beams before.
        logits: with ``output_logits``, the same before any processing.
        sequences_scores: (rows,) float32: for a beam search, log-probability / new tokens ** ``length_penalty``.
        beam_indices: (rows, new tokens): for a beam search, the row of ``scores`` that each token was chosen in; -1
            after the end.
        speculation: for prompt lookup, how well it guessed.
    """

    sequences: Ints
    prompt_length: int
    scores: tuple[Floats, ...] | None = None
    logits: tuple[Floats, ...] | None = None
    sequences_scores: Floats | None = None
    beam_indices: Ints | None = None
    speculation: Speculation | None = None

    @property
    def new_tokens(self) -> Ints:
        """(rows, new tokens): ``sequences`` without what was there before."""
        return self.sequences[:, self.prompt_length :]
