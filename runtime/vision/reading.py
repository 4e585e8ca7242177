"""Reading a picture from whatever holds it, as RGB and upright."""

from __future__ import annotations

import base64
import io
import os
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..errors import InputError, MissingDependencyError, OptionError, user_stacklevel
from ..session import Array

if TYPE_CHECKING:
    from PIL import Image

ResultT = TypeVar("ResultT")

# Pixels (width x height) of a picture that is still decoded: the number at which Pillow begins to warn.
MAX_PIXELS = 89_478_485

_ORIENTATION = 0x0112  # the EXIF tag
# Filters of warnings belong to the process, and must be put back in the order in which they were changed.
_LOCK = Lock()
# What Pillow raises for damaged files.
_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, struct.error)
# Modes of more than 8 bits, whose values above 255 are lost in RGB.
_WIDE_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
_CHANNELS = (1, 3, 4)


def load_image(source: Any, max_pixels: int | None = MAX_PIXELS) -> Image.Image:
    """A picture as RGB, turned as its EXIF data say, exactly as ``transformers.image_utils.load_image`` makes it.

    That is by Pillow's conversion: transparency is dropped and not blended, of an animation the first frame is taken,
    and values above 255 of 16-bit grey pictures are cut, with a warning.

    Args:
        source: a path; ``bytes``; a binary file object; base64 text, also as ``data:image/png;base64,...``; a PIL
            image; or an array ``(height, width)``, ``(height, width, channels)`` or ``(channels, height, width)`` with
            1, 3 or 4 channels, of whole numbers from 0 to 255 or of floats from 0 to 1. Where both the first and the
            last axis may be the channels, the last is.
        max_pixels: a picture of more pixels is refused before it is decoded; None leaves it to Pillow's own limit.

    Raises:
        InputError: it is not there, no picture, damaged, or too large.
        OptionError: ``max_pixels`` is malformed.
        MissingDependencyError: Pillow is not installed.

    Example:
        >>> load_image(np.zeros((2, 3), np.uint8)).size      # (width, height)
        (3, 2)
    """
    check_max_pixels(max_pixels)
    module = pillow()
    if isinstance(source, module.Image):
        return _as_rgb(source, "the picture", max_pixels)
    if isinstance(source, np.ndarray) or (hasattr(source, "__array__") and not isinstance(source, (str, bytes))):
        pixels = _pixels(np.asarray(source))
        _check_size(pixels.shape[1], pixels.shape[0], "the array", max_pixels)
        return _as_rgb(module.fromarray(pixels), "the array", max_pixels)
    file, what = _opened(source)
    with file, _identified(file, what) as image:
        return _as_rgb(image, what, max_pixels)


def check_max_pixels(count: Any) -> None:
    """Check a limit on pixels.

    Raises:
        OptionError: it is neither a positive integer nor None.
    """
    if count is not None and (type(count) is not int or count < 1):
        raise OptionError(f"max_pixels must be a positive integer or None, not {count!r}")


