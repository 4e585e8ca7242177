"""transformers' log-mel where it does without torch."""

from __future__ import annotations

from pathlib import Path

from transformers.models.whisper import feature_extraction_whisper as whisper

from ..media_worker import Works
from .transformers import features


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Nothing: it reads the checkpoint."""


def load(checkpoint: Path, folder: Path, precision: str) -> Works:
    """The extractor of speech; it has another way for pictures only with torchvision."""
    whisper.is_torch_available = lambda: False
    return {"log-mel": features(checkpoint)["log-mel"]}
