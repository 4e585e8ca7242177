"""transformers' processors, and models compiled by torch: of Whisper the decoded steps, as its generate() does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..recognition_worker import THREADS, Works, model_type
from ..torch_compile import compile_options
from .transformers import network, prepare, quiet, works

__all__ = ["load", "prepare"]


def load(checkpoint: Path, folder: Path, precision: str) -> Works:
    """What the checkpoint is for; each shape is compiled by itself when it is first met, which is not timed."""
    torch.set_num_threads(THREADS)
    quiet()
    kind = model_type(checkpoint) or ""
    model: Any = network(checkpoint)
    if kind == "whisper":
        return works(kind, model, checkpoint, cache_implementation="static", compile_config=compile_options())
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    return works(kind, torch.compile(model, dynamic=False), checkpoint)
