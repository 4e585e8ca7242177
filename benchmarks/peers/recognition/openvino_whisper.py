"""Whisper on OpenVINO under the generation of transformers, by optimum-intel: fp32, and its int8 of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from optimum.intel import OVModelForSpeechSeq2Seq, OVWeightQuantizationConfig

from ..recognition_worker import THREADS, Works
from .transformers import works

# What is not in int8 is in f32, also where the processor has something faster.
_OPTIONS = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": str(THREADS), "PERFORMANCE_HINT": "LATENCY"}


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Export; for int8, with the weights of every product and embedding in int8."""
    options: dict[str, Any] = {"load_in_8bit": False}
    if precision == "int8":
        options = {"quantization_config": OVWeightQuantizationConfig(bits=8)}
    model = OVModelForSpeechSeq2Seq.from_pretrained(checkpoint, export=True, compile=False, **options)
    model.save_pretrained(folder)


def load(checkpoint: Path, folder: Path, precision: str) -> Works:
    """The model, whose requests keep the caches."""
    torch.set_num_threads(THREADS)  # for the log-mel and what transformers does between the steps
    model = OVModelForSpeechSeq2Seq.from_pretrained(folder, device="CPU", ov_config=_OPTIONS)
    return works("whisper", model, checkpoint)
