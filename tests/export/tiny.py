"""Small random models that generate: exported once per test run, shared by its processes, and read by torch too."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from filelock import FileLock

from torchless.export import export

from . import models

# Model type and arguments of ``models.generating``, where they are not the name's own. Gates multiply what is large.
_VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "t5-gated": (
        "t5",
        {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "num_layers": 1, "scale": 0.25},
    ),
    "mt5": ("mt5", {"scale": 0.25}),
}
DECODER_ONLY = ("gpt2", "openai-gpt", "ctrl", "llama", "qwen2", "qwen3")
ENCODER_DECODER = ("bart", "t5", "t5-gated", "mt5", "marian", "mbart", "pegasus")
NAMES = (*DECODER_ONLY, *ENCODER_DECODER)
HALF = ("gpt2", "qwen3", "bart", "t5")  # the first weights are exported in float16 too
PAD, EOS, FIRST = 0, 3, 5  # token ids; those before FIRST are special


class TinyModels:
    """Gives checkpoints and bundles by name and by seed of the weights.

    Args:
        folder: where they are kept, the same for all processes of a run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def checkpoint(self, name: str, seed: int = 0) -> Path:
        folder = self._folder / f"tiny-{name}-{seed}-checkpoint"
        model_type, overrides = _VARIANTS.get(name, (name, {}))
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                models.generating(folder, model_type, seed, **overrides)
        return folder

    def bundle(self, name: str, seed: int = 0) -> Path:
        folder = self._folder / f"tiny-{name}-{seed}"
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                both = name in HALF and seed == 0
                export(self.checkpoint(name, seed), folder, dtype=("fp32", "fp16") if both else "fp32")
        return folder

    def model(self, name: str, seed: int = 0) -> Any:
        return load(self.checkpoint(name, seed))


@cache
def load(checkpoint: Path) -> Any:
    """A checkpoint in torch."""
    config = transformers.AutoConfig.from_pretrained(checkpoint)
    task = "text2text-generation" if config.is_encoder_decoder else "text-generation"
    made = getattr(transformers, models.HEADS[task])
    return made.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager").eval()


def torch_logits(model: Any, tokens: Sequence[int], encoded: Sequence[int] | None = None) -> np.ndarray:
    """Torch's logits after each token of one sequence, read in one piece and without a cache, ``(length, vocab)``."""
    ids = torch.tensor([list(tokens)])
    if encoded is None:
        arguments = {"input_ids": ids}
    else:
        arguments = {"input_ids": torch.tensor([list(encoded)]), "decoder_input_ids": ids}
    with torch.inference_mode():
        logits: np.ndarray = model(**arguments, use_cache=False).logits[0].numpy()
    return logits


def padded(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows padded on the right, and their mask, both int64 ``(rows, length)``."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, PAD)
    ids[mask] = np.concatenate([list(row) for row in rows])
    return ids, mask.astype(np.int64)
