"""Writing a bundle: its folder appears whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torchless import manifest
from torchless.errors import ExportError, TorchlessError


def check_output(output: Path, overwrite: bool) -> None:
    """Refuse a place that a bundle must not be written to.

    Raises:
        ExportError: a file, a folder with other content, or a bundle that is not to be overwritten.
    """
    if output.exists() and not output.is_dir():
        raise ExportError(f"{output} is a file: name a folder for the bundle")
    if not output.exists() or not any(output.iterdir()):
        return
    if not (output / manifest.FILE_NAME).is_file():
        raise ExportError(f"{output} holds files that are not a torchless bundle: name a new or empty folder")
    if not overwrite:
        raise ExportError(f"{output} is already a bundle: overwrite=True (--overwrite) replaces it")


@contextmanager
def atomic_folder(output: Path) -> Iterator[Path]:
    """A temporary folder beside the output, which takes its place at the end, or is removed if the block fails.

    Raises:
        ExportError: the folder cannot be made, or something in it cannot be written.
    """
    created = [parent for parent in output.parents if not parent.exists()]
    temporary = output.with_name(f".{output.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        try:
            temporary.mkdir(parents=True)
        except OSError as error:
            raise ExportError(f"cannot write to {output.parent}: {error.strerror or error}") from error
        yield temporary
        _replace(output, temporary)
    except BaseException as failure:
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in created:
            if parent.exists() and not any(parent.iterdir()):
                parent.rmdir()
        if isinstance(failure, OSError) and not isinstance(failure, TorchlessError):
            raise ExportError(f"cannot write {output}: {failure}") from failure
        raise


def _replace(output: Path, temporary: Path) -> None:
    """Rename the new folder to the output's name; a bundle that was there is removed only afterwards."""
    if not output.exists():
        temporary.rename(output)
        return
    old = temporary.with_suffix(".old")
    output.rename(old)
    try:
        temporary.rename(output)
    except BaseException:
        old.rename(output)
        raise
    shutil.rmtree(old)
