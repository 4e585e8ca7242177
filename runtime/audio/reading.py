"""Reading a clip from whatever holds it, mono and at the rate that a model hears."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import InputError, OptionError
from .decoding import open_sound
from .resampling import Resampler, check_rate
from .samples import Samples, check_length, is_array, mono

# The longest clip that is read where nothing else is asked for: an hour is 230 MB at 16 kHz.
MAX_SECONDS = 6 * 3600


def load_audio(source: Any, sampling_rate: int, max_seconds: float | None = MAX_SECONDS) -> Samples:
    """A clip as the models hear it: one channel at their rate.

    Channels are averaged. Integers are scaled so that full scale is 1; floats are taken as they are, also beyond 1.
    Files are decoded in blocks, so that memory is that of the result. Another rate is resampled by
    :func:`torchless.audio.resample`.

    Args:
        source: a path; the bytes of a file; a binary file object; an array ``(samples,)``, ``(samples, channels)`` or
            ``(channels, samples)``, at ``sampling_rate`` already; ``{"array" or "raw": array, "sampling_rate": int}``,
            to which a ``"path"`` may be added that is not read; or ``{"path": ..., "bytes": ...}``, one of them not
            None. Files are WAV, FLAC, OGG, MP3 and what else soundfile reads.
        sampling_rate: samples per second of the result.
        max_seconds: a longer sound is refused, where it tells its length before it is decoded; None for no limit.

    Returns:
        float32 ``(samples,)``, at least one.

    Raises:
        InputError: no sound, an empty or damaged one, NaN or infinite samples, or longer than ``max_seconds``.
        OptionError: a malformed ``sampling_rate`` or ``max_seconds``.
        MissingDependencyError: soundfile, or for another rate soxr, is not installed.

    Example:
        >>> load_audio(np.array([[0.5, 1.5], [1, 1], [0, 0]]), 16000).tolist()
        [1.0, 1.0, 0.0]
    """
    rate = check_rate(sampling_rate)
    if max_seconds is not None and (isinstance(max_seconds, bool) or not max_seconds > 0):
        raise OptionError(f"max_seconds must be a positive number or None, not {max_seconds!r}")
    parts = []
    received = 0
    with opened(source, rate, max_seconds) as (given, blocks):
        resampler = Resampler(given, rate)
        for block in blocks:
            received += len(block)
            _check_seconds(received / given, max_seconds)
            parts.append(resampler(block))
        parts.append(resampler.finish())
    samples = parts[0] if received == len(parts[0]) and given == rate else np.concatenate(parts)
    check_length(samples)
    return samples


@contextmanager
def opened(
    source: Any, sampling_rate: int, max_seconds: float | None = None
) -> Iterator[tuple[int, Iterable[Samples]]]:
    """The rate of a sound, in Hz, and its samples in mono blocks.

    Args:
        source: what :func:`load_audio` takes.
        sampling_rate: that of an array that comes without one.
        max_seconds: a file that says it is longer is refused.

    Raises:
        InputError: what cannot be read; see :func:`load_audio`.
    """
    rate = sampling_rate
    if isinstance(source, Mapping):
        source, rate = _unpacked(source, sampling_rate)
    if is_array(source):
        yield rate, [mono(source)]
        return
    with open_sound(source) as file:
        _check_seconds(file.seconds, max_seconds)
        yield file.rate, file.blocks()


def _unpacked(source: Mapping[str, Any], sampling_rate: int) -> tuple[Any, int]:
    """The array, path or bytes of a dictionary, and the rate of an array."""
    names = set(source)
    samples = names & {"array", "raw"}
    if len(samples) == 1 and "sampling_rate" in names and names <= {*samples, "sampling_rate", "path"}:
        value = source[samples.pop()]
        array = value if is_array(value) else np.asarray(value) if isinstance(value, (list, tuple)) else None
        if array is None:
            raise InputError(f"the samples of a dictionary must be an array, not {type(value).__name__}")
        return array, check_rate(source["sampling_rate"], InputError)
    files = [value for value in (source.get("bytes"), source.get("path")) if value is not None]
    if files and names <= {"path", "bytes"}:
        return files[0], sampling_rate
    raise InputError(
        'a dictionary must be {"array" or "raw": samples, "sampling_rate": int} or {"path" or "bytes": ...}, '
        f"not have the keys {sorted(map(str, names))}"
    )


def _check_seconds(seconds: float, most: float | None) -> None:
    if most is not None and seconds > most:
        raise InputError(f"the sound has at least {seconds:.1f} seconds, and {most} are allowed: set max_seconds")
