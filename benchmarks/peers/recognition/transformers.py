"""transformers' processors and models on torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image

from ..recognition_worker import NEW_TOKENS, THREADS, Works, model_type


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Nothing: it reads the checkpoint."""


def load(checkpoint: Path, folder: Path, precision: str) -> Works:
    """What the checkpoint is for; attention is torch's own fused one."""
    torch.set_num_threads(THREADS)
    quiet()
    kind = model_type(checkpoint)
    if kind is None:
        return features(checkpoint)
    return works(kind, network(checkpoint), checkpoint)


def works(kind: str, model: Any, checkpoint: Path, **generation: Any) -> Works:
    """What a model of a kind is for; Whisper generates with these options beside its own."""
    if kind == "whisper":
        return _whisper(model, checkpoint, generation)
    return {"bert": _tagging, "wav2vec2": _ctc, "vit": _pictures}[kind](model, checkpoint)


def network(checkpoint: Path, attention: str = "sdpa") -> Any:
    """The model of the class that the checkpoint names."""
    config = transformers.AutoConfig.from_pretrained(checkpoint)
    model_class: Any = getattr(transformers, config.architectures[0])
    return model_class.from_pretrained(checkpoint, attn_implementation=attention).eval()


def pictures_processor(checkpoint: Path) -> Any:
    """The processor on Pillow and NumPy."""
    kind: Any = transformers.ViTImageProcessor
    return kind.from_pretrained(checkpoint)


def open_picture(path: str) -> Any:
    """The picture, as the pipelines read it."""
    return Image.open(path).convert("RGB")


def quiet() -> None:
    """No warnings from transformers."""
    logging: Any = transformers.logging
    logging.set_verbosity_error()


def features(checkpoint: Path) -> Works:
    """Extractors alone."""
    kind: Any = transformers.WhisperFeatureExtractor
    hear, see = kind.from_pretrained(checkpoint / "whisper"), pictures_processor(checkpoint / "vit")
    return {
        "log-mel": lambda clips: hear(list(clips), sampling_rate=16000, return_tensors="np")["input_features"],
        "pixels": lambda path: see(open_picture(path), return_tensors="np")["pixel_values"],
    }


def _tagging(model: Any, checkpoint: Path) -> Works:
    def tags(ids: Any) -> Any:
        with torch.inference_mode():
            return model(**{name: torch.from_numpy(array) for name, array in with_masks(ids).items()}).logits.numpy()

    return {"tags": tags}


def with_masks(ids: Any) -> dict[str, Any]:
    """What BERT takes, of ids that are all of one text: names to arrays like them."""
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


def _ctc(model: Any, checkpoint: Path) -> Works:
    kind: Any = transformers.Wav2Vec2Processor
    processor = kind.from_pretrained(checkpoint)

    def speech(clips: Any) -> list[str]:
        with torch.inference_mode():
            logits = model(**processor(list(clips), sampling_rate=16000, return_tensors="pt")).logits
        texts: list[str] = processor.batch_decode(logits.argmax(dim=-1))
        return texts

    return {"speech": speech}


def _whisper(model: Any, checkpoint: Path, options: dict[str, Any]) -> Works:
    kind: Any = transformers.WhisperProcessor
    processor = kind.from_pretrained(checkpoint)

    def speech(clips: Any) -> list[str]:
        inputs = processor(list(clips), sampling_rate=16000, return_tensors="pt").input_features
        with torch.inference_mode():
            tokens = model.generate(
                inputs, language="en", task="transcribe", num_beams=1, do_sample=False,
                max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, **options,
            )  # fmt: skip
        texts: list[str] = processor.batch_decode(tokens, skip_special_tokens=True)
        return texts

    return {"speech": speech}


def _pictures(model: Any, checkpoint: Path) -> Works:
    processor = pictures_processor(checkpoint)

    def logits(pixels: Any) -> Any:
        with torch.inference_mode():
            return model(pixel_values=torch.from_numpy(pixels)).logits.numpy()

    def label(path: str) -> list[str]:
        found = logits(processor(open_picture(path), return_tensors="np")["pixel_values"])
        return [model.config.id2label[int(found.argmax())]]

    return {"logits": logits, "label": label}
