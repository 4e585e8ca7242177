"""Decoding with the graphs of other exporters, whose cache comes back longer from every call.

Optimum and transformers.js split a decoder in two files, for the first call and those after it, merge both into one
that is told which by ``use_cache_branch``, or have one graph for both whose first cache is empty.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..manifest import TensorSpec
from ..session import Array, Session
from .cache import check_fits, entries

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

_BRANCH, _POSITIONS = "use_cache_branch", "position_ids"
_ENCODER_STATES = "encoder_hidden_states"


class GrowingState:
    """The same as :class:`.decoder.DecoderState`, over a cache that is copied by every call.

    Args:
        first: the graph of the first call.
        later: the graph of the calls after it; the same one where it serves both.
        rows: sequences to begin with.
        capacity: tokens that each may grow to.
        encoded: what the decoder is given of the encoder, by input name; None for a decoder-only model.

    Raises:
        OptionError: the cache would not fit in memory.
    """

    def __init__(
        self, first: Session, later: Session, rows: int, capacity: int, encoded: Mapping[str, Array] | None = None
    ) -> None:
        check_fits(entries(later.inputs), rows, capacity)
        self._first, self._later = first, later
        self._specs = {spec.name: spec for spec in (*first.inputs, *later.inputs)}
        self._encoded = dict(encoded or {})
        self.rows, self.capacity = rows, capacity
        self._past: dict[str, Array] = {}
        self._mask: Ints = np.zeros((rows, 0), dtype=np.int64)

    @property
    def lengths(self) -> Ints:
        """Tokens that each sequence has, int64 ``(rows,)``."""
        lengths: Ints = self._mask.sum(axis=1)
        return lengths

    def prefill(self, tokens: Ints, lengths: Ints | None = None) -> Floats:
        """Read the sequences' first tokens; see :meth:`.decoder.DecoderState.prefill`."""
        length = tokens.shape[1]
        if lengths is None:
            lengths = np.full(len(tokens), length)
        if (lengths != length).any() and ("attention_mask" not in self._specs or _POSITIONS not in self._specs):
            raise InputError("the graph is not told where rows are padded: generate from one text at a time")
        mask = (np.arange(length) < lengths[:, None]).astype(np.int64)
        logits = self._run(self._first, tokens, mask)
        return np.ascontiguousarray(logits[np.arange(len(tokens)), lengths - 1], dtype=np.float32)

    def step(self, tokens: Ints) -> Floats:
        """Add one token to each sequence; see :meth:`.decoder.DecoderState.step`."""
        logits = self._run(self._later, tokens[:, None], np.ones((self.rows, 1), dtype=np.int64))
        return np.ascontiguousarray(logits[:, -1], dtype=np.float32)

    def extend(self, tokens: Ints) -> Floats:
        """Add several tokens to the only sequence; see :meth:`.decoder.DecoderState.extend`."""
        if self.rows != 1:
            raise InputError(f"only one sequence can be extended by several tokens at once, not {self.rows}")
        logits = self._run(self._later, tokens[None], np.ones((1, len(tokens)), dtype=np.int64))
        return np.ascontiguousarray(logits[0], dtype=np.float32)

    def rewind(self, count: int) -> None:
        """Forget the last ``count`` tokens of each sequence."""
        if count:
            self._mask = self._mask[:, :-count]
            self._past = {
                name: array if _is_cross(name) else array[:, :, :-count] for name, array in self._past.items()
            }

    def expand(self, copies: int) -> None:
        """Let every sequence become ``copies`` sequences, which follow each other."""
        self._take(np.arange(self.rows).repeat(copies))
        self._encoded = {name: array.repeat(copies, axis=0) for name, array in self._encoded.items()}

    def reorder(self, parents: Ints) -> None:
        """Let sequence i continue what sequence ``parents[i]`` held, of the same input."""
        if (parents != np.arange(len(parents))).any():
            self._take(parents)

    def _take(self, rows: Ints) -> None:
        self.rows = len(rows)
        self._mask = self._mask[rows]
        self._past = {name: array[rows] for name, array in self._past.items()}

    def _run(self, session: Session, tokens: Ints, mask: Ints) -> Array:
        """Run a graph and keep the cache that it returns; logits ``(rows, length, vocab)``."""
        if len(tokens) != self.rows or self._mask.shape[1] + tokens.shape[1] > self.capacity:
            raise InputError(
                f"{tokens.shape} tokens for {self.rows} sequences of {self._mask.shape[1]} tokens: the cache was made "
                f"for {self.capacity}"
            )
        begun = bool(self._past)
        past = self.lengths
        self._mask = np.concatenate([self._mask, mask], axis=1)
        feeds: dict[str, Array] = {"input_ids": tokens, "attention_mask": self._mask, **self._encoded}
        feeds[_POSITIONS] = past[:, None] + np.arange(tokens.shape[1])
        feeds["decoder_attention_mask"] = self._mask
        feeds[_BRANCH] = np.array([begun])
        feeds |= self._past if begun else {spec.name: self._empty(spec) for spec in session.inputs if _is_past(spec)}
        outputs = session.run(feeds)
        for name, array in outputs.items():
            source = name.replace("present", "past_key_values")
            # A merged graph returns nothing for the cross keys and values that it was given.
            if source != name and not (begun and _is_cross(name)):
                self._past[source] = array
        return outputs["logits"]

    def _empty(self, spec: TensorSpec) -> Array:
        _, heads, _, head = spec.shape
        return np.zeros((self.rows, int(heads), 0, int(head)), dtype=spec.dtype)


def _is_past(spec: TensorSpec) -> bool:
    return spec.name.startswith("past_key_values.")


def _is_cross(name: str) -> bool:
    return ".encoder." in name
