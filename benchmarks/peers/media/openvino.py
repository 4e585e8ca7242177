"""OpenVINO, with the processors of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openvino as ov  # type: ignore[import-not-found]
import torch
import transformers

from ..media_worker import THREADS, Works, model_type
from .transformers import network, open_picture, pictures_processor, quiet

_PRECISIONS = {"fp32": "f32"}
_GRAPH = "model.xml"


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Convert the torch model, with batch and length left open."""
    quiet()
    model = network(checkpoint)
    pictures = model_type(checkpoint) == "vit"
    name, size = ("pixel_values", (3, 224, 224)) if pictures else ("input_values", (16000,))
    shape = [-1, *(size if pictures else (-1,))]
    graph = ov.convert_model(_Logits(model, name), example_input=torch.randn(2, *size), input=shape)
    folder.mkdir(parents=True, exist_ok=True)
    ov.save_model(graph, folder / _GRAPH, compress_to_fp16=False)


class _Logits(torch.nn.Module):
    """The model with one input and one output, as tracing has them."""

    def __init__(self, model: Any, name: str) -> None:
        super().__init__()
        self._model, self._name = model, name

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Logits."""
        logits: torch.Tensor = self._model(**{self._name: values}).logits
        return logits


def load(checkpoint: Path, folder: Path, precision: str) -> Works:
    """A compiled graph that computes in the precision asked for, also where the processor has a faster one."""
    quiet()
    options = {
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
        "INFERENCE_NUM_THREADS": THREADS,
        "PERFORMANCE_HINT": "LATENCY",
    }
    run: Any = ov.Core().compile_model(folder / _GRAPH, "CPU", options)
    return _pictures(run, checkpoint) if model_type(checkpoint) == "vit" else _ctc(run, checkpoint)


def _ctc(run: Any, checkpoint: Path) -> Works:
    kind: Any = transformers.Wav2Vec2Processor
    processor = kind.from_pretrained(checkpoint)

    def speech(clips: Any) -> list[str]:
        values = processor(list(clips), sampling_rate=16000, return_tensors="np").input_values
        texts: list[str] = processor.batch_decode(run([values])[0].argmax(axis=-1))
        return texts

    return {"speech": speech}


def _pictures(run: Any, checkpoint: Path) -> Works:
    processor = pictures_processor(checkpoint)
    names = transformers.AutoConfig.from_pretrained(checkpoint).id2label

    def label(path: str) -> list[str]:
        pixels = processor(open_picture(path), return_tensors="np")["pixel_values"]
        return [names[int(run([pixels])[0].argmax())]]

    return {"logits": lambda pixels: run([pixels])[0], "label": label}
