"""CTranslate2: BERT's encoder, Wav2Vec2 with transformers' processor, Whisper with faster-whisper's log-mel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctranslate2  # type: ignore[import-not-found]
import numpy as np
import tokenizers

from ..recognition_worker import NEW_TOKENS, THREADS, Works, model_type

_PRECISIONS = {"fp32": "float32", "int8": "int8"}
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
    kind, works = _KINDS[model_type(checkpoint) or ""]
    model = kind(str(folder), compute_type=_PRECISIONS[precision], inter_threads=1, intra_threads=THREADS)
    return works(model, checkpoint)


def _tagging(model: Any, checkpoint: Path) -> Works:
    """The encoder, and the last product in NumPy: it has none."""
    from safetensors.numpy import load_file

    weights = load_file(checkpoint / "model.safetensors")
    classifier, bias = np.ascontiguousarray(weights["classifier.weight"].T), weights["classifier.bias"]

    def tags(ids: Any) -> Any:
        view = ctranslate2.StorageView.from_array(ids.astype(np.int32))
        lengths = ctranslate2.StorageView.from_array(np.full(len(ids), ids.shape[1], np.int32))
        return np.array(model.forward_batch(view, lengths).last_hidden_state) @ classifier + bias

    return {"tags": tags}


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


_KINDS: dict[str, tuple[Any, Callable[[Any, Path], Works]]] = {
    "bert": (ctranslate2.Encoder, _tagging),
    "wav2vec2": (ctranslate2.models.Wav2Vec2, _ctc),
    "whisper": (ctranslate2.models.Whisper, _whisper),
}
