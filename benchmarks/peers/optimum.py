"""Optimum's ONNX export and generation on ONNX Runtime, fp32 and its dynamic int8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime as ort
import transformers
from optimum.onnxruntime import ORTModelForCausalLM, ORTModelForSeq2SeqLM, ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig

from .transformers import Engine as TransformersEngine
from .transformers import generate, quiet
from .worker import THREADS


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Export; for int8, quantize every graph of an export that has no subgraphs, per channel, for VNNI."""
    model_class = _model_class(checkpoint)
    if precision == "fp32":
        model_class.from_pretrained(checkpoint, export=True).save_pretrained(folder)
        return
    full = folder / "fp32"
    options: dict[str, Any] = {"use_merged": False} if model_class is ORTModelForSeq2SeqLM else {}
    model_class.from_pretrained(checkpoint, export=True, **options).save_pretrained(full)
    scheme = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
    for path in sorted(full.glob("*.onnx")):
        ORTQuantizer.from_pretrained(full, file_name=path.name).quantize(
            save_dir=folder, quantization_config=scheme, file_suffix=None
        )
    for path in full.iterdir():
        path.unlink()
    full.rmdir()


class Engine(TransformersEngine):
    """transformers' loop over ONNX Runtime sessions."""

    def __init__(self, checkpoint: Path, folder: Path, precision: str) -> None:
        quiet()
        options = ort.SessionOptions()
        options.intra_op_num_threads = THREADS
        self._model = _model_class(checkpoint).from_pretrained(
            folder, provider="CPUExecutionProvider", session_options=options
        )

    def generate(self, inputs: Any, beams: int, new: int) -> Any:
        """Greedy or beam search."""
        return generate(self._model, inputs, beams, new)


def _model_class(checkpoint: Path) -> Any:
    config = transformers.AutoConfig.from_pretrained(checkpoint)
    return ORTModelForSeq2SeqLM if config.is_encoder_decoder else ORTModelForCausalLM
