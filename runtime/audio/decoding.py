"""Sound files, read block by block through soundfile: WAV, FLAC, OGG, MP3 and what else libsndfile knows."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError, MissingDependencyError
from .samples import Samples, check_finite

# Samples, of all channels, that are decoded at a time: what bounds the memory beside that of the result.
_BLOCK = 1 << 20
# How libsndfile's log tells that a file ends before its header says.
_TRUNCATED = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
# Sizes from here on are written by those who do not know the size yet, as ffmpeg into a pipe.
_UNKNOWN_SIZE = 0x7FFFF000


class SoundFile:
    """An opened file of sound.

    Attributes:
        rate: its samples per second.
    """

    def __init__(self, file: Any, name: str) -> None:
        self._file = file
        self._name = name
        self.rate: int = file.samplerate

    @property
    def seconds(self) -> float:
        """How long it says it is; 0 where it does not say."""
        return max(int(self._file.frames), 0) / self.rate

    def blocks(self) -> Iterator[Samples]:
        """Its samples, mono, in float32 blocks ``(samples,)``.

        Raises:
            InputError: it is damaged, or holds NaN or infinite samples.
        """
        start = 0
        frames = max(_BLOCK // self._file.channels, 1)
        with _own_errors(self._name):
            while len(block := self._file.read(frames, dtype="float32", always_2d=True)):
                samples = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
                check_finite(samples, start)
                start += len(samples)
                yield samples


@contextmanager
def open_sound(source: Any) -> Iterator[SoundFile]:
    """Open a file of sound.

    Args:
        source: a path, the bytes of a file, or a binary file object, which is read to its end.

    Raises:
        InputError: there is no such file, or it is no sound, or ends before its header says.
        MissingDependencyError: soundfile is not installed.
    """
    module = soundfile()
    readable, name = _readable(source)
    with _own_errors(name):
        file = module.SoundFile(readable)
    with file:
        _check_complete(file, name)
        yield SoundFile(file, name)


def soundfile() -> Any:
    """The ``soundfile`` module.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: no libsndfile on this platform
        raise MissingDependencyError(
            f"reading sound files needs soundfile, which cannot be imported ({error}): pip install 'torchless[audio]'"
        ) from error
    return soundfile


def _readable(source: Any) -> tuple[Any, str]:
    """What soundfile opens, and what to call it."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source), f"the {len(source)} bytes given"
    if hasattr(source, "read"):
        content = source.read()
        if not isinstance(content, bytes):
            raise InputError("a file object must be opened in binary mode, as by open(path, 'rb')")
        return io.BytesIO(content), str(getattr(source, "name", "the file object"))
    if not isinstance(source, (str, os.PathLike)):
        raise InputError(
            f"a sound is a path, bytes, a binary file object, an array of samples or a dictionary of samples and "
            f"sampling rate, not {type(source).__name__}"
        )
    path = Path(os.fsdecode(source))
    if "://" in os.fsdecode(source):
        raise InputError(f"{source} is an address: download the file and give its path or its bytes")
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, not a file of sound")
        with path.open("rb"):
            return str(path), str(path)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot read {path}: {error}") from error


@contextmanager
def _own_errors(name: str) -> Iterator[None]:
    """Turn soundfile's errors into ours."""
    module = soundfile()
    try:
        yield
    except module.SoundFileError as error:
        reason = str(getattr(error, "error_string", error)).strip()
        raise InputError(f"{name} is no sound that can be read, or is damaged: {reason}") from error
    except TypeError as error:  # a file without a header, which soundfile knows by its ending
        raise InputError(f"{name} has no header that tells its sampling rate: {error}") from error


def _check_complete(file: Any, name: str) -> None:
    found = _TRUNCATED.search(file.extra_info)
    if found is None:
        return
    declared, there = int(found[1]), int(found[2])
    if there < declared < _UNKNOWN_SIZE:
        raise InputError(f"{name} is cut short: of {declared} bytes of samples {there} are there")
