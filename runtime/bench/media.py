"""Sounds and pictures for models that hear and see."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..vision.processing import ImageProcessor

_PITCHES_HZ = (110.0, 220.0, 330.0, 880.0)
_LOUDEST_TONE, _NOISE = 0.1, 0.05
# A picture that no processor refuses, to see what it makes of one.
_SEEN = (256, 256)


def sound(seconds: float, sampling_rate: int, seed: int) -> NDArray[np.float32]:
    """Tones in noise, which nobody takes for silence: ``(samples,)``.

    Args:
        seconds: how long.
        sampling_rate: in Hz.
        seed: of the noise, and of how loud each tone is.
    """
    chance = np.random.default_rng(seed)
    times = np.arange(max(1, round(seconds * sampling_rate))) / sampling_rate
    samples = chance.normal(scale=_NOISE, size=times.size)
    for pitch in _PITCHES_HZ:
        samples += chance.uniform(0, _LOUDEST_TONE) * np.sin(2 * np.pi * pitch * times)
    return samples.astype(np.float32)


def seconds(source: Any, sampling_rate: int) -> float:
    """How long a recording is.

    Raises:
        InputError: it cannot be read.
    """
    from ..audio import load_audio

    return len(load_audio(source, sampling_rate)) / sampling_rate


def beyond_window(bundle: Bundle, task: str, longest: float) -> dict[str, Any]:
    """Options with which speech is recognized that is longer than what Whisper hears at once.

    Args:
        bundle: the model.
        task: its pipeline's.
        longest: seconds of the longest recording.
    """
    window = getattr(bundle.feature_extractor, "chunk_length_s", None)
    if task != "automatic-speech-recognition" or bundle.config.get("model_type") != "whisper" or window is None:
        return {}
    return {"return_timestamps": True} if longest > window else {}


def picture(size: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """A picture of random colours, ``(height, width, 3)``."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def seen(processor: ImageProcessor) -> tuple[int, int]:
    """Height and width that a processor brings pictures to."""
    from ..vision import load_image

    _, height, width = processor.pixels(load_image(picture(_SEEN, 0))).shape
    return height, width


def size(source: Any) -> tuple[int, int]:
    """Height and width of a picture.

    Raises:
        InputError: it cannot be read.
    """
    from ..vision import load_image

    image = load_image(source)
    return image.height, image.width
