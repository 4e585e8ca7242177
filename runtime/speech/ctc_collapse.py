"""What a CTC model emits: from one token per frame to the tokens that were meant, with the frames that they took."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Emission(NamedTuple):
    """A token that was emitted, and the frames ``start`` to ``end`` (exclusive) in which it was."""

    token: int
    start: int
    end: int


def collapse(frames: NDArray[np.integer[Any]], blank: int) -> list[Emission]:
    """Repetitions become one token, then blanks are dropped (Graves et al. 2006).

    Args:
        frames: (frames,), the token of each frame.
        blank: the token that separates others and stands for none.

    Example:
        >>> collapse(np.array([0, 7, 7, 0, 7, 8]), blank=0)
        [Emission(token=7, start=1, end=3), Emission(token=7, start=4, end=5), Emission(token=8, start=5, end=6)]
    """
    if not frames.size:
        return []
    changes = np.flatnonzero(frames[1:] != frames[:-1]) + 1
    starts = np.concatenate(([0], changes))
    ends = np.append(changes, frames.size)
    spoken = frames[starts] != blank
    starts, ends = starts[spoken], ends[spoken]
    return list(map(Emission, frames[starts].tolist(), starts.tolist(), ends.tolist()))
