"""CTranslate2: Wav2Vec2 with the processor of transformers, Whisper with the log-mel of faster-whisper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ctranslate2  # type: ignore[import-not-found]
import numpy as np
import tokenizers

from ..media_worker import NEW_TOKENS, THREADS, Works, model_type

_PRECISIONS = {"fp32": "float32"}
# Of which the new tokens may take half.
MAX_LENGTH = 2 * NEW_TOKENS
_PROMPT = ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Convert."""
    files = ["tokenizer.json", "preprocessor_config.json"] if model_type(checkpoint) == "whisper" else []
    converter = ctranslate2.converters.TransformersConverter(str(checkpoint), copy_files=files)
    converter.convert(str(folder), quantization=_PRECISIONS[precision], force=True)


def load(checkpoint: Path, folder: Path, precision: str) -> Works:
    """The model."""
    kind = ctranslate2.models.Whisper if model_type(checkpoint) == "whisper" else ctranslate2.models.Wav2Vec2
    model = kind(str(folder), compute_type=_PRECISIONS[precision], inter_threads=1, intra_threads=THREADS)
    return _whisper(model, checkpoint) if model_type(checkpoint) == "whisper" else _ctc(model, checkpoint)


def _ctc(model: Any, checkpoint: Path) -> Works:
    import transformers

    kind: Any = transformers.Wav2Vec2Processor
    processor = kind.from_pretrained(checkpoint)

    def speech(clips: Any) -> list[str]:
        values = processor(list(clips), sampling_rate=16000, return_tensors="np").input_values
        logits = np.array(model.encode(ctranslate2.StorageView.from_array(values[:, None]), to_cpu=True))
        texts: list[str] = processor.batch_decode(logits.argmax(axis=-1))
        return texts

    return {"speech": speech}


def _whisper(model: Any, checkpoint: Path) -> Works:
    from faster_whisper.feature_extractor import FeatureExtractor  # type: ignore[import-not-found]

    hear = FeatureExtractor()
    tokenizer = tokenizers.Tokenizer.from_file(str(checkpoint / "tokenizer.json"))

    def speech(clips: Any) -> list[str]:
        features = np.stack([hear(clip)[:, : hear.nb_max_frames] for clip in clips])
        results = model.generate(
            ctranslate2.StorageView.from_array(features), [_PROMPT] * len(clips), beam_size=1,
            max_length=MAX_LENGTH, suppress_blank=False, suppress_tokens=None,
        )  # fmt: skip
        rows = [result.sequences_ids[0] for result in results]
        if any(len(row) != NEW_TOKENS for row in rows):
            raise ValueError(f"{[len(row) for row in rows]} tokens instead of {NEW_TOKENS}")
        return [tokenizer.decode(row) for row in rows]

    return {"speech": speech}
