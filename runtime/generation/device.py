"""A decoder's state in a GPU's memory: the graph works there, and tokens and masks are what is copied to it.

The cache lies where the graph reads it: in the processor's memory where its attention has no kernel on the GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np

from ..binding import Binding, DeviceArray, Place
from ..session import Array, Session
from .cache import Entry, check_fits, entries
from .device_logits import DeviceLogits
from .encoded import resident
from .kernels import kernels
from .memory import KEPT, Feeds, Floats, Ints


class DeviceBuffers:
    """Keys and values of every layer for some rows, with room for ``capacity`` tokens each, as :class:`.cache.Buffers`.

    Layers of one size lie behind each other, so that one copy within the device's memory rearranges all of them.

    Args:
        declared: the cached tensors.
        rows: sequences.
        capacity: tokens that each may grow to.
        place: the memory.

    Raises:
        OptionError: it does not fit there.
    """

    def __init__(self, declared: Sequence[Entry], rows: int, capacity: int, place: Place) -> None:
        if place.kind == "cpu":
            check_fits(declared, rows, capacity)
        self._declared, self._place = list(declared), place
        self.rows, self.capacity = rows, capacity
        self._room = capacity + capacity % 2  # so that numbers of 16 bits are copied in pairs
        ordered = sorted(declared, key=self._numbers)
        self._groups = {numbers: list(group) for numbers, group in groupby(ordered, self._numbers)}
        self._arrays = {
            numbers: DeviceArray(place, (len(group), rows, numbers), "float32")
            for numbers, group in self._groups.items()
        }

    def clear(self) -> DeviceBuffers:
        """Fill all of it with zeros: what is not a number would stay so, whatever weight it has."""
        for array in self._arrays.values():
            kernels(self._place).clear(array)
        return self

    def like(self, copies: int = 1) -> DeviceBuffers:
        """Other buffers, with ``copies`` times as many rows."""
        return DeviceBuffers(self._declared, self.rows * copies, self.capacity, self._place)

    def take(self, source: DeviceBuffers, rows: Ints) -> DeviceBuffers:
        """Let row i hold what row ``rows[i]`` of other buffers holds."""
        for numbers, array in self._arrays.items():
            kernels(self._place).take(source._arrays[numbers], array, rows)
        return self

    def bind(self, binding: Binding) -> None:
        """Make each buffer both the past that the graph reads and the present that it writes."""
        for numbers, group in self._groups.items():
            for number, entry in enumerate(group):
                shape = (self.rows, entry.heads, self._room, entry.head)
                part = self._arrays[numbers].part(4 * number * self.rows * numbers, shape, entry.dtype)
                binding.bind_inplace(entry.past, entry.present, part)

    def _numbers(self, entry: Entry) -> int:
        """Numbers of 32 bits that a row of a tensor takes."""
        return entry.heads * self._room * entry.head * np.dtype(entry.dtype).itemsize // 4


class DeviceMemory:
    """See :class:`.memory.Memory`. Rows stay in the order of the sequences.

    Args:
        session: the graph.
        feeds: what it is told besides its tokens.
        encoded: what of it comes from the encoder, where the graph reads it.
        buffers: the cache.
    """

    def __init__(
        self, session: Session, feeds: Feeds, encoded: Mapping[str, DeviceArray], buffers: DeviceBuffers
    ) -> None:
        self._session, self._feeds, self._encoded = session, feeds, encoded
        self.rows, self.capacity = buffers.rows, buffers.capacity
        place = session.place("logits")
        self._array = self._found = DeviceArray(place, (self.rows, 1, feeds.vocabulary), "float32")
        self._device_logits = DeviceLogits(self._array, kernels(place))
        # Where no row is padded, the beginning of this is the mask, as long as it may be.
        self._ones = DeviceArray.of(np.ones(self.rows * self.capacity, dtype=np.int64), session.place(feeds.mask_name))
        self._current = self._bound(buffers)
        self._spare: tuple[DeviceBuffers, Binding] | None = None

    @classmethod
    def allocate(cls, session: Session, feeds: Feeds, rows: int, capacity: int) -> DeviceMemory:
        """Memory of an empty cache.

        Raises:
            OptionError: it would not fit.
        """
        declared = entries(session.inputs)
        buffers = DeviceBuffers(declared, rows, capacity, session.place(declared[0].past)).clear()
        encoded = {name: resident(feeds.encoded, name, session.place(name)) for name in feeds.given}
        return cls(session, feeds, encoded, buffers)

    def run(self, tokens: Ints, past: Ints, lengths: Ints, kept: int) -> None:
        """Read tokens; see :meth:`.memory.Memory.run`."""
        binding, total = self._current[1], int(lengths.max())
        binding.bind_input("input_ids", np.ascontiguousarray(tokens))
        if (lengths == total).all():
            binding.bind_input(self._feeds.mask_name, self._ones.part(0, (self.rows, total)))
        else:
            binding.bind_input(self._feeds.mask_name, self._feeds.mask(lengths))
        positions = self._feeds.positions(past, tokens.shape[1])
        if positions is not None:
            binding.bind_input("position_ids", positions)
        self._found = self._array
        if kept != 1:
            self._found = DeviceArray(self._array.place, (self.rows, kept, self._feeds.vocabulary), "float32")
            self._bind_logits(binding, kept)
        binding.run()
        if kept != 1:
            self._bind_logits(binding, 1, self._array)

    def logits(self) -> Floats:
        """Logits of the last call; see :meth:`.memory.Memory.logits`."""
        return self._found.numpy()

    def lazy_logits(self) -> DeviceLogits:
        """Logits of the last call, where they are."""
        return self._device_logits

    def bind_output(self, name: str, array: Array) -> None:
        """Have an output copied to an array by the calls that follow."""
        self._current[1].bind_output(name, array)

    def expand(self, copies: int, lengths: Ints) -> DeviceMemory:
        """Other memory; see :meth:`.memory.Memory.expand`."""
        buffers = self._current[0]
        wider = buffers.like(copies).take(buffers, np.arange(self.rows).repeat(copies))
        return DeviceMemory(self._session, self._feeds, self._encoded, wider)

    def reorder(self, parents: Ints, lengths: Ints) -> None:
        """Let sequences continue others; see :meth:`.memory.Memory.reorder`."""
        if (parents == np.arange(self.rows)).all():
            return
        spare = self._spare or self._bound(self._current[0].like())
        spare[0].take(self._current[0], parents)
        self._current, self._spare = spare, self._current

    def shorten(self, lengths: Ints) -> None:
        """Nothing: what the mask leaves out is not looked at."""

    def _bound(self, buffers: DeviceBuffers) -> tuple[DeviceBuffers, Binding]:
        """Buffers, and a binding of them and of what is the same at every call."""
        binding = self._session.binding()
        buffers.bind(binding)
        for name, array in self._encoded.items():
            binding.bind_input(name, array)
        self._bind_logits(binding, 1, self._array)
        return buffers, binding

    def _bind_logits(self, binding: Binding, kept: int, array: DeviceArray | None = None) -> None:
        binding.bind_input(KEPT, np.array(kept, dtype=np.int64))
        binding.bind_output("logits", self._found if array is None else array)
