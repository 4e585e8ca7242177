"""Sessions that keep what they are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from torchless.binding import Array, Binding, DeviceArray
from torchless.bundle import Bundle
from torchless.errors import DeviceError
from torchless.session import Session

Keep = Callable[[Mapping[str, Array]], None]

# Bytes of the arrays that are kept; what a decoder reads at each step holds its whole cache.
_MEMORY = 1 << 30


class RecordedBundle(Bundle):
    """A bundle whose sessions' inputs are kept, until there are too many of them.

    Of calls that follow each other over one binding, as a decoder's do, the first three are kept, and then the fifth,
    the ninth, the seventeenth, ...

    Args:
        bundle: what is recorded; its float32 graphs are run, where it has them.
        memory: bytes of arrays that are kept at the most; at least the first call of each graph is.

    Attributes:
        by_role: what each graph was given, call by call.
    """

    def __init__(self, bundle: Bundle, memory: int = _MEMORY) -> None:
        dtypes = {
            role: "fp32" if "fp32" in variants else bundle.dtype(role) for role, variants in bundle.dtypes.items()
        }
        super().__init__(bundle.folder, bundle.settings, dtypes)
        self.by_role: dict[str, list[dict[str, Array]]] = {}
        self._recorded: dict[str, Session] = {}
        self._left = memory

    @property
    def full(self) -> bool:
        """Whether nothing more will be kept."""
        return self._left <= 0

    def session(self, role: str = "model") -> Session:
        """The session of a graph, which keeps what it is given."""
        if role not in self._recorded:
            plain = super().session(role)
            self.by_role[role] = []
            self._recorded[role] = _RecordedSession(plain, lambda feeds: self._keep(role, feeds))
        return self._recorded[role]

    def _keep(self, role: str, feeds: Mapping[str, Array]) -> None:
        """Copy arrays, but those that are the same as in the call before."""
        kept = self.by_role[role]
        if kept and self.full:
            return
        before = kept[-1] if kept else {}
        copies = {}
        for name, array in feeds.items():
            old = before.get(name)
            same = old is not None and old.shape == array.shape and np.array_equal(old, array)
            copies[name] = old if old is not None and same else array.copy()
            self._left -= 0 if same else array.nbytes
        kept.append(copies)


class _RecordedSession(Session):
    def __init__(self, plain: Session, keep: Keep) -> None:
        vars(self).update(vars(plain))
        self._keep = keep

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        found = super().run(feeds, outputs)
        self._keep(self._feed(feeds))
        return found

    def binding(self) -> Binding:
        return _RecordedBinding(self.path.name, self._session, self._keep)


class _RecordedBinding(Binding):
    def __init__(self, name: str, session: Any, keep: Keep) -> None:
        super().__init__(name, session)
        self._keep = keep
        self._inputs: dict[str, Array] = {}
        self._caches: list[Array] = []
        self._calls = 0

    def bind_input(self, name: str, array: Array | DeviceArray) -> None:
        super().bind_input(name, array)
        self._inputs[name] = _readable(array)

    def bind_inplace(self, source: str, target: str, array: Array | DeviceArray) -> None:
        super().bind_inplace(source, target, array)
        self._inputs[source] = _readable(array)
        self._caches.append(_readable(array))

    def run(self) -> None:
        if self._calls == 0:
            self._clear()
        if self._calls & (self._calls - 1) == 0:  # 0, 1, 2, 4, 8, ...
            self._keep(self._inputs)  # before the graph writes the cache in place
        self._calls += 1
        super().run()

    def _clear(self) -> None:
        """Fill with zeros what the caches hold behind each row's tokens: it is whatever was left in that memory."""
        if not self._caches:
            return
        name = next(name for name in ("decoder_attention_mask", "attention_mask") if name in self._inputs)
        lengths = self._inputs[name].sum(axis=1)
        past = np.maximum(lengths - self._inputs["input_ids"].shape[1], 0)
        for cache in self._caches:
            for row, used in enumerate(past.tolist()):
                cache[row, :, used:] = 0


def _readable(array: Array | DeviceArray) -> Array:
    if isinstance(array, DeviceArray):
        raise DeviceError(f"inputs are recorded on the CPU, and one of this session lies on {array.place.kind}")
    return array
