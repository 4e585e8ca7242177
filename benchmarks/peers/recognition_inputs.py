"""What recognition is given: random words, sound like noise that someone speaks with, pictures of coloured clouds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE = 16000
TOKENS = range(1000, 30000)
"""Ids of ordinary words, the same in every model that reads."""

# What is calibrated by: as much as takes a minute or two.
_TEXTS, _LENGTHS = 64, (16, 256)
_CLIPS, _CLIP_S = 32, 4
_PICTURES = 64


def write(work: str, batch: int, size: int, path: Path) -> None:
    """Write the inputs of a work: an array (batch, ...) as .npy, or a picture as .jpg.

    Args:
        work: what is done with them.
        batch: rows.
        size: seconds of sound, or tokens of text.
        path: of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(batch * 1000 + size)
    if path.suffix == ".jpg":
        clouds(rng, 640, 480).save(path, quality=90)
    elif work == "logits":
        pictures = np.stack([np.asarray(clouds(rng, 224, 224), np.float32) for _ in range(batch)])
        np.save(path, np.ascontiguousarray(pictures.transpose(0, 3, 1, 2) / 127.5 - 1))
    elif work == "tags":
        np.save(path, rng.integers(TOKENS.start, TOKENS.stop, (batch, size)))
    else:
        np.save(path, np.stack([clip(rng, size) for _ in range(batch)]))


def write_calibration(kind: str, path: Path) -> None:
    """Write what activations are calibrated by, of the same kind as the inputs, and others than these.

    Args:
        kind: what is read: "text", a file of a text on each line; "audio" or "image", a folder of files.
        path: of the file or the folder.
    """
    rng = np.random.default_rng(1)
    if kind == "text":
        lengths = rng.integers(*_LENGTHS, _TEXTS)
        rows = [rng.integers(TOKENS.start, TOKENS.stop, length) for length in lengths]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(" ".join(f"w{index}" for index in row) + "\n" for row in rows), encoding="utf-8")
        return
    path.mkdir(parents=True, exist_ok=True)
    if kind == "image":
        for index in range(_PICTURES):
            clouds(rng, 640, 480).save(path / f"{index:02}.png")
        return
    import soundfile

    for index in range(_CLIPS):
        soundfile.write(path / f"{index:02}.wav", clip(rng, _CLIP_S), RATE)


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


def clouds(rng: np.random.Generator, width: int, height: int) -> Any:
    """A Pillow picture."""
    from PIL import Image

    small = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)
