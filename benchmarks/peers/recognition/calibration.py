"""What static quantization is calibrated by: the same files for every contender."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import recognition_inputs
from ..preparation import FOLDER
from ..recognition_worker import model_type

_PATHS = {"text": "texts.txt", "audio": "sounds", "image": "pictures"}
_KINDS = {"bert": "text", "wav2vec2": "audio", "vit": "image"}


def source(checkpoint: Path) -> Path:
    """A file or folder of inputs for a model, which is made once."""
    kind = _KINDS[model_type(checkpoint) or ""]
    path = FOLDER / "recognition-inputs/calibration" / _PATHS[kind]
    if not path.exists():
        recognition_inputs.write_calibration(kind, path)
    return path


def feeds(checkpoint: Path) -> list[dict[str, Any]]:
    """These inputs, one by one, as the processor of transformers gives them to the model: arrays (1, ...) by name."""
    path = source(checkpoint)
    import transformers

    library: Any = transformers
    if path.is_file():
        tokenizer = library.AutoTokenizer.from_pretrained(checkpoint)
        return [dict(tokenizer(text, return_tensors="np")) for text in path.read_text(encoding="utf-8").splitlines()]
    if model_type(checkpoint) == "vit":
        from PIL import Image

        processor = library.ViTImageProcessor.from_pretrained(checkpoint)
        return [dict(processor(Image.open(file), return_tensors="np")) for file in sorted(path.iterdir())]
    import soundfile

    extractor = library.Wav2Vec2FeatureExtractor.from_pretrained(checkpoint)
    clips = [soundfile.read(file, dtype="float32")[0] for file in sorted(path.iterdir())]
    return [dict(extractor(clip, sampling_rate=recognition_inputs.RATE, return_tensors="np")) for clip in clips]
