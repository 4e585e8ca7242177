"""A copy of a bundle to work in, of which the finished files are then moved into the bundle, all of them or none.

What the copy holds at first are links, so that it takes no space. A file that is to be written in it must be claimed;
only such files are moved. A process that is killed leaves its copy behind; the next one removes it.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from torchless.errors import QuantizationError, TorchlessError
from torchless.manifest import FILE_NAME

from . import abandoned


class Staging:
    """A working copy of a bundle's folder.

    Attributes:
        folder: where it lies, inside the bundle's.
    """

    def __init__(self, bundle: Path) -> None:
        self._bundle = bundle
        self.folder = bundle / abandoned.NAME.format(uuid.uuid4().hex[:8])
        self._claimed: list[str] = []
        self._lock: IO[bytes] | None = None

    def fill(self) -> None:
        """Make the folder, and link the bundle's files into it."""
        self.folder.mkdir()
        self._lock = abandoned.hold(self.folder)
        for base, folders, files in os.walk(self._bundle):
            folders[:] = [name for name in folders if not name.startswith(".")]
            copy = self.folder / Path(base).relative_to(self._bundle)
            copy.mkdir(exist_ok=True)
            for source in (Path(base) / name for name in files):
                if source.is_file():  # and no broken link
                    _link(source, copy / source.name)

    def claim(self, name: str) -> Path:
        """A path that may be written, and that is moved into the bundle in the end.

        Args:
            name: of a file relative to the bundle, with ``/``.
        """
        path = self.folder / name
        if name not in self._claimed:
            self._claimed.append(name)
            path.unlink(missing_ok=True)  # a link to the bundle's own
        return path

    def publish(self) -> None:
        """Move the claimed files into the bundle, the manifest last; if one cannot be, none is.

        Of a file that was claimed and not written the bundle's is removed.
        """
        moved: list[str] = []
        try:
            for name in sorted(self._claimed, key=lambda name: name == FILE_NAME):
                self._keep(name)
                moved.append(name)
                if (self.folder / name).exists():
                    (self.folder / name).replace(self._bundle / name)
                else:
                    (self._bundle / name).unlink(missing_ok=True)
            abandoned.settle(self.folder)
        except BaseException:
            for name in reversed(moved):
                self._restore(name)
            raise

    def remove(self) -> None:
        """Remove the folder."""
        if self._lock is not None:
            self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self, name: str) -> None:
        """Keep what the bundle has under a name."""
        kept = self.folder / abandoned.KEPT / name
        if (self._bundle / name).exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(self._bundle / name, kept)
            except OSError:
                shutil.copy2(self._bundle / name, kept)

    def _restore(self, name: str) -> None:
        """Put back what the bundle had under a name, or nothing."""
        kept = self.folder / abandoned.KEPT / name
        if os.path.lexists(kept):  # a link of the hub's cache leads nowhere from here
            kept.replace(self._bundle / name)
        else:
            (self._bundle / name).unlink(missing_ok=True)


@contextmanager
def staged(bundle: Path) -> Iterator[Staging]:
    """A working copy of a bundle, removed in the end; copies that killed processes left are removed before.

    Raises:
        QuantizationError: something cannot be written; the bundle is as it was.
    """
    staging = Staging(bundle)
    try:
        abandoned.clear(bundle)
        staging.fill()
        yield staging
    except OSError as error:
        if isinstance(error, TorchlessError):
            raise
        reason = f"{error.strerror or error}"
        raise QuantizationError(f"cannot write to {bundle}: {reason}; the bundle was left as it was") from error
    finally:
        staging.remove()


def _link(source: Path, target: Path) -> None:
    """Link a file, or copy it where that is not possible. A hard link would make readers of weights suspicious."""
    try:
        target.symlink_to(source)
    except (OSError, NotImplementedError):
        shutil.copy2(source, target)
