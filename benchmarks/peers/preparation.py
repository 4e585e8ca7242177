"""Checkpoints, and each contender's conversion of them, kept until the code that makes them changes."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import process
from .process import GENERATION, ROOT, Suite, Worker

FOLDER = ROOT / "build/benchmarks"


def converted(model: str, contender: str, *, small: bool) -> tuple[Path, Path]:
    """The folders of a model's checkpoint and of a contender's conversion."""
    folder = FOLDER / f"{model}{'-small' if small else ''}"
    return folder / "checkpoint", folder / contender.replace(" ", "-")


def prepare(model: str, contenders: Iterable[str], *, small: bool, suite: Suite = GENERATION) -> None:
    """Make what is missing, or older than its sources."""
    for contender in contenders:
        checkpoint, folder = converted(model, contender, small=small)
        with made(checkpoint, [(ROOT / suite.models.replace(".", "/")).with_suffix(".py")]) as needed:
            if needed:
                process.write_checkpoint(model, checkpoint, small=small, suite=suite)
        engine = suite.contenders[contender].engine
        sources = [*suite.engines.glob(f"{engine}*.py"), checkpoint]
        if engine == "torchless":
            sources += [ROOT / "export", ROOT / "quantize"]
        with made(folder, sources) as needed:
            if needed:
                print(f"{model}: preparing {contender}", flush=True)
                with Worker(contender, checkpoint, folder, suite) as conversion:
                    conversion.ask("prepare")
        if engine == "torchless" and (folder / "torchless.json").is_file():
            _optimize(folder, suite.contenders[contender].precision)


def _optimize(folder: Path, precision: str) -> None:
    """What ``torchless optimize`` does: write what is missing."""
    from torchless import Bundle

    bundle = Bundle.open(folder, dtype=precision, optimized=process.kept(folder))
    for role in bundle.dtypes:
        if not bundle.session(role).optimized:
            raise SystemExit(f"no optimized graph of {role} of {folder} could be kept")


@contextmanager
def made(folder: Path, sources: list[Path]) -> Iterator[bool]:
    """Whether the folder is to be made now: it was never finished, or a source is newer. Old contents are removed."""
    ready = folder.with_name(f"{folder.name}.ready")
    needed = not ready.is_file() or ready.stat().st_mtime < max(map(_changed, sources))
    if needed:
        ready.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
    yield needed
    if needed:
        ready.touch()


def _changed(path: Path) -> float:
    """When a file, or the newest of the files in a folder, was changed; 0 for an empty folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return max((file.stat().st_mtime for file in files if file.suffix != ".pyc"), default=0)
