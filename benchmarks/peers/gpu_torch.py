"""transformers on torch in the process of benchmarks/gpu.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import GenerationMixin

from torchless.session import Array

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


class Torch:
    """A checkpoint on a device.

    Args:
        checkpoint: its folder.
        way: ``"eager"``, ``"sdpa"``, or ``"compile"``: SDPA in a compiled forward, with a static cache where it
            generates, as transformers' documentation advises.
        dtype: ``"fp32"`` or ``"fp16"``.
        device: ``"cuda"``, ``"cuda:1"`` or ``"cpu"``.
    """

    def __init__(self, checkpoint: Path, way: str, dtype: str, device: str) -> None:
        logging: Any = transformers.logging
        logging.set_verbosity_error()
        config = transformers.AutoConfig.from_pretrained(checkpoint)
        model_class: Any = getattr(transformers, config.architectures[0])
        attention = "eager" if way == "eager" else "sdpa"
        model = model_class.from_pretrained(checkpoint, attn_implementation=attention, dtype=_DTYPES[dtype])
        self._model = model.to(device).eval()
        self._device, self._dtype = device, _DTYPES[dtype]
        self._static = way == "compile"
        if self._static:
            self._model.forward = torch.compile(self._model.forward, dynamic=False)

    def run(self, feeds: Mapping[str, Array]) -> Array:
        """Logits of an encoder, float32."""
        with torch.inference_mode():
            logits: Array = self._model(**self._tensors(feeds)).logits.float().cpu().numpy()
        self._finish()
        return logits

    def generate(self, feeds: Mapping[str, Array], beams: int, new: int) -> Array:
        """``new`` tokens after each prompt, or start token, by as many beams: int64 ``(rows, new)``."""
        options: dict[str, Any] = {"cache_implementation": "static"} if self._static else {}
        with torch.inference_mode():
            generate: Any = GenerationMixin.generate
            # Whisper's own way to generate is about long recordings.
            found = generate(
                self._model, **self._tensors(feeds), max_new_tokens=new, num_beams=beams, do_sample=False,
                pad_token_id=0, **options,
            )  # fmt: skip
        tokens: Array = found.cpu().numpy()[:, -new:]
        self._finish()
        return tokens

    def _tensors(self, feeds: Mapping[str, Array]) -> dict[str, torch.Tensor]:
        return {
            name: torch.from_numpy(array).to(self._device, self._dtype if array.dtype == np.float32 else None)
            for name, array in feeds.items()
        }

    def _finish(self) -> None:
        if self._device != "cpu":
            torch.cuda.synchronize(self._device)


def describe(device: str) -> dict[str, Any]:
    """The GPU."""
    found = torch.cuda.get_device_properties(device)
    return {
        "name": found.name,
        "memory_gib": round(found.total_memory / 2**30, 1),
        "capability": f"{found.major}.{found.minor}",
        "cuda": torch.version.cuda,
    }
