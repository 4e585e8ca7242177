"""Removing the optimized graphs that :mod:`.optimized` keeps."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .bundle import Bundle
from .files import inside
from .optimized import ENTRY, GRAPH, UNFINISHED, WEIGHTS, alone, identity

_NAME = re.compile(r".+-[0-9a-f]{8}")
_REST = re.compile(re.escape(UNFINISHED) + r"[a-z0-9_]{8}")
"""What tempfile makes of the prefix."""
_FILES = (GRAPH, WEIGHTS, ENTRY)
"""In the order in which they are removed: without a graph an entry is not used, and by the last it is known."""


@dataclass(frozen=True)
class Removed:
    """What was removed.

    Attributes:
        files: how many.
        bytes: how much room they took.
    """

    files: int = 0
    bytes: int = 0

    def __add__(self, other: Removed) -> Removed:
        """Both."""
        return Removed(self.files + other.files, self.bytes + other.bytes)

    def __str__(self) -> str:
        """In words.

        Example:
            >>> str(Removed(2, 3 << 20))
            '2 files, 3.0 MiB'
        """
        return f"{self.files} file{'s' * (self.files != 1)}, {self.bytes / 2**20:.1f} MiB"


def clear(folder: Path, bundle: Bundle | None = None) -> Removed:
    """Remove optimized graphs; processes that have opened them go on (on Windows they keep them from being removed).

    Args:
        folder: where they are kept. What else lies there stays.
        bundle: whose graphs: those that it has now in every variant, and those that lay in its folder before, for every
            build of ONNX Runtime; copies of the bundle share them. None: all that are kept, and what processes left
            that ended while they wrote.

    Raises:
        OSError: something cannot be removed; the rest was.
    """
    if not folder.is_dir():
        return Removed()
    with alone(folder) as locked:
        entries = [path for path in sorted(folder.iterdir()) if _is_entry(path)]
        if bundle is not None:
            entries = _of(bundle, entries)
        elif locked:
            entries += [path for path in folder.iterdir() if _REST.fullmatch(path.name) and _is_folder(path)]
        removed, errors = Removed(), []
        for entry in entries:
            try:
                removed += _remove(entry)
            except OSError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return removed


def _is_entry(path: Path) -> bool:
    """Whether it was written by :mod:`.optimized`; the folder may be one that holds other things too."""
    if not _is_folder(path) or not _NAME.fullmatch(path.name):
        return False
    try:
        names = {file.name for file in path.iterdir()}
    except OSError:  # somebody else's
        return False
    return ENTRY in names and names <= set(_FILES)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _of(bundle: Bundle, entries: list[Path]) -> list[Path]:
    """Those that were written for a bundle's graphs."""
    graphs: list[Any] = []
    for role, dtypes in bundle.dtypes.items():
        for dtype in dtypes:
            path = inside(bundle.folder, bundle.graph_file(role, dtype))
            if bundle.manifest is not None:
                graphs.append(bundle.manifest.graphs[role][dtype].digest)
            elif path.is_file():
                graphs.append(identity(path))
    home = bundle.folder.resolve()
    found = []
    for entry in entries:
        try:
            content = json.loads((entry / ENTRY).read_text(encoding="utf-8"))
            graph, place = content["description"]["graph"], content.get("source")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # damaged: nobody's
            continue
        if graph in graphs or (isinstance(place, str) and Path(place).is_relative_to(home)):
            found.append(entry)
    return found


def _remove(entry: Path) -> Removed:
    """Remove a folder; where that fails halfway, it is not used, and found again the next time."""
    sizes = [path.stat().st_size for path in entry.rglob("*") if path.is_file()]
    if _REST.fullmatch(entry.name):
        shutil.rmtree(entry)
    else:
        for name in _FILES:
            (entry / name).unlink(missing_ok=True)
        entry.rmdir()
    return Removed(len(sizes), sum(sizes))
