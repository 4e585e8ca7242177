"""The power spectrum of overlapping frames, by matrix products on folded frames.

A real Fourier transform of N windowed samples is two products, with cosines and with sines. The window is as symmetric
as they are, so samples n and N - n are added for the one and subtracted for the other, which halves the work. Bins k
and N/2 - k see the same products but for the sign of the odd samples, which halves it again. What is left runs at the
speed of BLAS, and faster than the fast transform for frames of some hundred samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .samples import Samples

# Frames that are worked on at a time: the folded frames and their products stay in the cache.
BLOCK = 384
# Frames that are turned from rows into columns at a time, which pays for the same reason.
_TURN = 128
# Columns of one matrix product: so small a product BLAS computes on the caller's thread. Its other threads gain little
# here, and on a machine that is busy waiting for them costs twenty times the work.
_COLUMNS = 48


@dataclass(frozen=True)
class _Fold:
    """Samples of all frames that are folded by one operation.

    Attributes:
        target: their rows among the folded samples.
        low: their rows in the table of samples, and by how many columns they are shifted.
        high: the same of their mirror images.
    """

    target: slice
    low: tuple[slice, int]
    high: tuple[slice, int]


class PowerSpectrum:
    """Squared magnitudes of Fourier transforms with a periodic Hann window.

    Args:
        size: samples of a frame, even.
        hop: samples between the beginnings of frames.

    Attributes:
        order: the bin that each row of the result stands for, ``(size // 2 + 1,)``.
    """

    def __init__(self, size: int, hop: int) -> None:
        self.size, self.hop = size, hop
        half = size // 2
        low = np.arange(half // 2 + 1)
        self._pairs = (half + 1) // 2  # bins below half / 2 have a partner above
        self.order: NDArray[np.intp] = np.concatenate([low, half - low[: self._pairs]])
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(half + 1) / size)
        angles = 2 * np.pi * np.outer(low, np.arange(half + 1)) / size
        # The window is 0 at sample 0; sample size / 2 is its own mirror image and has no sine.
        cosines = (np.cos(angles) * window)[:, 1:].astype(np.float32)
        sines = (np.sin(angles) * window)[:, 1:half].astype(np.float32)
        self._odd = np.ascontiguousarray(cosines[:, ::2]), np.ascontiguousarray(sines[:, ::2])
        self._even = np.ascontiguousarray(cosines[:, 1::2]), np.ascontiguousarray(sines[:, 1::2])
        self._folds = _folds(size, hop)

    def samples(self, frames: int) -> int:
        """How many samples :meth:`Workspace.power` reads for so many frames: up to a hop more than they have."""
        return (frames + (self.size - 1) // self.hop) * self.hop

    def workspace(self, frames: int) -> Workspace:
        """Memory for blocks of at most so many frames, of one thread."""
        return Workspace(self, min(frames, BLOCK))


class Workspace:
    """What :class:`PowerSpectrum` works in; made anew for each request, so that threads do not share it.

    Args:
        spectrum: whose.
        frames: of a block, at the most.
    """

    def __init__(self, spectrum: PowerSpectrum, frames: int) -> None:
        self._spectrum = spectrum
        self.frames = frames
        half, bins = spectrum.size // 2, len(spectrum.order)
        low = bins - spectrum._pairs

        def rows(count: int) -> Samples:
            return np.empty((count, frames), np.float32)

        self._table = np.empty((spectrum.hop, spectrum.samples(frames) // spectrum.hop), np.float32)
        self._sums, self._differences, self._power = rows(half), rows(half - 1), rows(bins)
        self._products = rows(low), rows(low), rows(low), rows(low)

    def power(self, samples: Samples, frames: int) -> Samples:
        """The power spectra of a block of frames.

        Args:
            samples: ``(spectrum.samples(frames),)``, the first frame's first.
            frames: how many.

        Returns:
            ``(bins, frames)`` in the order of ``spectrum.order``, valid until the next call.
        """
        spectrum = self._spectrum
        sums, differences = self._folded(samples, frames)
        (cos_odd, sin_odd), (cos_even, sin_even) = spectrum._odd, spectrum._even
        odd_real, even_real, odd_imag, even_imag = (product[:, :frames] for product in self._products)
        product(cos_odd, sums[::2], odd_real)
        product(cos_even, sums[1::2], even_real)
        product(sin_odd, differences[::2], odd_imag)
        product(sin_even, differences[1::2], even_imag)
        pairs, low = spectrum._pairs, len(odd_real)
        power = self._power[:, :frames]
        np.add(even_real, odd_real, out=power[:low])
        np.subtract(even_real[:pairs], odd_real[:pairs], out=power[low:])
        np.square(power, out=power)
        for combine, target in ((np.add, power[:low]), (np.subtract, power[low:])):
            imaginary = even_real[: len(target)]  # no longer needed
            combine(odd_imag[: len(target)], even_imag[: len(target)], out=imaginary)
            np.square(imaginary, out=imaginary)
            target += imaginary
        return power

    def _folded(self, samples: Samples, frames: int) -> tuple[Samples, Samples]:
        """Sums and differences of the mirrored samples of frames, each ``(about half of a frame, frames)``."""
        hop, half = self._spectrum.hop, self._spectrum.size // 2
        turned = samples.reshape(-1, hop)
        table = self._table[:, : len(turned)]
        for start in range(0, len(turned), _TURN):
            table[:, start : start + _TURN] = turned[start : start + _TURN].T
        sums, differences = self._sums[:, :frames], self._differences[:, :frames]
        for fold in self._spectrum._folds:
            low, high = (table[rows, shift : shift + frames] for rows, shift in (fold.low, fold.high))
            np.add(low, high, out=sums[fold.target])
            np.subtract(low, high, out=differences[fold.target])
        middle, shift = half % hop, half // hop
        sums[half - 1] = table[middle, shift : shift + frames]
        return sums, differences


def product(left: Samples, right: Samples, out: Samples) -> None:
    """Write ``left @ right``, on this thread.

    Args:
        left: ``(rows, depth)``
        right: ``(depth, columns)``
        out: ``(rows, columns)``
    """
    whole = right.shape[1] // _COLUMNS * _COLUMNS
    if whole:
        np.matmul(left, _columns(right[:, :whole]), out=_columns(out[:, :whole]))
    if whole < right.shape[1]:
        np.matmul(left, right[:, whole:], out=out[:, whole:])


def _columns(matrix: Samples) -> Samples:
    """Groups of columns, ``(groups, rows, columns)``, in the matrix's own memory."""
    return matrix.reshape(len(matrix), -1, _COLUMNS).transpose(1, 0, 2)


def _folds(size: int, hop: int) -> list[_Fold]:
    """Samples 1 to size / 2 - 1 and their mirror images, in runs that lie in one column each.

    Sample ``n`` of frame ``t`` is in row ``n % hop`` and column ``t + n // hop`` of the table.
    """
    found = []
    start = 1
    while start < size // 2:
        mirrored = size - start
        run = min(hop - start % hop, mirrored % hop + 1, size // 2 - start)
        last = mirrored % hop - run
        found.append(
            _Fold(
                slice(start - 1, start - 1 + run),
                (slice(start % hop, start % hop + run), start // hop),
                (slice(mirrored % hop, None if last < 0 else last, -1), mirrored // hop),
            )
        )
        start += run
    return found
