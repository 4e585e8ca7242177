"""Working copies that processes which were killed left in a bundle, and how they differ from those in use.

A process locks a file of its copy; the system lets go of the lock when the process ends, however it does.
"""

from __future__ import annotations

import re
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

NAME = ".quantize-{}.tmp"
"""What a working copy is called, with eight hexadecimal digits."""
KEPT = ".kept"
"""Where a working copy keeps the bundle's files while it moves others into their places."""

_OURS = re.compile(re.escape(NAME).replace(r"\{\}", "[0-9a-f]{8}"))
_LOCK, _SETTLED = ".lock", ".settled"
# Seconds for which a copy without a lock counts as in use: it is just being made.
_GRACE = 3600.0


def hold(folder: Path) -> IO[bytes]:
    """Show that a working copy is in use, until the file that is returned is closed."""
    new = folder / f"{_LOCK}.new"  # nobody looks at it before it is locked
    if sys.platform == "win32":
        return (folder / _LOCK).open("wb")  # an open file cannot be removed there
    file = new.open("wb")
    try:
        with suppress(OSError):  # a file system without locks: then nothing on it ever counts as abandoned
            _lock(file)
        new.rename(folder / _LOCK)
    except BaseException:
        file.close()
        raise
    return file


def settle(folder: Path) -> None:
    """Say that all files were moved: those that are kept are not needed any more."""
    with suppress(FileNotFoundError):
        (folder / KEPT).rename(folder / _SETTLED)


def clear(bundle: Path) -> None:
    """Remove the working copies that no process uses; of one that broke off while it moved files, put them back."""
    for folder in bundle.glob(NAME.format("*")):
        if _OURS.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink() and _left(folder):
            kept = folder / KEPT
            for path in [path for path in kept.rglob("*") if path.is_symlink() or not path.is_dir()]:
                path.replace(bundle / path.relative_to(kept))
            shutil.rmtree(folder, ignore_errors=True)


def _left(folder: Path) -> bool:
    """Whether no process uses a working copy."""
    lock = folder / _LOCK
    try:
        if sys.platform == "win32":
            lock.unlink()
        else:
            with lock.open("rb") as file:
                _lock(file)
    except FileNotFoundError:
        return _age(folder) > _GRACE
    except OSError:
        return False
    return True


def _age(path: Path) -> float:
    """Seconds since a folder was changed; 0 where it has gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


if sys.platform != "win32":
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        """Lock a file, or raise OSError where another process has done so."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
