"""A decoder's state in the processor's memory: the graph works in NumPy arrays."""

from __future__ import annotations

import numpy as np

from ..session import Array, Session
from .cache import Buffers, assign, entries
from .memory import KEPT, Feeds, Floats, Ints
from .spare import spare


class HostMemory:
    """See :class:`.memory.Memory`. Rows part from the order of the sequences, so that a reorder moves few of them.

    Args:
        session: the graph.
        feeds: what it is told besides its tokens.
        buffers: the cache, whose rows are in the order of the sequences.
        group: rows of one input.
    """

    def __init__(self, session: Session, feeds: Feeds, buffers: Buffers, group: int = 1) -> None:
        self._session, self._feeds, self._buffers, self._group = session, feeds, buffers, group
        self.rows, self.capacity = buffers.rows, buffers.capacity
        self._binding = session.binding()
        buffers.bind(self._binding)
        for name in feeds.given:
            self._binding.bind_input(name, feeds.encoded[name])
        self._tokens: Ints = np.zeros((self.rows, 1), dtype=np.int64)
        self._logits: Floats = np.empty((self.rows, 1, feeds.vocabulary), dtype=np.float32)
        self._found = self._logits
        self._stepping = False  # whether the arrays of one token a row are bound
        self._place(np.arange(self.rows))

    @classmethod
    def allocate(cls, session: Session, feeds: Feeds, rows: int, capacity: int) -> HostMemory:
        """Memory of an empty cache.

        Raises:
            OptionError: it would not fit.
        """
        return cls(session, feeds, Buffers(entries(session.inputs), rows, capacity, spare(session)))

    def run(self, tokens: Ints, past: Ints, lengths: Ints, kept: int) -> None:
        """Read tokens; see :meth:`.memory.Memory.run`."""
        binding, length = self._binding, tokens.shape[1]
        tokens, past, lengths = self._placed(tokens), self._placed(past), self._placed(lengths)
        binding.bind_input(self._feeds.mask_name, self._feeds.mask(lengths))
        positions = self._feeds.positions(past, length)
        if positions is not None:
            binding.bind_input("position_ids", positions)
        self._found = self._logits
        if length == 1:
            self._tokens[:] = tokens
            if not self._stepping:
                self._bind(self._tokens, 1)
        else:
            self._found = np.empty((len(tokens), kept, self._feeds.vocabulary), dtype=np.float32)
            self._bind(np.ascontiguousarray(tokens), kept)
        self._stepping = length == 1
        binding.run()

    def logits(self) -> Floats:
        """Logits of the last call; see :meth:`.memory.Memory.logits`."""
        return self._found if self._in_order else self._found[self._places]

    def lazy_logits(self) -> Floats:
        """Logits of the last call ``(rows, vocab)``, which the processor has already."""
        return self.logits()[:, 0]

    def bind_output(self, name: str, array: Array) -> None:
        """Have an output written to an array by the calls that follow."""
        self._binding.bind_output(name, array)

    def expand(self, copies: int, lengths: Ints) -> HostMemory:
        """Other memory; see :meth:`.memory.Memory.expand`."""
        buffers = self._buffers.expand(copies, self._places, lengths)
        return HostMemory(self._session, self._feeds, buffers, self._group * copies)

    def reorder(self, parents: Ints, lengths: Ints) -> None:
        """Let sequences continue others; see :meth:`.memory.Memory.reorder`."""
        old, used = self._places[parents], lengths[parents]
        rows = assign(old, self._group)
        for row, parent, length in zip(rows.tolist(), old.tolist(), used.tolist(), strict=True):
            if row != parent:
                self._buffers.take_over(row, parent, length)
        self._place(rows)

    def shorten(self, lengths: Ints) -> None:
        """Forget what lies after the first tokens of each sequence."""
        self._buffers.shorten(self._placed(lengths))

    def _place(self, rows: Ints) -> None:
        self._places = rows
        self._in_order = bool((rows == np.arange(len(rows))).all())

    def _placed(self, values: Ints) -> Ints:
        """What belongs to the sequences, in the order of the rows."""
        if self._in_order:
            return values
        placed = np.empty_like(values)
        placed[self._places] = values
        return placed

    def _bind(self, tokens: Ints, kept: int) -> None:
        self._binding.bind_input("input_ids", tokens)
        self._binding.bind_input(KEPT, np.array(kept, dtype=np.int64))
        self._binding.bind_output("logits", self._found)
