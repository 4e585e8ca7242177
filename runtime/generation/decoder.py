"""One request's decoding on ONNX Runtime: new tokens in, logits out, the cache updated in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..session import Array, Session
from .cache import Buffers, assign, entries

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

KEPT = "num_logits_to_keep"
"""The graph's optional input: for how many of each row's last tokens logits are wanted."""

QUERIES = "cross_queries."
"""What the outputs are called, before a layer's number, that hold the queries of its cross-attention."""


class DecoderState:
    """The model and the cache of some sequences: what a loop written by hand, and the project's own, steps with.

    Tokens, logits and parents are in the order of the sequences. Logits are float32, belong to the caller until the
    next call and may be changed in place.

    Args:
        session: the graph of a decoder whose past and present may be one buffer.
        rows: sequences to begin with.
        capacity: tokens that each may grow to.
        encoded: what the decoder is given of the encoder, by input name; None for a decoder-only model.

    Raises:
        OptionError: the cache would not fit in memory.

    Example:
        >>> state = generator.new_cache(rows=1, capacity=20)      # doctest: +SKIP
        >>> logits = state.prefill(np.array([[1, 5, 7]]), np.array([3]))      # doctest: +SKIP
        >>> logits = state.step(logits.argmax(axis=-1))      # doctest: +SKIP
    """

    def __init__(self, session: Session, rows: int, capacity: int, encoded: Mapping[str, Array] | None = None) -> None:
        self._session = session
        self._names = {spec.name for spec in session.inputs}
        self._mask_name = "attention_mask" if encoded is None else "decoder_attention_mask"
        self._encoded = dict(encoded or {})
        self._vocabulary = int(session.outputs[0].shape[-1])
        self._group = 1  # rows of one input
        self._start(Buffers(entries(session.inputs), rows, capacity))
        self._lengths: Ints = np.zeros(rows, dtype=np.int64)

    @property
    def rows(self) -> int:
        """Sequences."""
        return self._buffers.rows

    @property
    def capacity(self) -> int:
        """Tokens that each sequence may grow to."""
        return self._buffers.capacity

    @property
    def lengths(self) -> Ints:
        """Tokens that each sequence has, int64 ``(rows,)``."""
        return self._lengths[self._places]

    def prefill(self, tokens: Ints, lengths: Ints | None = None) -> Floats:
        """Read the sequences' first tokens.

        Args:
            tokens: int64 ``(rows, length)``, padded on the right.
            lengths: int64 ``(rows,)``; None where no row is padded. An encoder-decoder's rows are never.

        Returns:
            Logits after each row's last token, ``(rows, vocab)``.

        Raises:
            InputError: not one row for each sequence, more tokens than there is room for, or an encoder-decoder's rows
                of unequal lengths, as its graph counts positions for all rows at once.
        """
        self._check(tokens, tokens.shape[1])
        if self._encoded and lengths is not None and (lengths != tokens.shape[1]).any():
            raise InputError(f"an encoder-decoder's rows must begin with as many tokens each, not {lengths.tolist()}")
        self._lengths = np.full(len(tokens), tokens.shape[1]) if lengths is None else lengths.astype(np.int64)
        past = np.zeros(len(tokens), dtype=np.int64)
        logits: Floats = self._run(np.ascontiguousarray(tokens, dtype=np.int64), past)[:, 0]
        return logits

    @property
    def aligned_layers(self) -> list[int]:
        """The layers of which :meth:`queries` knows those of the cross-attention."""
        names = [spec.name for spec in self._session.outputs]
        return [int(name.removeprefix(QUERIES)) for name in names if name.startswith(QUERIES)]

    def queries(self, tokens: Ints, layers: Sequence[int]) -> dict[int, Floats]:
        """Read all tokens at once, for the queries of the cross-attention; nothing can be read after them.

        Args:
            tokens: int64 ``(rows, length)``; what pads a row behind its end changes nothing before it.
            layers: some of :attr:`aligned_layers`.

        Returns:
            By layer ``(rows, length, heads * head)``; their products with the keys are the scores.
        """
        specs = {spec.name: spec for spec in self._session.outputs}
        found: dict[int, Floats] = {}
        for layer in layers:
            spec = specs[f"{QUERIES}{layer}"]
            found[layer] = np.empty((*tokens.shape, int(spec.shape[-1])), dtype=spec.dtype)
            self._binding.bind_output(spec.name, found[layer])
        self.prefill(tokens)
        return found

    def step(self, tokens: Ints) -> Floats:
        """Add one token to each sequence: int64 ``(rows,)`` to logits ``(rows, vocab)``.

        Raises:
            InputError: not one token for each sequence, or no room for it.
        """
        self._check(tokens, 1)
        placed = np.empty((self.rows, 1), dtype=np.int64)
        placed[self._places, 0] = tokens
        past = self._lengths
        self._lengths = past + 1
        logits: Floats = self._run(placed, past)[:, 0]
        return logits if self._in_order else logits[self._places]

    def extend(self, tokens: Ints) -> Floats:
        """Add several tokens to the only sequence: int64 ``(n,)`` to the logits after each, ``(n, vocab)``.

        Raises:
            InputError: there are several sequences, or there is no room.
        """
        if self.rows != 1:
            raise InputError(f"only one sequence can be extended by several tokens at once, not {self.rows}")
        self._check(tokens[None], len(tokens))
        past = self._lengths
        self._lengths = past + len(tokens)
        logits: Floats = self._run(np.ascontiguousarray(tokens[None], dtype=np.int64), past, len(tokens))[0]
        return logits

    def rewind(self, count: int) -> None:
        """Forget the last ``count`` tokens of each sequence."""
        self._lengths = self._lengths - count
        self._buffers.shorten(self._lengths)

    def expand(self, copies: int) -> None:
        """Let every sequence become ``copies`` sequences, which follow each other."""
        if copies == 1:
            return
        lengths = self.lengths
        self._group *= copies
        self._start(self._buffers.expand(copies, self._places, lengths))
        self._lengths = np.repeat(lengths, copies)

    def reorder(self, parents: Ints) -> None:
        """Let sequence i continue what sequence ``parents[i]`` held, of the same input.

        Args:
            parents: int64 ``(rows,)``.
        """
        old = self._places[parents]
        rows = assign(old, self._group)
        for row, parent in zip(rows.tolist(), old.tolist(), strict=True):
            if row != parent:
                self._buffers.take_over(row, parent, int(self._lengths[parent]))
                self._lengths[row] = self._lengths[parent]
        self._place(rows)

    def _start(self, buffers: Buffers) -> None:
        """Begin to use other buffers, whose rows are in the order of the sequences."""
        self._buffers = buffers
        self._binding = self._session.binding()
        buffers.bind(self._binding)
        for name, array in self._encoded.items():
            if name in self._names:
                self._binding.bind_input(name, array)
        self._tokens: Ints = np.zeros((buffers.rows, 1), dtype=np.int64)
        self._logits: Floats = np.empty((buffers.rows, 1, self._vocabulary), dtype=np.float32)
        self._stepping = False  # whether the arrays of one token a row are bound
        self._place(np.arange(buffers.rows))

    def _place(self, rows: Ints) -> None:
        self._places = rows
        self._in_order = bool((rows == np.arange(len(rows))).all())

    def _run(self, tokens: Ints, past: Ints, kept: int = 1) -> Floats:
        """Run the graph on rows in the order of the buffers; logits ``(rows, kept, vocab)``."""
        binding, length = self._binding, tokens.shape[1]
        if length == 1:
            self._tokens[:] = tokens
        total = int(self._lengths.max())
        binding.bind_input(self._mask_name, (np.arange(total) < self._lengths[:, None]).astype(np.int64))
        if "position_ids" in self._names:
            positions = past[:, None] + np.arange(length) if length > 1 else past[:, None]
            binding.bind_input("position_ids", np.ascontiguousarray(positions, dtype=np.int64))
        logits = self._logits
        if length > 1:
            logits = np.empty((len(tokens), kept, self._vocabulary), dtype=np.float32)
            self._bind(tokens, kept, logits)
        elif not self._stepping:
            self._bind(self._tokens, 1, logits)
        self._stepping = length == 1
        binding.run()
        return logits

    def _bind(self, tokens: Ints, kept: int, logits: Floats) -> None:
        self._binding.bind_input("input_ids", tokens)
        self._binding.bind_input(KEPT, np.array(kept, dtype=np.int64))
        self._binding.bind_output("logits", logits)

    def _check(self, tokens: Ints, length: int) -> None:
        if len(tokens) != self.rows:
            raise InputError(f"{len(tokens)} rows of tokens for {self.rows} sequences")
        if int(self._lengths.max(initial=0)) + length > self.capacity:
            raise InputError(f"no room for {length} more tokens: the cache was made for {self.capacity}")
