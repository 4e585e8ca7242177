"""Changing the sampling rate, of a whole clip or block by block."""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingDependencyError, OptionError, TorchlessError

Samples = NDArray[np.float32]


class Resampler:
    """Resamples one clip that comes in blocks, by soxr at its high quality (20 bits).

    What comes out is as long as that of ``torchaudio.functional.resample`` and in time with it: of ``n`` samples
    ``ceil(n * target / source)``, the first of which stands where the first one stood.

    Args:
        source: samples per second of what comes in.
        target: samples per second of what goes out; the same rate changes nothing and needs no soxr.

    Raises:
        OptionError: a rate is no positive integer.
        MissingDependencyError: soxr is not installed.

    Example:
        >>> resampler = Resampler(8000, 16000)      # doctest: +SKIP
        >>> first, rest = resampler(block), resampler.finish()      # doctest: +SKIP
    """

    def __init__(self, source: int, target: int) -> None:
        source, target = check_rate(source), check_rate(target)
        divisor = gcd(source, target)
        self._up, self._down = target // divisor, source // divisor
        self._stream = None if source == target else soxr().ResampleStream(source, target, 1, dtype="float32")
        self._received = self._given = 0

    def __call__(self, block: Samples) -> Samples:
        """What is certain after one more block, float32 ``(samples,)``: it ends a little before the block does."""
        self._received += len(block)
        if self._stream is None:
            return block
        return self._count(self._stream.resample_chunk(np.ascontiguousarray(block, np.float32)))

    def finish(self) -> Samples:
        """The samples that are left, float32 ``(samples,)``; zeros follow the end, as in torchaudio."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        wanted = -(-self._received * self._up // self._down)
        silence = np.zeros(self._down // self._up + 1, np.float32)  # one more sample: soxr rounds where we round up
        rest = self._stream.resample_chunk(silence, last=True)[: wanted - self._given]
        return self._count(rest)

    def _count(self, samples: Samples) -> Samples:
        self._given += len(samples)
        return samples


def resample(samples: Samples, source: int, target: int) -> Samples:
    """A clip at another rate, by soxr at its high quality.

    Args:
        samples: float32 (samples,)
        source: its samples per second.
        target: samples per second of the result.

    Returns:
        float32 ``(ceil(samples * target / source),)``, as long as torchaudio's; the clip itself at the same rate.

    Raises:
        OptionError: a rate is no positive integer.
        MissingDependencyError: soxr is not installed.
    """
    resampler = Resampler(source, target)
    if source == target:
        return samples
    return np.concatenate([resampler(samples), resampler.finish()])


def check_rate(value: Any, error: type[TorchlessError] = OptionError) -> int:
    """A sampling rate in Hz as an integer.

    Args:
        value: what was given.
        error: what to raise where it is no positive integer.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value <= 0:
        raise error(f"a sampling rate must be a positive integer, in Hz, not {value!r:.80}")
    return int(value)


def soxr() -> Any:
    """The ``soxr`` module.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import soxr
    except ImportError as error:
        raise MissingDependencyError(
            f"resampling needs soxr, which cannot be imported ({error}): pip install 'torchless[audio]'"
        ) from error
    return soxr