def pillow() -> Any:
    """The module ``PIL.Image``, imported on first use.

    Raises:
        MissingDependencyError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError(f"pictures need Pillow ({error}): pip install 'torchless[vision]'") from error
    return Image


def _identified(file: IO[bytes], what: str) -> Image.Image:
    """The picture of a file, of which only the head is read."""
    module = pillow()
    try:
        found: Image.Image = _calmly(lambda: module.open(file))
    except module.UnidentifiedImageError as error:
        raise InputError(f"{what} is not a picture of a format that Pillow reads") from error
    except module.DecompressionBombError as error:
        raise InputError(f"{what} is refused by Pillow, see PIL.Image.MAX_IMAGE_PIXELS: {error}") from error
    except _DAMAGED as error:
        raise InputError(f"{what} cannot be decoded: {error}") from error
    return found


def _calmly(step: Callable[[], ResultT]) -> ResultT:
    """Let Pillow warn, and go on where the program makes errors of warnings: they are no reason to refuse a picture."""
    try:
        return step()
    except Warning:
        with _LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return step()


def _as_rgb(image: Image.Image, what: str, max_pixels: int | None) -> Image.Image:
    from PIL import ImageOps

    width, height = image.size
    _check_size(width, height, what, max_pixels)
    try:
        _calmly(image.load)
    except _DAMAGED as error:
        raise InputError(f"{what} cannot be decoded: {error}") from error
    try:
        if 2 <= _calmly(image.getexif).get(_ORIENTATION, 1) <= 8:
            image = _calmly(lambda: ImageOps.exif_transpose(image))
    except _DAMAGED:
        pass  # a picture without its rotation is better than none
    _warn_if_cut(image, what)
    if image.mode == "P" and "transparency" in image.info:
        image = image.copy()  # Pillow would warn that it drops the transparency
        del image.info["transparency"]
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise InputError(f"{what} has the mode {image.mode!r}, which Pillow cannot make RGB: {error}") from error


def _check_size(width: int, height: int, what: str, max_pixels: int | None) -> None:
    if width < 1 or height < 1:
        raise InputError(f"{what} has no pixels: it is {width} x {height}")
    if max_pixels is not None and width * height > max_pixels:
        raise InputError(f"{what} is {width} x {height}: more than max_pixels={max_pixels:,}")


def _warn_if_cut(image: Image.Image, what: str) -> None:
    if image.mode in _WIDE_MODES:
        lowest, highest = image.getextrema()
        if float(lowest) < 0 or float(highest) > 255:  # type: ignore[arg-type]
            warnings.warn(
                f"{what} has values from {lowest} to {highest}; as in transformers, what is outside of 0 to 255 is "
                "cut: scale it to 8 bits first",
                stacklevel=user_stacklevel(),
            )


def _opened(source: Any) -> tuple[IO[bytes], str]:
    """An open file, which the caller closes, and what to call it."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _in_memory(bytes(source), "the picture")
    if isinstance(source, str):
        return _opened_text(source)
    if isinstance(source, os.PathLike):
        return _opened_path(os.fspath(source))
    if hasattr(source, "read"):
        try:
            content = source.read()
        except (OSError, ValueError) as error:
            raise InputError(f"the file object cannot be read: {error}") from error
        if not isinstance(content, bytes):
            raise InputError("a file object must be opened for binary reading, mode 'rb'")
        return _in_memory(content, "the file object")
    raise InputError(
        "a picture is a path, bytes, a binary file object, base64 text, a PIL image or an array, "
        f"not {type(source).__name__}"
    )


def _in_memory(content: bytes, what: str) -> tuple[IO[bytes], str]:
    if not content:
        raise InputError(f"{what} is empty: 0 bytes")
    return io.BytesIO(content), what


def _opened_path(path: str | bytes) -> tuple[IO[bytes], str]:
    name = os.fsdecode(path)
    try:
        if Path(name).stat().st_size == 0 and Path(name).is_file():
            raise InputError(f"{name:.200} is empty: 0 bytes")
        return Path(name).open("rb"), name[:200]
    except FileNotFoundError as error:
        raise InputError(f"there is no file {name:.200}") from error
    except OSError as error:
        raise InputError(f"cannot read {name:.200}: {error.strerror}") from error


def _opened_text(text: str) -> tuple[IO[bytes], str]:
    """A file by its path, or what base64 text holds."""
    if text.startswith(("http://", "https://")):
        raise InputError(f"torchless downloads no pictures: give the content of {text:.200} as bytes")
    if not text.startswith("data:") and _is_there(text):
        return _opened_path(text)
    encoded = text.partition(",")[2] if text.startswith("data:") else text
    try:
        content = base64.b64decode("".join(encoded.split()), validate=True)
    except ValueError:
        content = b""
    if text.startswith("data:"):
        if not content:
            raise InputError(f"{text:.40}... is not data:image/...;base64,... with a picture in base64")
        return _in_memory(content, "the picture in base64")
    # A path such as images/cats is base64 as well, and its meaning is no picture.
    if len(content) < 32:
        raise InputError(f"there is no file {text:.200}")
    return _in_memory(content, f"{text:.40}..., no file but base64,")


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long to be a path, or with a null character
        return False


def _pixels(array: Array) -> Array:
    """An array of numbers as uint8 ``(height, width)`` or ``(height, width, 3 or 4)``."""
    if array.ndim == 3 and array.shape[-1] not in _CHANNELS and array.shape[0] in _CHANNELS:
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[-1] in _CHANNELS):
        raise InputError(
            "an array must be (height, width), (height, width, channels) or (channels, height, width) with 1, 3 or 4 "
            f"channels, not {array.shape}"
        )
    if array.size == 0:
        raise InputError(f"an array without pixels: {array.shape}")
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "iuf":
        raise InputError(f"an array of pixels holds whole numbers or floats, not {array.dtype}")
    lowest, highest = float(array.min()), float(array.max())
    limit = 1 if array.dtype.kind == "f" else 255
    if not (lowest >= 0 and highest <= limit):  # nor where they are not numbers
        raise InputError(
            f"an array of {array.dtype} must have values from 0 to {limit}, not from {lowest:g} to {highest:g}"
        )
    scaled = np.rint(array.astype(np.float64) * 255) if array.dtype.kind == "f" else array
    return np.ascontiguousarray(scaled, dtype=np.uint8)
