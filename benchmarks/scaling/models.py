"""Checkpoints that differ in one size: GPT-2's shape with fewer layers, or two layers and other vocabularies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..peers import models
from ..peers.process import GENERATION, Suite

LAYERS = (2, 4, 8)
VOCABULARIES = (8192, 32768, 131072)
FEW = 2
"""Layers beside which a vocabulary weighs."""

MODELS: dict[str, dict[str, Any]] = {
    **{f"scale-layers-{layers}": {"n_layer": layers} for layers in LAYERS},
    **{
        f"scale-vocabulary-{size}": {
            **{"n_layer": FEW, "vocab_size": size},
            **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), size - 1),
        }
        for size in VOCABULARIES
    },
}
SCALING = Suite(GENERATION.contenders, GENERATION.worker, __name__, GENERATION.engines)


def write(model: str, folder: Path, *, small: bool) -> None:
    """Write a checkpoint as :func:`benchmarks.peers.models.write` does."""
    models.write("gpt2", folder, small=small, changes=MODELS[model])
