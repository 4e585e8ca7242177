"""What speech and vision are given: sound like noise that someone speaks with, and a picture of coloured clouds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 16000


def write(work: str, batch: int, seconds: int, path: Path) -> None:
    """Write the inputs of a work: an array (batch, ...) of float32 as .npy, or a picture as .jpg."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(batch * 100 + seconds)
    if path.suffix == ".jpg":
        _write_picture(rng, path)
    elif work == "logits":
        np.save(path, rng.standard_normal((batch, 3, 224, 224), dtype=np.float32))
    else:
        np.save(path, np.stack([clip(rng, seconds) for _ in range(batch)]))


def clip(rng: np.random.Generator, seconds: int) -> NDArray[np.float32]:
    """Noise of changing colour and strength, a few times in a second, (samples,)."""
    count = seconds * RATE
    time = np.arange(count) / RATE
    places = np.arange(0, seconds, 0.15)
    noise = rng.standard_normal(count)
    pitch = np.interp(time, places, rng.uniform(80, 3000, len(places)))
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    colour, strength = (np.interp(time, places, rng.uniform(0, 1, len(places))) for _ in range(2))
    sound: NDArray[np.float32] = (0.2 * strength * (colour * noise + (1 - colour) * tone)).astype(np.float32)
    return sound


def _write_picture(rng: np.random.Generator, path: Path) -> None:
    from PIL import Image

    clouds = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    clouds.resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)
