"""The one graph of a model that reads its input once."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from torchless.errors import ExportError, VerificationError
from torchless.progress import Report, timed
from torchless.quantize import saving

from . import capture, precision, verify
from .checkpoint import Checkpoint
from .options import Options
from .readers import reader_for
from .written import Written

ROLE = "model"


def input_names(checkpoint: Checkpoint) -> tuple[str, ...]:
    """What the graph takes of the tokenizer's or the preprocessor's outputs."""
    return reader_for(checkpoint).input_names(checkpoint)


def write_graphs(
    folder: Path, checkpoint: Checkpoint, longest: int | None, options: Options, report: Report
) -> Written:
    """Write and verify each variant of the graph.

    Raises:
        ExportError: the model cannot be exported.
        VerificationError: a graph disagrees with the checkpoint.
    """
    full = folder / "onnx" / saving.file_name(ROLE, "fp32")
    expected = verify.cases(checkpoint, longest)
    model, files = _capture(full, checkpoint, expected, options, report)
    specs = {"fp32": saving.spec(folder, model, files)}
    for dtype in options.dtypes:
        if dtype == "fp32":
            continue
        path = full.with_name(saving.file_name(ROLE, dtype))
        with timed(report, f"convert to {dtype}"):
            lowered = precision.lower(model, dtype)
            specs[dtype] = lowered.entered(saving.spec(folder, lowered.model, saving.save(lowered.model, path)))
        with timed(report, f"verify {dtype}"):
            verify.verify(path, dtype, checkpoint, expected, options.device)
    if "fp32" not in options.dtypes:
        for path in files:
            path.unlink()
    return Written(
        graphs={ROLE: {dtype: specs[dtype] for dtype in options.dtypes}},
        references=(verify.reference(checkpoint, ROLE, longest),),
        attention=capture.attention_of(model),
    )


def _capture(
    path: Path,
    checkpoint: Checkpoint,
    expected: list[verify.Case],
    options: Options,
    report: Report,
) -> tuple[ir.Model, tuple[Path, ...]]:
    """The graph of the first attention implementation whose export agrees with the checkpoint, and its files."""
    failures = []
    for implementation in capture.implementations(checkpoint.model, options.attention):
        try:
            with timed(report, f"capture ({implementation} attention)"):
                model = capture.capture(checkpoint, implementation, options.opset)
                files = saving.save(model, path)
            with timed(report, "verify"):
                verify.verify(path, "fp32", checkpoint, expected, options.device)
        except ExportError as error:
            failures.append((implementation, error))
            continue
        return model, files
    reasons = "; ".join(f"with {implementation} attention: {error}" for implementation, error in failures)
    kind = VerificationError if isinstance(failures[-1][1], VerificationError) else ExportError
    raise kind(f"{type(checkpoint.model).__name__} could not be exported: {reasons}") from failures[-1][1]
