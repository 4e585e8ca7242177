"""transformers' generate() on torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from .worker import THREADS


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Nothing: it reads the checkpoint."""


class Engine:
    """The model with torch's own fused attention where its architecture has it."""

    def __init__(self, checkpoint: Path, folder: Path, precision: str) -> None:
        torch.set_num_threads(THREADS)
        quiet()
        config = transformers.AutoConfig.from_pretrained(checkpoint)
        model_class: Any = getattr(transformers, config.architectures[0])
        attention = "sdpa" if model_class._supports_sdpa else "eager"
        self._model = model_class.from_pretrained(checkpoint, attn_implementation=attention).eval()

    def inputs(self, tokens: list[list[int]]) -> Any:
        """Ids and a mask of ones."""
        ids = torch.tensor(tokens)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def generate(self, inputs: Any, beams: int, new: int) -> Any:
        """Greedy or beam search."""
        return generate(self._model, inputs, beams, new)

    def tokens(self, result: Any, new: int) -> list[list[int]]:
        """What follows the prompt, or the decoder's start token."""
        rows: list[list[int]] = result[:, -new:].tolist()
        return rows


def generate(model: Any, inputs: Any, beams: int, new: int) -> Any:
    """A fixed number of tokens, by the loop of transformers."""
    with torch.inference_mode():
        return model.generate(**inputs, num_beams=beams, do_sample=False, max_new_tokens=new, min_new_tokens=new)


def quiet() -> None:
    """No warnings from transformers."""
    logging: Any = transformers.logging
    logging.set_verbosity_error()
