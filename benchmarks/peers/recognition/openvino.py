"""OpenVINO, fp32 and NNCF's static int8, with the processors of transformers; Whisper is in a module of its own."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import openvino as ov  # type: ignore[import-not-found]
import torch
import transformers

from ..recognition_worker import THREADS, Works, model_type
from .calibration import feeds
from .transformers import network, open_picture, pictures_processor, quiet, with_masks

# Of what is not quantized.
_PRECISION = "f32"
_GRAPH = "model.xml"
_INPUTS: dict[str, dict[str, tuple[int, ...]]] = {
    "bert": dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), (16,)),
    "vit": {"pixel_values": (3, 224, 224)},
    "wav2vec2": {"input_values": (16000,)},
}
_PICTURE = 3  # axes, which are of fixed length


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Convert the torch model, with batch and length left open; for int8, quantize it by NNCF's calibration."""
    quiet()
    if model_type(checkpoint) == "whisper":
        _whisper().prepare(checkpoint, folder, precision)
        return
    inputs = _INPUTS[model_type(checkpoint) or ""]
    kind = torch.ones if "input_ids" in inputs else torch.randn
    example: Any = tuple(
        kind(2, *size, dtype=torch.long if kind is torch.ones else torch.float) for size in inputs.values()
    )
    shapes = [[-1, *(size if len(size) == _PICTURE else (-1,))] for size in inputs.values()]
    graph = ov.convert_model(_Logits(network(checkpoint), list(inputs)), example_input=example, input=shapes)
    if precision == "int8":
        graph = _quantized(graph, [[feed[name] for name in inputs] for feed in feeds(checkpoint)])
    folder.mkdir(parents=True, exist_ok=True)
    ov.save_model(graph, folder / _GRAPH, compress_to_fp16=False)


def _quantized(graph: Any, samples: list[Any]) -> Any:
    """Static int8, as NNCF does it to a transformer."""
    import nncf  # type: ignore[import-not-found]

    return nncf.quantize(graph, nncf.Dataset(samples), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(samples))


class _Logits(torch.nn.Module):
    """The model with inputs by position and one output, as tracing has them."""

    def __init__(self, model: Any, names: list[str]) -> None:
        super().__init__()
        self._model, self._names = model, names

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        """Logits."""
        logits: torch.Tensor = self._model(**dict(zip(self._names, values, strict=True))).logits
        return logits


def load(checkpoint: Path, folder: Path, precision: str) -> Works:
    """A compiled graph; what is not quantized is computed in f32, also where the processor has something faster."""
    quiet()
    if model_type(checkpoint) == "whisper":
        found: Works = _whisper().load(checkpoint, folder, precision)
        return found
    run = _compiled(folder, "LATENCY")
    if model_type(checkpoint) == "bert":
        return _tagging(run)
    return _pictures(run, checkpoint) if model_type(checkpoint) == "vit" else _ctc(run, checkpoint)


def _whisper() -> Any:
    """Only where it is needed: what it imports counts in the memory of a process."""
    return import_module(".openvino_whisper", __package__)


def concurrent(checkpoint: Path, folder: Path, precision: str, callers: int) -> list[Works]:
    """A request for each caller of one graph, which is compiled for throughput where there are several."""
    run = _compiled(folder, "THROUGHPUT" if callers > 1 else "LATENCY")
    return [_tagging(partial(run.create_infer_request().infer, share_inputs=True)) for _ in range(callers)]


def _compiled(folder: Path, hint: str) -> Any:
    options = {
        "INFERENCE_PRECISION_HINT": _PRECISION,
        "INFERENCE_NUM_THREADS": THREADS,
        "PERFORMANCE_HINT": hint,
        "ENABLE_CPU_PINNING": THREADS > 1,  # processes of one thread would all be pinned to the first core
    }
    return ov.Core().compile_model(folder / _GRAPH, "CPU", options)


def _tagging(run: Any) -> Works:
    return {"tags": lambda ids: run(list(with_masks(ids).values()))[0]}


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
