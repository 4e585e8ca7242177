"""Filters that gather the bins of a spectrum into bands of equal width to the ear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

# The slaney scale (Auditory Toolbox) is linear up to 1 kHz, at 15 mel, and logarithmic above.
_KNEE_HZ, _KNEE_MEL, _LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27.0


def slaney_filters(bins: int, mels: int, sampling_rate: int, highest: float = 8000.0) -> Floats:
    """The filters of Whisper and librosa: triangles over Hz, each of area 1, ``(mels, bins)``.

    Args:
        bins: of the spectrum, from 0 Hz to half of the sampling rate.
        mels: number of filters, from 0 Hz.
        sampling_rate: Hz.
        highest: Hz, where the last filter ends.
    """
    edges = _slaney_to_hertz(np.linspace(0.0, _hertz_to_slaney(np.array(highest)), mels + 2))
    filters = _triangles(edges, np.linspace(0, sampling_rate // 2, bins))
    return filters * (2.0 / (edges[2:] - edges[:-2]))[:, None]


def kaldi_filters(bins: int, mels: int, sampling_rate: int, lowest: float = 20.0) -> Floats:
    """The filters of Kaldi and torchaudio.compliance.kaldi: triangles over mel, of height 1, ``(mels, bins)``.

    Args:
        bins: of the spectrum, from 0 Hz to half of the sampling rate.
        mels: number of filters, up to half of the sampling rate.
        sampling_rate: Hz.
        lowest: Hz, where the first filter begins.
    """
    half = sampling_rate // 2
    edges = np.linspace(_hertz_to_kaldi(np.array(lowest)), _hertz_to_kaldi(np.array(float(half))), mels + 2)
    return _triangles(edges, _hertz_to_kaldi(sampling_rate / ((bins - 1) * 2) * np.arange(bins)))


def bands(filters: NDArray[Any], groups: int = 3) -> list[tuple[slice, slice, NDArray[Any]]]:
    """Filters as a few dense blocks without the bins that none of a block's filters hears.

    Args:
        filters: ``(mels, bins)``
        groups: number of blocks.

    Returns:
        Per block the rows and columns that it covers, and its filters ``(rows, columns)``.
    """
    found = []
    for rows in np.array_split(np.arange(len(filters)), groups):
        heard = np.flatnonzero(filters[rows].any(axis=0))
        if len(heard):
            row, column = slice(rows[0], rows[-1] + 1), slice(heard[0], heard[-1] + 1)
            found.append((row, column, np.ascontiguousarray(filters[row, column])))
    return found


def _triangles(edges: Floats, positions: Floats) -> Floats:
    """Triangles between every edge and the second next, at positions, ``(edges - 2, positions)``."""
    distances = edges[:, None] - positions[None, :]
    widths = np.diff(edges)[:, None]
    rising, falling = -distances[:-2] / widths[:-1], distances[2:] / widths[1:]
    filters: Floats = np.maximum(0.0, np.minimum(rising, falling))
    return filters


def _hertz_to_slaney(hertz: Floats) -> Floats:
    return _by_parts(
        hertz, _KNEE_HZ, lambda low: low * 3 / 200, lambda high: _KNEE_MEL + np.log(high / _KNEE_HZ) / _LOG_STEP
    )


def _slaney_to_hertz(mels: Floats) -> Floats:
    return _by_parts(
        mels, _KNEE_MEL, lambda low: low * 200 / 3, lambda high: _KNEE_HZ * np.exp(_LOG_STEP * (high - _KNEE_MEL))
    )


def _by_parts(values: Floats, knee: float, low: Callable[[Floats], Floats], high: Callable[[Floats], Floats]) -> Floats:
    return np.where(values < knee, low(values), high(np.maximum(values, knee)))


def _hertz_to_kaldi(hertz: Floats) -> Floats:
    found: Floats = 1127.0 * np.log1p(hertz / 700.0)
    return found
