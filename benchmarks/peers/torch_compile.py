"""transformers' generate() on torch, decoded steps compiled: a static cache, and the options that it compiles by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from .transformers import Engine as TransformersEngine
from .transformers import prepare

__all__ = ["Engine", "compile_options", "prepare"]


class Engine(TransformersEngine):
    """Steps are compiled when a shape is first met; a prompt and an encoder run as they are, as in transformers."""

    def __init__(self, checkpoint: Path, folder: Path, precision: str) -> None:
        super().__init__(checkpoint, folder, precision)
        self._options = compile_options()

    def generate(self, inputs: Any, beams: int, new: int) -> Any:
        """Greedy or beam search."""
        with torch.inference_mode():
            return self._model.generate(
                **inputs, num_beams=beams, do_sample=False, max_new_tokens=new, min_new_tokens=new,
                cache_implementation="static", compile_config=self._options,
            )  # fmt: skip


def compile_options() -> Any:
    """That generate() compiles steps by; a shape too many is an error, not computed without being compiled."""
    torch._dynamo.config.recompile_limit = 32
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    options: Any = transformers.CompileConfig(fullgraph=True, mode="default")
    options._compile_all_devices = True  # otherwise it compiles on CUDA alone
    return options
