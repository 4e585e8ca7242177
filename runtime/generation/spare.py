"""Memory of requests that have ended, for those that follow.

Each page of new memory costs the system more than filling it: on a virtual machine caches of 160 MiB took 27 to 46 ms
when new and 7 when used before, on another one five times as long.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..environment import available_memory
from ..session import Session

Block = NDArray[np.uint8]

LIMIT = 1 << 30
"""Bytes that are kept at the most, for each graph."""
_SHARE = 8  # and of the memory that is left, one part of so many


class Spare:
    """Blocks of memory that nobody uses. Safe from many threads.

    What a block holds is whatever was left there.
    """

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        # Collecting garbage may give blocks back at any moment, in the thread that is just taking some.
        self._lock = threading.RLock()

    @property
    def kept(self) -> int:
        """Bytes."""
        return sum(block.nbytes for block in self._blocks)

    def take(self, count: int) -> Block:
        """A block of at least so many bytes, but never much more: uint8 ``(bytes,)``."""
        with self._lock:
            fitting = [block for block in self._blocks if count <= block.nbytes <= 2 * count]
            best = min(fitting, key=lambda block: block.nbytes, default=None)
            if best is not None:
                self._blocks = [block for block in self._blocks if block is not best]
                return best
        return np.empty(count, dtype=np.uint8)

    def give(self, blocks: Sequence[Block]) -> None:
        """Keep blocks that are no longer used, within the limit; the latest stay."""
        available = available_memory()
        limit = LIMIT if available is None else min(LIMIT, available // _SHARE)
        with self._lock:
            kept: list[Block] = []
            for block in [*blocks, *self._blocks]:
                if block.nbytes <= limit:
                    kept.append(block)
                    limit -= block.nbytes
            self._blocks = kept

    def lend(self, user: Any, counts: Sequence[int]) -> list[Block]:
        """Blocks of so many bytes each, which come back when ``user`` is no more."""
        blocks = [self.take(count) for count in counts]
        weakref.finalize(user, self.give, blocks).atexit = False
        return blocks


_SPARES: weakref.WeakKeyDictionary[Session, Spare] = weakref.WeakKeyDictionary()


def spare(session: Session) -> Spare:
    """The memory that ended requests of a graph have left."""
    return _SPARES.setdefault(session, Spare())
