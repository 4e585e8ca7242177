"""Arrays of samples as the models take them: one channel, float32, nothing but numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Samples = NDArray[np.float32]

# Full scale of the integers that sound is stored in; the unsigned bytes of a WAV file have their zero at 128.
_SCALES = {"int8": 2.0**7, "uint8": 2.0**7, "int16": 2.0**15, "int32": 2.0**31}
# More channels than this (those of 7th order ambisonics) are no sound but, say, features.
_MOST_CHANNELS = 64


def is_array(value: Any) -> bool:
    """Whether it is an array of NumPy's, or a tensor or another array that NumPy can read."""
    return hasattr(value, "__array__")


def mono(value: Any) -> Samples:
    """One channel of float32 samples, the mean of the channels that there are.

    Args:
        value: ``(samples,)``, ``(samples, channels)`` or ``(channels, samples)``, of which the longer axis is time;
            floats, for which full scale is 1, or int8, uint8, int16 or int32, which are scaled to it.

    Returns:
        ``(samples,)``; the array itself where it is that already.

    Raises:
        InputError: other shapes and types, NaN or infinite samples.
    """
    array = np.asarray(value)
    if array.ndim not in (1, 2) or (array.ndim == 2 and min(array.shape) > _MOST_CHANNELS):
        raise InputError(
            f"an array of samples is (samples,), (samples, channels) or (channels, samples), not of shape {array.shape}"
        )
    if array.size == 0:
        return np.zeros(0, np.float32)
    samples = _floats(array)
    if samples.ndim == 2:
        samples = samples.mean(axis=0 if samples.shape[0] < samples.shape[1] else 1, dtype=np.float32)
    check_finite(samples)
    return samples


def check_finite(samples: Samples, start: int = 0) -> None:
    """Raise InputError where a sample is NaN or infinite.

    Args:
        samples: (samples,)
        start: which sample of the whole sound the first is.
    """
    finite = np.isfinite(samples)
    if not finite.all():
        bad = int(finite.argmin())
        raise InputError(f"a sound must be of finite numbers: sample {start + bad} is {samples[bad]}")


def check_length(samples: Samples) -> None:
    """Raise InputError where there is no sample."""
    if samples.size == 0:
        raise InputError("the sound is empty: it has no samples")


def _floats(array: NDArray[Any]) -> Samples:
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what overflows is told as infinite
            return array.astype(np.float32, copy=False)
    scale = _SCALES.get(array.dtype.name)
    if scale is None:
        known = ", ".join(_SCALES)
        raise InputError(f"samples must be floats, with 1.0 as full scale, or {known}, not {array.dtype.name}")
    samples = array.astype(np.float32)
    if array.dtype == np.uint8:
        samples -= 128
    return samples / np.float32(scale)
