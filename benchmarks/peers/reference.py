"""What torch generates, kept beside its checkpoint: others are compared with it also where torch takes no part."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from .preparation import converted

CONTENDER = "torch fp32"
Tokens: TypeAlias = "list[list[int]]"


class Reference:
    """Torch's new tokens of a model's cells; none where the checkpoint was made anew since.

    Args:
        model: a name of ``models``.
        small: whether its small checkpoint is meant.
    """

    def __init__(self, model: str, *, small: bool) -> None:
        checkpoint, folder = converted(model, CONTENDER, small=small)
        self._path = folder.with_name(f"{folder.name}.tokens.json")
        made = (checkpoint / "model.safetensors").stat().st_mtime
        fresh = self._path.is_file() and self._path.stat().st_mtime > made
        self._cells: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8")) if fresh else {}

    def tokens(self, cell: str, prompts: Tokens) -> Tokens | None:
        """What torch gave to these prompts in this cell, or None."""
        kept: dict[str, Tokens] = self._cells.get(cell, {})
        return kept["tokens"] if kept.get("prompts") == prompts else None

    def keep(self, cell: str, prompts: Tokens, tokens: Tokens) -> None:
        """Keep what torch gave, for this process and later ones."""
        self._cells[cell] = {"prompts": prompts, "tokens": tokens}
        unfinished = self._path.with_suffix(".part")
        unfinished.write_text(json.dumps(self._cells), encoding="utf-8")
        unfinished.replace(self._path)
