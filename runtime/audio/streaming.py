"""Live sound: blocks as they come in, to the overlapping windows that a recognizer hears."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from ..errors import InputError, OptionError
from .reading import opened
from .resampling import Resampler, check_rate
from .samples import Samples, is_array, mono


@dataclass(frozen=True)
class _Windows:
    """Samples of a window, of its context at both ends, and of the steps in which a window grows."""

    length: int
    left: int
    right: int
    step: int

    def __post_init__(self) -> None:
        if min(self.left, self.right) < 0 or self.left + self.right >= self.length:
            raise OptionError(
                f"chunk_length_s must exceed the strides at both sides, which must not be negative: "
                f"{self.length} samples, of which {self.left} and {self.right} are context"
            )
        if not 0 < self.step <= self.length:
            raise OptionError("stream_chunk_s must be above 0 and at most chunk_length_s")


def stream_audio(
    source: Any,
    sampling_rate: int,
    chunk_length_s: float,
    *,
    stream_chunk_s: float | None = None,
    stride_length_s: float | Sequence[float] | None = None,
    source_rate: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Sound that is still coming in, as the windows that ``transformers.pipelines.ffmpeg_microphone_live`` makes.

    Each is ``{"raw": float32 (samples,), "sampling_rate": int, "stride": (left, right), "partial": bool}`` with the
    samples at both ends that are only context: an input of the pipelines for speech recognition and audio
    classification. A partial window is a preview, of the same beginning, of the one that follows.

    Args:
        source: an iterable of blocks, each what a microphone's callback is given: ``(samples,)`` or ``(samples,
            channels)``, of any length, floats or integers; or a file, as a path, bytes or a file object.
        sampling_rate: that of the model, in Hz.
        chunk_length_s: seconds of a window, context included.
        stream_chunk_s: seconds after which a window is shown although it is not complete; None shows no partial ones.
        stride_length_s: seconds of context at both ends, or at the left and at the right; None for a sixth of a window.
        source_rate: that of the blocks, in Hz; None where it is the model's. A file tells its own.

    Raises:
        OptionError: malformed lengths or rates.
        InputError: a block or file that is no sound.
        MissingDependencyError: soundfile or soxr is not installed, where a file or another rate needs them.

    Example:
        >>> microphone = iter(queue.get, None)      # blocks that another thread puts there  # doctest: +SKIP
        >>> windows = stream_audio(microphone, 16000, 5, stream_chunk_s=1, source_rate=48000)      # doctest: +SKIP
        >>> for answer in transcribe(windows): print(answer["text"], answer["partial"])      # doctest: +SKIP
    """
    rate = check_rate(sampling_rate)
    windows = _sizes(rate, chunk_length_s, stream_chunk_s, stride_length_s)
    if isinstance(source, (str, bytes, bytearray)) or hasattr(source, "__fspath__") or hasattr(source, "read"):
        if source_rate is not None:
            raise OptionError("source_rate is for blocks of samples: a file tells its own rate")
        return _from_file(source, rate, windows)
    if not isinstance(source, Iterable) or is_array(source):
        raise InputError(f"a stream is an iterable of blocks of samples or a file, not {type(source).__name__}")
    given = rate if source_rate is None else check_rate(source_rate)
    return _windowed(map(mono, source), Resampler(given, rate), rate, windows)


def _sizes(rate: int, length: float, step: float | None, stride: float | Sequence[float] | None) -> _Windows:
    sides = list(stride) if isinstance(stride, (list, tuple)) else [stride, stride]
    seconds: list[Any] = [length, *sides, length if step is None else step]
    if stride is None and _is_number(length):
        seconds[1:3] = [length / 6, length / 6]
    if len(seconds) != 4 or not all(map(_is_number, seconds)):
        raise OptionError(f"lengths must be numbers of seconds, a stride one or two of them, not {seconds}")
    return _Windows(*(round(rate * value) for value in seconds))  # as transformers rounds them


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _from_file(source: Any, rate: int, windows: _Windows) -> Iterator[dict[str, Any]]:
    with opened(source, rate) as (given, blocks):
        yield from _windowed(blocks, Resampler(given, rate), rate, windows)


def _windowed(
    blocks: Iterable[Samples], resampler: Resampler, rate: int, windows: _Windows
) -> Iterator[dict[str, Any]]:
    held = np.zeros(0, np.float32)
    left = 0  # the first window has no context at its left
    for step in _steps(blocks, resampler, windows.step):
        held = np.concatenate([held, step])
        if len(held) < windows.length:
            yield _window(held, rate, (left, 0), partial=True)
        while len(held) >= windows.length:
            yield _window(held[: windows.length], rate, (left, windows.right), partial=False)
            left = windows.left
            held = held[windows.length - windows.left - windows.right :]
    if len(held) > left:
        yield _window(held, rate, (left, 0), partial=False)


def _window(samples: Samples, rate: int, stride: tuple[int, int], *, partial: bool) -> dict[str, Any]:
    return {"raw": samples.copy(), "sampling_rate": rate, "stride": stride, "partial": partial}


def _steps(blocks: Iterable[Samples], resampler: Resampler, size: int) -> Iterator[Samples]:
    """Resampled sound in steps of one size; the last may be shorter."""
    held: list[Samples] = []
    count = 0

    def add(samples: Samples) -> Iterator[Samples]:
        nonlocal held, count
        held.append(samples)
        count += len(samples)
        if count >= size:
            joined = np.concatenate(held)
            for start in range(0, count - size + 1, size):
                yield joined[start : start + size]
            held, count = [joined[count - count % size :]], count % size

    for block in blocks:
        yield from add(resampler(block))
    yield from add(resampler.finish())
    if count:
        yield np.concatenate(held)
