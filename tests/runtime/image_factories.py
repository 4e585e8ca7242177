"""Bundles that see: graphs whose answers are the mean colours of a picture, and pictures in files."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .factories import save_graph

PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 4, "width": 6},
    "resample": 0,
    "do_normalize": False,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
}
COLOURS = ("red", "green", "blue")
# A logit is the mean of a colour times this number.
SCALE = 4.0

_CLASSIFIER = """(float[{batch}, 3, {height}, {width}] pixel_values) => (float[batch, classes] logits) {{
    mean = ReduceMean<axes = [2, 3], keepdims = 0>(pixel_values)
    logits = MatMul(mean, weights)
}}"""
_ENCODER = """(float[batch, 3, height, width] pixel_values) => (
    float[batch, length, 3] last_hidden_state{output}
) {{
    rows = Transpose<perm = [0, 2, 3, 1]>(pixel_values)
    shape = Constant<value_ints = [0, -1, 3]>()
    last_hidden_state = Reshape(rows, shape)
    {pooler}
}}"""


def make_classifier(
    folder: Path,
    *,
    batch: str | int = "batch",
    size: tuple[str | int, str | int] = ("height", "width"),
    processor: dict[str, Any] | None = None,
    labels: tuple[str, ...] = COLOURS,
    weights: Sequence[Sequence[float]] | None = None,
    **config: Any,
) -> Path:
    """A bundle whose logits are 4 times the mean of red, green and blue, or that mean times ``weights``."""
    text = _CLASSIFIER.format(batch=batch, height=size[0], width=size[1])
    matrix = np.array(np.eye(3) * SCALE if weights is None else weights, np.float32)
    save_graph(folder / "onnx" / "model.onnx", text, {"weights": matrix})
    content = {"model_type": "vit", "architectures": ["ViTForImageClassification"]}
    content["id2label"] = {str(index): label for index, label in enumerate(labels)}
    return _write(folder, content | config, processor)


def make_encoder(folder: Path, *, pooler: bool = True, processor: dict[str, Any] | None = None) -> Path:
    """A bundle whose hidden states are the pixels, and whose pooler takes their mean."""
    line = "pooler_output = ReduceMean<axes = [1], keepdims = 0>(last_hidden_state)"
    output = ", float[batch, 3] pooler_output" if pooler else ""
    text = _ENCODER.format(output=output, pooler=line if pooler else "")
    save_graph(folder / "onnx" / "model.onnx", text)
    return _write(folder, {"model_type": "vit", "architectures": ["ViTModel"]}, processor)


def _write(folder: Path, config: dict[str, Any], processor: dict[str, Any] | None) -> Path:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR | (processor or {})), encoding="utf-8")
    return folder


def plain(colour: Any, size: tuple[int, int] = (8, 5), mode: str = "RGB") -> Image.Image:
    """A picture of one colour, (width, height)."""
    return Image.new(mode, size, colour)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture of random pixels: nothing that is nearly right comes out equal."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture's file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
