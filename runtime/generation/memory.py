"""What a decoder's state is run in: the cache, the arrays bound to the graph, and the logits of the last call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..session import Array, Session
from .device_logits import DeviceLogits

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

KEPT = "num_logits_to_keep"
"""The graph's optional input: for how many of each row's last tokens logits are wanted."""


class Memory(Protocol):
    """The cache of some sequences, and the graph bound to it. Everything is in the order of the sequences.

    Attributes:
        rows: sequences.
        capacity: tokens that each may grow to.
    """

    rows: int
    capacity: int

    def run(self, tokens: Ints, past: Ints, lengths: Ints, kept: int) -> None:
        """Read tokens.

        Args:
            tokens: int64 ``(rows, length)``, padded on the right.
            past: int64 ``(rows,)``: tokens of each sequence before these.
            lengths: int64 ``(rows,)``: and after them.
            kept: for how many of the last tokens logits are wanted.
        """
        ...

    def logits(self) -> Floats:
        """Logits of the last call in the processor's memory, ``(rows, kept, vocab)``, to be changed in place."""
        ...

    def lazy_logits(self) -> Floats | DeviceLogits:
        """Logits of the last call, of which one was kept, where they are: ``(rows, vocab)``."""
        ...

    def bind_output(self, name: str, array: Array) -> None:
        """Have an output written to the processor's memory by the calls that follow."""
        ...

    def expand(self, copies: int, lengths: Ints) -> Memory:
        """Other memory in which every sequence, of so many tokens, stands ``copies`` times in a row."""
        ...

    def reorder(self, parents: Ints, lengths: Ints) -> None:
        """Let sequence i hold what ``parents[i]``, of the same input, held; ``lengths`` are those before."""
        ...

    def shorten(self, lengths: Ints) -> None:
        """Forget what lies after the first tokens of each sequence."""
        ...


class Feeds:
    """What a decoder's graph is told at each call besides its tokens.

    Args:
        session: the graph.
        encoded: what the decoder is given of the encoder, by input name; None for a decoder-only model.
    """

    def __init__(self, session: Session, encoded: Mapping[str, Array] | None) -> None:
        self._names = {spec.name for spec in session.inputs}
        self.mask_name = "attention_mask" if encoded is None else "decoder_attention_mask"
        self.encoded = encoded or {}
        self.given = [name for name in self.encoded if name in self._names]  # to the decoder
        self.vocabulary = int(session.outputs[0].shape[-1])

    def mask(self, lengths: Ints) -> Ints:
        """int64 ``(rows, longest)``, 0 where a row has ended."""
        return (np.arange(int(lengths.max())) < lengths[:, None]).astype(np.int64)

    def positions(self, past: Ints, length: int) -> Ints | None:
        """int64 ``(rows, length)``, where the graph wants them."""
        if "position_ids" not in self._names:
            return None
        positions = past[:, None] + np.arange(length) if length > 1 else past[:, None]
        return np.ascontiguousarray(positions, dtype=np.int64)
