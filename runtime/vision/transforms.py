"""The arithmetic of image processors: sizes, crops, and pixels as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]  # height, width: the order of arrays, and of transformers' configurations


def by_shortest_edge(size: Size, edge: int) -> Size:
    """The size whose shorter side is ``edge``, of the same shape.

    Example:
        >>> by_shortest_edge((480, 640), 224)
        (224, 298)
    """
    height, width = size
    if width <= height:
        return int(edge * height / width), edge
    return edge, int(edge * width / height)


def by_both_edges(size: Size, shortest: int, longest: int) -> Size:
    """The size whose shorter side is ``shortest``, or less where the longer one would exceed ``longest``.

    Example:
        >>> by_both_edges((100, 300), 200, 400)
        (133, 399)
    """
    short, long = min(size), max(size)
    exact = float(shortest)
    if long / short * shortest > longest:
        exact = longest * short / long
        shortest = round(exact)
    if short == shortest:
        return size
    other = int(exact * long / short)
    return (other, shortest) if size[1] < size[0] else (shortest, other)


def within(size: Size, height: int, width: int) -> Size:
    """The largest size of the same shape that is no higher and no wider.

    Example:
        >>> within((100, 200), 50, 400)
        (50, 100)
    """
    scale = min(height / size[0], width / size[1])
    return int(size[0] * scale), int(size[1] * scale)


def center_crop(pixels: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """The middle of an image; where it is smaller than that, zeros around it.

    Args:
        pixels: (height, width, channels)
        size: of the result.

    Example:
        >>> center_crop(np.ones((1, 4, 1), np.uint8), (2, 2))[..., 0].tolist()
        [[0, 0], [1, 1]]
    """
    for axis, wanted in enumerate(size):
        length = pixels.shape[axis]
        if length >= wanted:
            start = (length - wanted) // 2
            pixels = pixels[start : start + wanted] if axis == 0 else pixels[:, start : start + wanted]
        else:
            before = -((length - wanted) // 2)  # rounded up: of an odd number, more stands before than behind
            margins = [(0, 0)] * pixels.ndim
            margins[axis] = (before, wanted - length - before)
            pixels = np.pad(pixels, margins)
    return pixels


def value_table(
    channels: int,
    *,
    scale: float | None,
    offset: bool,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    again: bool,
) -> NDArray[np.float32]:
    """What each of the 256 values of a pixel becomes in each channel, rounded as transformers' arrays are.

    Args:
        channels: how many.
        scale: factor of every value; None leaves them.
        offset: whether 1 is taken off then.
        mean: subtracted, by channel, where not None.
        std: divided by, where ``mean`` is not None.
        again: whether to divide by ``std`` a second time.

    Returns:
        (channels, 256)
    """
    values = np.arange(256, dtype=np.float64)
    table = np.tile((values if scale is None else values * scale).astype(np.float32), (channels, 1))
    if offset:
        table -= 1
    divisor = np.ones((channels, 1), np.float32) if std is None else np.array(std, np.float32)[:, None]
    if mean is not None:
        table = (table - np.array(mean, np.float32)[:, None]) / divisor
    if again:
        table /= divisor
    return table


def look_up(pixels: NDArray[np.uint8], table: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Write the values of pixels, channel by channel.

    Args:
        pixels: (height, width, channels)
        table: (channels, 256)
        out: (channels, height, width)
    """
    for channel, values in enumerate(table):
        # Bytes cannot lie outside the table: without "clip" NumPy would check, through a copy of the output.
        np.take(values, pixels[..., channel], out=out[channel], mode="clip")
