"""Long sound in overlapping chunks, as transformers cuts it: what each adds to the answer and what is only context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, OptionError


@dataclass(frozen=True)
class Clip:
    """One recording to transcribe.

    Attributes:
        samples: float32 (samples,), mono, at the model's rate.
        stride: samples at the left and at the right end that are only heard, not written down: they belong to the
            answers of other clips, as where sound is cut while it comes in; None for a recording that stands alone.
    """

    samples: NDArray[np.float32]
    stride: tuple[int, int] | None = None


@dataclass(frozen=True)
class Chunk:
    """A part of a clip, or all of it.

    Attributes:
        samples: float32 (samples,), a view of the clip's.
        stride: samples at the left and right end that are only context; None where the clip was not cut.
        last: whether it is the clip's last one.
    """

    samples: NDArray[np.float32]
    stride: tuple[int, int] | None
    last: bool


@dataclass(frozen=True)
class ChunkSizes:
    """Samples of a chunk, and of its contexts at the left and at the right.

    Raises:
        OptionError: the contexts leave nothing of the chunk.
    """

    length: int
    left: int
    right: int

    def __post_init__(self) -> None:
        if self.length <= self.left + self.right:
            raise OptionError(
                f"chunk_length_s must exceed the strides at both sides: {self.length} samples, of which "
                f"{self.left} + {self.right} are context, leave nothing to write down"
            )


def chunk_sizes(
    chunk_length_s: float, stride_length_s: float | Sequence[float] | None, sampling_rate: int, align_to: int = 1
) -> ChunkSizes:
    """The sizes of chunks in samples.

    Args:
        chunk_length_s: seconds of a chunk, context included.
        stride_length_s: seconds of context at both ends, or at the left and at the right; None for a sixth of a chunk.
        sampling_rate: samples per second.
        align_to: samples that a size must be a multiple of: those of one frame of logits.

    Raises:
        OptionError: the contexts leave nothing of the chunk.

    Example:
        >>> chunk_sizes(10, None, 16000, align_to=320)
        ChunkSizes(length=160000, left=26560, right=26560)
    """
    if stride_length_s is None:
        stride_length_s = chunk_length_s / 6
    left, right = stride_length_s if isinstance(stride_length_s, Sequence) else (stride_length_s, stride_length_s)
    length, left, right = (
        int(round(seconds * sampling_rate / align_to) * align_to) for seconds in (chunk_length_s, left, right)
    )
    return ChunkSizes(length, left, right)


def cut(clip: Clip, sizes: ChunkSizes | None) -> Iterator[Chunk]:
    """The chunks of a clip, in order; the first has no context at the left and the last none at the right.

    Args:
        clip: what to cut.
        sizes: None leaves it whole.

    Raises:
        InputError: the clip's own stride is malformed, or is given although it is to be cut.
    """
    total = len(clip.samples)
    if clip.stride is not None:
        _check_stride(clip.stride, total)
        if sizes is not None:
            raise InputError("a clip that has a stride of its own is a chunk already: leave chunk_length_s out")
    if sizes is None:
        yield Chunk(clip.samples, clip.stride, last=True)
        return
    for start in range(0, total, sizes.length - sizes.left - sizes.right):
        end = start + sizes.length
        last = end >= total
        yield Chunk(clip.samples[start:end], (sizes.left if start else 0, 0 if last else sizes.right), last)
        if last:
            return


def kept_frames(samples: int, stride: tuple[int, int], ratio: int) -> slice:
    """Which frames of a chunk's logits are written down.

    Args:
        samples: of the whole chunk.
        stride: samples of context at its left and right.
        ratio: samples per frame.

    Example:
        >>> kept_frames(160000, (16000, 16000), 320)
        slice(50, 450, None)
    """
    frames = round(samples * (1 / ratio))
    left, right = (round(side / samples * frames) for side in stride)
    return slice(left, frames - right)


def _check_stride(stride: tuple[int, int], total: int) -> None:
    if len(stride) != 2 or min(stride) < 0 or sum(stride) > total:
        raise InputError(f"stride must be two lengths within the {total} samples of its clip, not {stride}")
