"""Which chunks of sound run together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .chunks import Chunk

# What is looked at together, to find chunks of like length: this many, and of long clips so many samples.
_CHUNKS, _SAMPLES = 32, 1 << 22
# Samples of a batch where its size is not given.
SAMPLES_PER_BATCH = 1 << 17
# Chunks are padded by at most this share of their batch's samples before a new batch is begun.
PADDING_SHARE = 0.1


def windows(chunks: Iterable[Chunk], batch_size: int | None) -> Iterator[list[Chunk]]:
    """Chunks in order, a few at a time; with ``batch_size=1`` each as it comes."""
    most = _CHUNKS if batch_size is None else 1 if batch_size == 1 else max(batch_size, _CHUNKS)
    window: list[Chunk] = []
    samples = 0
    for chunk in chunks:
        window.append(chunk)
        samples += len(chunk.samples)
        if len(window) == most or samples >= _SAMPLES:
            yield window
            window, samples = [], 0
    if window:
        yield window


def batches(lengths: Sequence[int], batch_size: int | None, padded: bool) -> list[list[int]]:
    """Group chunks of one length, or of like length where they may be padded.

    Args:
        lengths: samples of each chunk.
        batch_size: chunks per batch at the most; None bounds the samples of a batch.
        padded: whether chunks of different lengths may run together.

    Returns:
        Chunk numbers by batch, every chunk once, longest first.

    Example:
        >>> batches([400, 16000, 400, 15000], batch_size=2, padded=True)
        [[1, 3], [0, 2]]
    """
    found: list[list[int]] = []
    longest = total = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        size = len(found[-1]) + 1 if found else 0
        area = size * longest
        waste = area - total - lengths[index]
        fits = waste <= PADDING_SHARE * area if padded else lengths[index] == longest
        full = area > SAMPLES_PER_BATCH if batch_size is None else size > batch_size
        if found and fits and not full:
            found[-1].append(index)
            total += lengths[index]
        else:
            found.append([index])
            longest = total = lengths[index]
    return found
