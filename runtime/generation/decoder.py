"""One request's decoding on ONNX Runtime: new tokens in, logits out, the cache updated in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import InputError
from ..providers import CUDA
from ..session import Array, Session
from .device import DeviceMemory
from .device_logits import DeviceLogits
from .host import HostMemory
from .memory import Feeds, Floats, Ints, Memory

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
        self._begins_alike = encoded is not None
        self._memory: Memory = memory_class(session).allocate(session, Feeds(session, encoded), rows, capacity)
        self._lengths: Ints = np.zeros(rows, dtype=np.int64)

    @property
    def rows(self) -> int:
        """Sequences."""
        return self._memory.rows

    @property
    def capacity(self) -> int:
        """Tokens that each sequence may grow to."""
        return self._memory.capacity

    @property
    def lengths(self) -> Ints:
        """Tokens that each sequence has, int64 ``(rows,)``."""
        return self._lengths.copy()

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
        self.read(tokens, lengths)
        return self._memory.logits()[:, 0]

    def read(self, tokens: Ints, lengths: Ints | None = None) -> None:
        """Read the sequences' first tokens, as :meth:`prefill` does, and leave the logits where they are."""
        self._check(tokens, tokens.shape[1])
        if self._begins_alike and lengths is not None and (lengths != tokens.shape[1]).any():
            raise InputError(f"an encoder-decoder's rows must begin with as many tokens each, not {lengths.tolist()}")
        self._lengths = np.full(len(tokens), tokens.shape[1]) if lengths is None else lengths.astype(np.int64)
        past = np.zeros(len(tokens), dtype=np.int64)
        self._memory.run(tokens.astype(np.int64, copy=False), past, self._lengths, 1)

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
            self._memory.bind_output(spec.name, found[layer])
        self.prefill(tokens)
        return found

    def step(self, tokens: Ints) -> Floats:
        """Add one token to each sequence: int64 ``(rows,)`` to logits ``(rows, vocab)``.

        Raises:
            InputError: not one token for each sequence, or no room for it.
        """
        self.add(tokens)
        return self._memory.logits()[:, 0]

    def add(self, tokens: Ints) -> None:
        """Add one token to each sequence, as :meth:`step` does, and leave the logits where they are."""
        self._check(tokens, 1)
        past = self._lengths
        self._lengths = past + 1
        self._memory.run(tokens.astype(np.int64, copy=False)[:, None], past, self._lengths, 1)

    def lazy_logits(self) -> Floats | DeviceLogits:
        """The logits of :meth:`read` or :meth:`add`, ``(rows, vocab)``: in a GPU's memory until they are looked at."""
        return self._memory.lazy_logits()

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
        self._memory.run(tokens[None].astype(np.int64, copy=False), past, self._lengths, len(tokens))
        logits: Floats = self._memory.logits()[0]
        return logits

    def rewind(self, count: int) -> None:
        """Forget the last ``count`` tokens of each sequence."""
        self._lengths = self._lengths - count
        self._memory.shorten(self._lengths)

    def expand(self, copies: int) -> None:
        """Let every sequence become ``copies`` sequences, which follow each other."""
        if copies == 1:
            return
        self._memory = self._memory.expand(copies, self._lengths)
        self._lengths = np.repeat(self._lengths, copies)

    def reorder(self, parents: Ints) -> None:
        """Let sequence i continue what sequence ``parents[i]`` held, of the same input.

        Args:
            parents: int64 ``(rows,)``.
        """
        self._memory.reorder(parents, self._lengths)
        self._lengths = self._lengths[parents]

    def _check(self, tokens: Ints, length: int) -> None:
        if len(tokens) != self.rows:
            raise InputError(f"{len(tokens)} rows of tokens for {self.rows} sequences")
        if int(self._lengths.max(initial=0)) + length > self.capacity:
            raise InputError(f"no room for {length} more tokens: the cache was made for {self.capacity}")


def memory_class(session: Session) -> type[HostMemory] | type[DeviceMemory]:
    """Where the state of a graph lies: on the GPU where the graph runs there."""
    return DeviceMemory if CUDA in session.providers else HostMemory


class LazyDecoder:
    """A decoder for :func:`.loop.decode`, whose logits stay in a GPU's memory until they are looked at.

    Args:
        state: what it steps with.
    """

    def __init__(self, state: DecoderState) -> None:
        self._state = state
        self.extend, self.rewind = state.extend, state.rewind
        self.expand, self.reorder = state.expand, state.reorder

    def prefill(self, tokens: Ints, lengths: Ints) -> Floats | DeviceLogits:
        """Read the prompts: the logits after each."""
        self._state.read(tokens, lengths)
        return self._state.lazy_logits()

    def step(self, tokens: Ints) -> Floats | DeviceLogits:
        """Read one token for each row: the logits after it."""
        self._state.add(tokens)
        return self._state.lazy_logits()
