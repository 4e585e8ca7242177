"""Folders without a manifest: what their file names and configuration tell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .hub import VARIANTS

# Optimum's graph optimizer adds this to the names that other exporters use.
_VARIANTS = (*VARIANTS, "optimized")

# These count positions from pad_token_id + 1, so that many of the table's rows are never used.
_OFFSET_POSITIONS = ("roberta", "camembert", "mpnet", "longformer", "data2vec-text", "ibert", "xmod", "esm")


def graph_files(folder: Path) -> dict[str, dict[str, str]]:
    """Graphs by role and dtype, read from file names: ``onnx/model.onnx``, ``model_fp16.onnx``, ..."""
    found: dict[str, dict[str, str]] = {}
    for path in (*sorted(folder.glob("onnx/*.onnx")), *sorted(folder.glob("*.onnx"))):
        role, _, suffix = path.stem.rpartition("_")
        if not role or suffix not in _VARIANTS:
            role, suffix = path.stem, "fp32"
        found.setdefault(role, {}).setdefault(suffix, path.relative_to(folder).as_posix())
    return found


def position_limit(config: Mapping[str, Any]) -> int | None:
    """The longest input that the position table of an adopted folder's model takes."""
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions <= 0:
        return None
    if not any(name in str(config.get("model_type", "")) for name in _OFFSET_POSITIONS):
        return positions
    padding = config.get("pad_token_id")
    return positions - (padding if isinstance(padding, int) else 1) - 1
