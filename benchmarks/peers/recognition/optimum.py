"""Optimum's ONNX export on ONNX Runtime: fp32 and its int8, dynamic and static, with the processors of transformers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
import optimum.onnxruntime as library
import transformers
from onnxruntime.quantization import CalibrationMethod
from optimum.exporters.onnx import main_export
from optimum.onnxruntime import ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig, CalibrationConfig

from ..recognition_worker import THREADS, Works, model_type
from .calibration import feeds
from .transformers import open_picture, pictures_processor, quiet, with_masks

_TASKS = {"bert": "token-classification", "vit": "image-classification", "wav2vec2": "automatic-speech-recognition"}
_CLASSES = {
    "bert": "ORTModelForTokenClassification",
    "vit": "ORTModelForImageClassification",
    "wav2vec2": "ORTModelForCTC",
}
_GRAPH = "model.onnx"


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Export; for int8, quantize per channel for VNNI; where static, by the extremes that the inputs reach."""
    quiet()
    full = folder if precision == "fp32" else folder / "fp32"
    main_export(str(checkpoint), output=full, task=_TASKS[model_type(checkpoint) or ""], do_validation=False)
    if precision == "fp32":
        return
    static = precision == "int8-static"
    scheme = AutoQuantizationConfig.avx512_vnni(
        is_static=static, per_channel=True, nodes_to_exclude=_left(full / _GRAPH, static)
    )
    quantizer = ORTQuantizer.from_pretrained(full, file_name=_GRAPH)
    ranges = _ranges(quantizer, checkpoint, full, scheme.operators_to_quantize) if static else None
    quantizer.quantize(save_dir=folder, quantization_config=scheme, file_suffix=None, calibration_tensors_range=ranges)
    shutil.rmtree(full)


def _left(graph: Path, static: bool) -> list[str]:
    """Convolutions whose weights are computed, which it cannot quantize; where dynamic all: they would be slower."""
    model = onnx.load(graph, load_external_data=False).graph
    constant = {tensor.name for tensor in model.initializer}
    convolutions = [node for node in model.node if node.op_type == "Conv"]
    return [node.name for node in convolutions if not static or node.input[1] not in constant]


def _ranges(quantizer: Any, checkpoint: Path, folder: Path, operators: list[str]) -> Any:
    """Ranges of activations. Samples are rows, which its reader makes batches of one of."""
    samples: Any = [{name: array[0] for name, array in feed.items()} for feed in feeds(checkpoint)]
    config = CalibrationConfig("files", "", "", len(samples), CalibrationMethod.MinMax)
    return quantizer.fit(samples, config, folder / "augmented.onnx", operators_to_quantize=operators)


def load(checkpoint: Path, folder: Path, precision: str) -> Works:
    """Optimum's model of the task."""
    quiet()
    kind = model_type(checkpoint) or ""
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    model = getattr(library, _CLASSES[kind]).from_pretrained(
        folder, provider="CPUExecutionProvider", session_options=options
    )
    if kind == "bert":
        return {"tags": lambda ids: model(**with_masks(ids)).logits}
    return _pictures(model, checkpoint) if kind == "vit" else _ctc(model, checkpoint)


def _ctc(model: Any, checkpoint: Path) -> Works:
    kind: Any = transformers.Wav2Vec2Processor
    processor = kind.from_pretrained(checkpoint)

    def speech(clips: Any) -> list[str]:
        values = processor(list(clips), sampling_rate=16000, return_tensors="np").input_values
        texts: list[str] = processor.batch_decode(model(input_values=values).logits.argmax(axis=-1))
        return texts

    return {"speech": speech}


def _pictures(model: Any, checkpoint: Path) -> Works:
    processor = pictures_processor(checkpoint)

    def label(path: str) -> list[str]:
        pixels = processor(open_picture(path), return_tensors="np")["pixel_values"]
        return [model.config.id2label[int(model(pixel_values=pixels).logits.argmax())]]

    return {"logits": lambda pixels: model(pixel_values=pixels).logits, "label": label}
