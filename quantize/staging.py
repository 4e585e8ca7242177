"""A copy of a bundle to work in, of which the finished files are then moved into the bundle, all of them or none.

The copy's files are hard links where the file system has them, so that it takes no space; what is written in it must
first be claimed. Only files that a name was claimed for are moved.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torchless.errors import QuantizationError, TorchlessError
from torchless.manifest import FILE_NAME

_KEPT = ".kept"


class Staging:
    """A working copy of a bundle's folder.

    Attributes:
        folder: where it lies, inside the bundle's.
    """

    def __init__(self, bundle: Path) -> None:
        self._bundle = bundle
        self.folder = bundle / f".quantize-{uuid.uuid4().hex[:8]}.tmp"
        self._claimed: list[str] = []

    def fill(self) -> None:
        """Make the folder, and link the bundle's files into it."""
        self.folder.mkdir()
        for base, folders, files in os.walk(self._bundle):
            folders[:] = [name for name in folders if not name.startswith(".")]
            copy = self.folder / Path(base).relative_to(self._bundle)
            copy.mkdir(exist_ok=True)
            for source in (Path(base) / name for name in files):
                if source.is_file():  # and no broken link
                    _link(source, copy / source.name)

    def claim(self, name: str) -> Path:
        """A path that may be written; what the bundle has there is kept until all is moved.

        Args:
            name: of a file relative to the bundle, with ``/``.
        """
        path = self.folder / name
        if name not in self._claimed:
            self._claimed.append(name)
            if path.exists():
                kept = self.folder / _KEPT / name
                kept.parent.mkdir(parents=True, exist_ok=True)
                path.rename(kept)
        return path

    def publish(self) -> None:
        """Move the claimed files into the bundle, the manifest last; if one cannot be, none is.

        Of a file that was claimed and not written the bundle's is removed.
        """
        moved: list[str] = []
        try:
            for name in sorted(self._claimed, key=lambda name: name == FILE_NAME):
                moved.append(name)
                if (self.folder / name).exists():
                    (self.folder / name).replace(self._bundle / name)
                else:
                    (self._bundle / name).unlink(missing_ok=True)
        except BaseException:
            for name in reversed(moved):
                kept = self.folder / _KEPT / name
                if kept.exists():
                    kept.replace(self._bundle / name)
                else:
                    (self._bundle / name).unlink(missing_ok=True)
            raise


@contextmanager
def staged(bundle: Path) -> Iterator[Staging]:
    """A working copy of a bundle, removed in the end.

    Raises:
        QuantizationError: something cannot be written; the bundle is as it was.
    """
    staging = Staging(bundle)
    try:
        staging.fill()
        yield staging
    except OSError as error:
        if isinstance(error, TorchlessError):
            raise
        reason = f"{error.strerror or error}"
        raise QuantizationError(f"cannot write to {bundle}: {reason}; the bundle was left as it was") from error
    finally:
        shutil.rmtree(staging.folder, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """Link a file, or copy it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
