"""Bundles of the shipped checkpoints, exported once per test run and shared by its processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from . import cases


class Exported(Protocol):
    """Gives the bundle of a shipped checkpoint, with seeded noise on its weights if asked for."""

    def __call__(self, name: str, noise: int | None = None) -> Path: ...


def load(name: str, noise: int | None = None) -> tuple[Any, Any]:
    """A shipped checkpoint's model, in float32, and its tokenizer."""
    import torch
    import transformers

    folder = cases.CHECKPOINTS / name
    config = transformers.AutoConfig.from_pretrained(folder)
    kind = getattr(transformers, config.architectures[0])
    model = kind.from_pretrained(folder, dtype=torch.float32).eval()
    cases.perturb(model, noise)
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def save(name: str, noise: int | None, folder: Path) -> Path:
    """The checkpoint as a folder: the shipped one, or a copy with noise."""
    if noise is None:
        return cases.CHECKPOINTS / name
    model, tokenizer = load(name, noise)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
