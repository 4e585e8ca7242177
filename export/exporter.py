"""Exporting a checkpoint, step by step. Importing this module imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from torchless.errors import MissingDependencyError, OptionError
from torchless.progress import Report, default_report, timed

from . import bundle
from .options import DEFAULT_OPSET, Options
from .recipes import recipe_for

if TYPE_CHECKING:
    from .checkpoint import Checkpoint

_REQUIRED = ("torch", "transformers", "optimum", "onnx", "onnx_ir", "onnxscript", "onnxruntime")


def export(
    checkpoint: str | Path,
    output: str | Path,
    *,
    task: str | None = None,
    dtype: str | Sequence[str] = "fp32",
    attention: str = "fused",
    device: str = "cpu",
    opset: int = DEFAULT_OPSET,
    revision: str | None = None,
    overwrite: bool = False,
    quantize: str | Mapping[str, str] | Sequence[str | Mapping[str, str]] = (),
    calibrate: str | Path | None = None,
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
        dtype: the graph variants to write, one or several: "fp32", "fp16", "int8" (weights in int8, activations by the
            range that they have in each call).
        attention: "fused" writes ONNX Runtime's MultiHeadAttention where the model allows it; "traced" keeps to the
            operators of the ONNX standard, for other runtimes and execution providers.
        device: where the checkpoint is run, traced and verified: "cpu", "cuda" or "cuda:N".
        opset: version of the ONNX operators, from 18 to 23.
        revision: branch, tag or commit of a model on the hub.
        overwrite: replace the bundle that ``output`` already holds.
        quantize: quantized variants to add, as :func:`torchless.quantize.quantize` takes them: "int8", "q4", ...
        calibrate: a file or folder of inputs for that; by default those that the bundle records.
        progress: called with each step's name and None at its start, and its seconds at its end. By default steps
            are shown on stderr where that is a terminal.

    Returns:
        The bundle's folder.

    Raises:
        ExportError: the checkpoint cannot be found, read or exported, or the output cannot be written.
        VerificationError: no graph could be made that agrees with the checkpoint.
        TaskError: an unknown task, or none given and none to be inferred.
        OptionError: a wrong dtype, attention, device, opset or revision, or a scheme that cannot be had.
        QuantizationError: a variant that is too far from the checkpoint.
        DeviceError: the device is not there.
        MissingDependencyError: torch or another package of the "export" extra is not installed.
    """
    options = Options.checked(dtype, attention, device, opset)
    if task is not None:
        recipe_for(task)
    target = Path(output).expanduser().resolve()
    bundle.check_output(target, overwrite)
    _check_installed()
    schemes = [quantize] if isinstance(quantize, (str, Mapping)) else list(quantize)
    _check_schemes(schemes, options, calibrate)
    report = progress or default_report()
    return _run(checkpoint, target, task, options, revision, report, partial(_quantize, schemes, calibrate, report))


def _run(
    source: str | Path,
    target: Path,
    task: str | None,
    options: Options,
    revision: str | None,
    report: Report,
    finish: Callable[[Path], None],
) -> Path:
    from . import checkpoint, hub, weights, writer
    from .quiet import quiet

    writer.check_device(options.device)
    with bundle.atomic_folder(target) as folder, quiet():
        with timed(report, "load"):
            files = hub.checkpoint_folder(source, revision)
            loaded: Checkpoint = weights.complete(checkpoint.load(files, task, options.device))
        writer.write(folder, loaded, writer.Origin(files, str(source), revision), options, report)
        finish(folder)
    return target


def _check_schemes(schemes: Sequence[str | Mapping[str, str]], options: Options, calibrate: str | Path | None) -> None:
    """Raise OptionError where variants cannot be made, before the export takes its time."""
    from torchless.quantize import Scheme

    if calibrate is not None and not schemes:
        raise OptionError("calibrate is for quantize=..., which is not given")
    if calibrate is not None and not Path(calibrate).expanduser().exists():
        raise OptionError(f"calibration data: no file or folder at {calibrate}")
    names = [name for scheme in schemes for name in ([scheme] if isinstance(scheme, str) else scheme.values())]
    for name in names:
        Scheme.checked(name)
    if names and "fp32" not in options.dtypes:
        raise OptionError(f"quantize={names} starts from float32: add 'fp32' to dtype={options.dtypes}")
    if twice := set(names) & set(options.dtypes):
        raise OptionError(f"{', '.join(sorted(twice))} is asked for both as dtype and by quantize")


def _quantize(
    schemes: Sequence[str | Mapping[str, str]], calibrate: str | Path | None, report: Report, folder: Path
) -> None:
    """Add quantized variants to the bundle that is being written."""
    if schemes:
        from torchless.quantize import quantize

        quantize(folder, schemes, calibrate=calibrate, progress=report)


def _check_installed() -> None:
    for package in _REQUIRED:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingDependencyError(
                f"export needs {package}, which is not installed ({error}): pip install 'torchless[export]'"
            ) from error
