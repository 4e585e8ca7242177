"""transformers' log-mel where it does without torch."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from ..recognition_worker import Works
from .transformers import features


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Nothing: it reads the checkpoint."""


def load(checkpoint: Path, folder: Path, precision: str) -> Works:
    """The extractor of speech; it has another way for pictures only with torchvision."""
    whisper: Any = import_module("transformers.models.whisper.feature_extraction_whisper")
    whisper.is_torch_available = lambda: False
    return {"log-mel": features(checkpoint)["log-mel"]}
