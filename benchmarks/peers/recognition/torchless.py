"""This project: the pipelines; for ids or pixels to logits the bundle's session, for features the extractors alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from torchless.audio import feature_extractor
from torchless.bundle import Bundle
from torchless.pipelines import pipeline
from torchless.vision import image_processor

from ..recognition_worker import NEW_TOKENS, THREADS, Works, model_type
from ..torchless import write
from .calibration import source


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Export one precision."""
    if model_type(checkpoint) is not None:
        write(checkpoint, folder, precision, source(checkpoint) if precision == "int8-static" else None)


def load(checkpoint: Path, folder: Path, precision: str) -> Works:
    """What the checkpoint is for."""
    kind = model_type(checkpoint)
    if kind is None:
        return _features(checkpoint)
    bundle = Bundle.open(folder, threads=THREADS, dtype=precision)
    if kind == "bert":
        return _tagging(bundle)
    return _pictures(bundle) if kind == "vit" else _speech(bundle, generates=kind == "whisper")


def _tagging(bundle: Bundle) -> Works:
    """Ids that are all of one text, and their logits."""
    session = bundle.session("model")

    def tags(ids: Any) -> Any:
        arrays = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        return session.run(arrays)["logits"]

    return {"tags": tags}


def _speech(bundle: Bundle, *, generates: bool) -> Works:
    recognize: Any = pipeline("automatic-speech-recognition", bundle)
    greedy = {"language": "en", "num_beams": 1, "max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS}
    options = greedy if generates else {}
    return {"speech": lambda clips: [answer["text"] for answer in recognize(list(clips), **options)]}


def _pictures(bundle: Bundle) -> Works:
    classify: Any = pipeline("image-classification", bundle)
    session = bundle.session("model")
    return {
        "logits": lambda pixels: session.run({"pixel_values": pixels})["logits"],
        "label": lambda path: [classify(path, top_k=1)[0]["label"]],
    }


def _features(checkpoint: Path) -> Works:
    hear, see = feature_extractor(_read(checkpoint / "whisper")), image_processor(_read(checkpoint / "vit"))
    return {
        "log-mel": lambda clips: hear(list(clips))["input_features"],
        "pixels": lambda path: see([path])["pixel_values"],
    }


def _read(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    return content
