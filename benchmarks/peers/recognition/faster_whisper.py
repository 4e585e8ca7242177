"""faster-whisper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faster_whisper import WhisperModel  # type: ignore[import-not-found]
from faster_whisper.feature_extractor import FeatureExtractor  # type: ignore[import-not-found]

from ..recognition_worker import NEW_TOKENS, THREADS, Works, model_type
from . import ctranslate2

_PRECISIONS = {"fp32": "float32", "int8": "int8"}
_PROMPT = 4  # tokens


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Convert, with the tokenizer and the extractor's numbers."""
    if model_type(checkpoint) is not None:
        ctranslate2.prepare(checkpoint, folder, precision)


def load(checkpoint: Path, folder: Path, precision: str) -> Works:
    """The model, or its log-mel alone."""
    if model_type(checkpoint) is None:
        hear = FeatureExtractor()
        return {"log-mel": lambda clips: hear(clips[0])[None]}
    model = WhisperModel(str(folder), device="cpu", compute_type=_PRECISIONS[precision], cpu_threads=THREADS)
    return {"speech": lambda clips: [_transcribe(model, clip) for clip in clips]}


def _transcribe(model: Any, clip: Any) -> str:
    """One attempt, without timestamps, whatever its probability."""
    segments, _ = model.transcribe(
        clip, language="en", task="transcribe", beam_size=1, temperature=0.0,
        max_new_tokens=ctranslate2.MAX_LENGTH - _PROMPT,
        without_timestamps=True, condition_on_previous_text=False, suppress_blank=False, suppress_tokens=[],
        compression_ratio_threshold=None, log_prob_threshold=None, no_speech_threshold=None, vad_filter=False,
    )  # fmt: skip
    found = list(segments)
    count = sum(len(segment.tokens) for segment in found)
    if count != NEW_TOKENS:
        raise ValueError(f"{count} tokens instead of {NEW_TOKENS}")
    return "".join(segment.text for segment in found)
