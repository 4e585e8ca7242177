"""Pictures and settings of image processors, for recording what transformers makes of them and for comparing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RECORDED = Path(__file__).parent / "recorded" / "images.json"

SIZES = ((64, 48), (37, 91), (5, 30), (250, 190))  # width, height
_CROP = {"height": 41, "width": 52}

# Class to the settings that it is made with; {} are its defaults in transformers 4.57.6.
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "ViTImageProcessor": [
        {},
        *({"size": {"height": 33, "width": 40}, "resample": mode} for mode in range(6)),
        {"size": 30},
        {"do_resize": False},
        {"do_rescale": False},
        {"do_normalize": False},
        {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "rescale_factor": 1 / 127.5},
    ],
    "DeiTImageProcessor": [{}, {"size": 30, "crop_size": _CROP}, {"do_resize": False, "crop_size": _CROP}],
    "BeitImageProcessor": [{}, {"do_center_crop": False, "size": 64}],
    "ConvNextImageProcessor": [
        {},
        *({"size": {"shortest_edge": 60}, "crop_pct": share} for share in (0.7, 0.875, 1.0)),
        {"size": 224, "resample": 3},
    ],
    "CLIPImageProcessor": [{}, *({"size": {"shortest_edge": 45}, "crop_size": _CROP, "resample": m} for m in range(6))],
    "BitImageProcessor": [{}, {"size": {"shortest_edge": 60}, "do_center_crop": False}],
    # Its own size, a shorter edge, is one that it cannot read in 4.57.6.
    "ChineseCLIPImageProcessor": [{"size": {"height": 50, "width": 60}, "crop_size": _CROP}],
    "MobileNetV1ImageProcessor": [{}, {"size": 50, "crop_size": 45}],
    "MobileNetV2ImageProcessor": [{}, {"size": {"height": 50, "width": 60}, "crop_size": 45}],
    "MobileViTImageProcessor": [{}, {"size": 50, "crop_size": 45, "do_flip_channel_order": False}],
    "EfficientNetImageProcessor": [
        {},
        {"size": 40, "rescale_offset": True, "rescale_factor": 1 / 127.5},
        {"size": 40, "include_top": False},
    ],
    "PvtImageProcessor": [{}],
    "LevitImageProcessor": [{}, {"size": {"height": 50, "width": 60}, "crop_size": 45}],
    "PoolFormerImageProcessor": [{}, {"size": {"height": 50, "width": 60}, "crop_pct": 0.8, "crop_size": 45}],
    "SiglipImageProcessor": [{}],
}

# Problem of a checkpoint, its logits, and the pipeline's options.
LOGITS: list[list[float]] = [[4.0, 1.6, 0.0], [0.8], [-2.4]]
PROBLEMS = (None, "regression", "single_label_classification", "multi_label_classification")
OPTIONS: list[dict[str, Any]] = [
    {},
    {"top_k": None},
    {"top_k": 1},
    {"top_k": 2, "function_to_apply": "none"},
    {"top_k": 9, "function_to_apply": "SIGMOID"},
    {"function_to_apply": "softmax"},
]


def picture(width: int, height: int) -> Image.Image:
    """Slopes, waves and noise without a generator of random numbers, which might change."""
    rows, columns = np.mgrid[:height, :width].astype(np.int64)
    red = 255 * columns // width
    green = (columns * columns + 5 * rows * columns + 11 * rows) % 256
    blue = (rows * 2654435761 + columns * 40503 + rows * columns * 97) // 64 % 256
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))


def summary(pixels: NDArray[np.float32]) -> dict[str, Any]:
    """A checksum, and a few numbers that show by how much another result differs."""
    places = np.linspace(0, pixels.size - 1, 6).astype(int)
    return {
        "shape": list(pixels.shape),
        "sha256": hashlib.sha256(np.ascontiguousarray(pixels, np.float32).tobytes()).hexdigest(),
        "values": [float(f"{value:.9g}") for value in pixels.ravel()[places]],
    }


def recorded() -> dict[str, Any]:
    """What ``record_images.py`` has written."""
    content: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return content
