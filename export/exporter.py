"""Exporting a checkpoint, step by step. Importing this module imports no torch."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torchless.errors import MissingDependencyError, OptionError

from . import bundle
from .progress import Report, default_report, timed
from .recipes import recipe_for

if TYPE_CHECKING:
    from .checkpoint import Checkpoint

DTYPES = ("fp32", "fp16")
OPSETS = range(18, 24)
DEFAULT_OPSET = 20
_REQUIRED = ("torch", "transformers", "optimum", "onnx", "onnx_ir", "onnxscript", "onnxruntime")


def export(
    checkpoint: str | Path,
    output: str | Path,
    *,
    task: str | None = None,
    dtype: str | Sequence[str] = "fp32",
    device: str = "cpu",
    opset: int = DEFAULT_OPSET,
    revision: str | None = None,
    overwrite: bool = False,
    progress: Report | None = None,
) -> Path:
    """Export a checkpoint to a bundle that torchless runs without torch.

    Every graph is compared with the checkpoint in torch at several batch sizes and lengths before the bundle's
    folder appears; if anything fails, nothing is left behind.

    Example::

        export("distilbert-base-uncased-finetuned-sst-2-english", "models/sst2", dtype=("fp32", "fp16"))

    Args:
        checkpoint: a folder with ``config.json``, weights and tokenizer files, or a model id on the hub.
        output: the folder to write; it must not exist, or be empty.
        task: the task to export for; the one that the checkpoint was made for where None.
        dtype: the graph variants to write: "fp32", "fp16", or both.
        device: where the checkpoint is run, traced and verified: "cpu", "cuda" or "cuda:N".
        opset: version of the ONNX operators, from 18 to 23.
        revision: branch, tag or commit of a model on the hub.
        overwrite: replace the bundle that ``output`` already holds.
        progress: called with each step's name and None at its start, and its seconds at its end. By default steps
            are shown on stderr where that is a terminal.

    Returns:
        The bundle's folder.

    Raises:
        ExportError: the checkpoint cannot be found, read or exported, or the output cannot be written.
        VerificationError: no graph could be made that agrees with the checkpoint.
        TaskError: an unknown task, or none given and none to be inferred.
        OptionError: a wrong dtype, device, opset or revision.
        DeviceError: the device is not there.
        MissingDependencyError: torch or another package of the "export" extra is not installed.
    """
    dtypes = _dtypes(dtype)
    _check_options(device, opset)
    if task is not None:
        recipe_for(task)
    target = Path(output).expanduser().absolute()
    bundle.check_output(target, overwrite)
    _check_installed()
    return _run(checkpoint, target, task, dtypes, device, opset, revision, progress or default_report())


def _run(
    source: str | Path,
    target: Path,
    task: str | None,
    dtypes: tuple[str, ...],
    device: str,
    opset: int,
    revision: str | None,
    report: Report,
) -> Path:
    from . import checkpoint, hub, writer
    from .quiet import quiet

    writer.check_device(device)
    with bundle.atomic_folder(target) as folder, quiet():
        with timed(report, "load"):
            files = hub.checkpoint_folder(source, revision)
            loaded: Checkpoint = checkpoint.load(files, task, device)
        writer.write(folder, loaded, writer.Origin(files, str(source), revision), dtypes, device, opset, report)
    return target


def _dtypes(dtype: str | Sequence[str]) -> tuple[str, ...]:
    chosen = (dtype,) if isinstance(dtype, str) else tuple(dtype)
    if not chosen or any(name not in DTYPES for name in chosen):
        raise OptionError(f"dtype={dtype!r}: expected one or more of {', '.join(DTYPES)}")
    return tuple(name for name in DTYPES if name in chosen)


def _check_options(device: str, opset: int) -> None:
    if not isinstance(device, str) or not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise OptionError(f"device={device!r}: expected 'cpu', 'cuda' or 'cuda:N'")
    if isinstance(opset, bool) or opset not in OPSETS:
        raise OptionError(f"opset={opset!r}: expected a whole number from {OPSETS[0]} to {OPSETS[-1]}")


def _check_installed() -> None:
    for package in _REQUIRED:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingDependencyError(
                f"export needs {package}, which is not installed ({error}): pip install 'torchless[export]'"
            ) from error
