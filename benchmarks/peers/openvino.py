"""OpenVINO under the generation of transformers, by optimum-intel: fp32, and its int8 of weights."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import transformers
from optimum.intel import (
    OVModelForCausalLM,
    OVModelForSeq2SeqLM,
    OVWeightQuantizationConfig,
)

from .transformers import Engine as TransformersEngine
from .transformers import generate, quiet
from .worker import THREADS

# What is not in int8 is in f32, also where the processor has something faster.
_OPTIONS = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": str(THREADS)}

# Of which it cannot make caches that the requests keep.
_STATELESS = ("t5",)


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Export; for int8, with the weights of every product and embedding in int8."""
    kind = transformers.AutoConfig.from_pretrained(checkpoint).model_type
    options: dict[str, Any] = {"stateful": False} if kind in _STATELESS else {}
    if precision == "int8":
        options["quantization_config"] = OVWeightQuantizationConfig(bits=8)
    else:
        options["load_in_8bit"] = False
    model = _model_class(checkpoint).from_pretrained(checkpoint, export=True, compile=False, **options)
    model.save_pretrained(folder)


class Engine(TransformersEngine):
    """transformers' loop over OpenVINO's requests, which keep the caches."""

    def __init__(self, checkpoint: Path, folder: Path, precision: str, hint: str = "LATENCY") -> None:
        quiet()
        options = {**_OPTIONS, "PERFORMANCE_HINT": hint}
        self._model = _model_class(checkpoint).from_pretrained(folder, device="CPU", ov_config=options)

    def beside(self) -> Engine:
        """Another caller of the same compiled model: a request holds the caches of one text."""
        other = copy(self)
        other._model = copy(self._model)
        other._model.request = self._model.request.get_compiled_model().create_infer_request()
        return other

    def generate(self, inputs: Any, beams: int, new: int) -> Any:
        """Greedy or beam search."""
        return generate(self._model, inputs, beams, new)


def concurrent(checkpoint: Path, folder: Path, precision: str, callers: int) -> list[Engine]:
    """A request for each caller of one model, which is compiled for throughput where there are several."""
    first = Engine(checkpoint, folder, precision, "THROUGHPUT" if callers > 1 else "LATENCY")
    return [first, *(first.beside() for _ in range(callers - 1))]


def _model_class(checkpoint: Path) -> Any:
    config = transformers.AutoConfig.from_pretrained(checkpoint)
    return OVModelForSeq2SeqLM if config.is_encoder_decoder else OVModelForCausalLM
