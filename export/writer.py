"""Filling a bundle's folder: graphs, tokenizer, configuration and manifest."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch

from torchless import manifest
from torchless.errors import DeviceError, ExportError, VerificationError
from torchless.manifest import GraphSpec, Manifest
from torchless.quantize import to_half

from . import capture, encoder, graph, limits, tokenizer, verify
from .bundle import file_spec
from .checkpoint import Checkpoint
from .options import Options
from .progress import Report, timed

ROLE = "model"
_PACKAGES = ("torchless", "torch", "transformers", "onnx", "onnxruntime", "onnxruntime-gpu", "tokenizers")


@dataclass(frozen=True)
class Origin:
    """Where a checkpoint comes from: its folder, the name it was asked for by, and the revision."""

    folder: Path
    name: str
    revision: str | None


def check_device(device: str) -> None:
    """Raise DeviceError where torch cannot use the device."""
    if device.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(device.partition(":")[2] or 0) >= count:
            raise DeviceError(f"device {device!r} is not there: torch sees {count} CUDA devices")


def write(
    folder: Path,
    checkpoint: Checkpoint,
    origin: Origin,
    options: Options,
    report: Report,
) -> None:
    """Write the whole bundle into an empty folder.

    Raises:
        ExportError: the model or the tokenizer cannot be exported.
        VerificationError: a graph or the tokenizer disagrees with the checkpoint.
    """
    with timed(report, "tokenizer"):
        names = encoder.input_names(checkpoint.model, checkpoint.tokenizer)
        tokenizer.freeze(checkpoint.tokenizer, folder, names)
        _write_config(checkpoint, folder / "config.json")
    longest = limits.max_length(checkpoint.model, checkpoint.tokenizer)
    graphs, attention = _write_graphs(folder, checkpoint, longest, options, report)
    with timed(report, "write"):
        content = Manifest(
            task=checkpoint.recipe.task,
            model_type=checkpoint.config.model_type,
            graphs={ROLE: graphs},
            dtype={"cpu": options.dtypes[0], "cuda": options.dtypes[-1]},
            max_length=longest,
            files=tuple(file_spec(path, folder) for path in sorted(folder.iterdir()) if path.is_file()),
            references=(verify.reference(checkpoint, ROLE, longest),),
            provenance=_provenance(checkpoint, origin, attention, options.opset),
        )
        (folder / manifest.FILE_NAME).write_text(content.to_json(), encoding="utf-8")


def _write_graphs(
    folder: Path,
    checkpoint: Checkpoint,
    longest: int | None,
    options: Options,
    report: Report,
) -> tuple[dict[str, GraphSpec], str]:
    """Write and verify each variant; returns them by dtype, and how attention was captured."""
    onnx = folder / "onnx"
    onnx.mkdir()
    full = onnx / "model.onnx"
    expected = verify.cases(checkpoint, longest)
    model, files = _capture(full, checkpoint, expected, options, report)
    written = {"fp32": files}
    if "fp16" in options.dtypes:
        half = onnx / "model_fp16.onnx"
        with timed(report, "convert to fp16"):
            written["fp16"] = graph.save(to_half(model), half)
        with timed(report, "verify fp16"):
            verify.verify(half, "fp16", checkpoint.recipe.outputs, expected, options.device)
    if "fp32" not in options.dtypes:
        for path in written.pop("fp32"):
            path.unlink()
    return {dtype: _graph_spec(folder, model, written[dtype]) for dtype in options.dtypes}, capture.attention_of(model)


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
                files = graph.save(model, path)
            with timed(report, "verify"):
                verify.verify(path, "fp32", checkpoint.recipe.outputs, expected, options.device)
        except ExportError as error:
            failures.append((implementation, error))
            continue
        return model, files
    reasons = "; ".join(f"with {implementation} attention: {error}" for implementation, error in failures)
    kind = VerificationError if isinstance(failures[-1][1], VerificationError) else ExportError
    raise kind(f"{type(checkpoint.model).__name__} could not be exported: {reasons}") from failures[-1][1]


def _graph_spec(folder: Path, model: ir.Model, files: tuple[Path, ...]) -> GraphSpec:
    first, *data = (file_spec(path, folder) for path in files)
    return GraphSpec(
        model=first,
        data=tuple(data),
        inputs=graph.signature(model.graph.inputs),
        outputs=graph.signature(model.graph.outputs),
    )


def _write_config(checkpoint: Checkpoint, path: Path) -> None:
    """The model's configuration, with the class that was exported and, for a classifier, every label."""
    config = checkpoint.model.config
    content = {**config.to_diff_dict(), "architectures": [type(checkpoint.model).__name__]}
    if "classification" in checkpoint.recipe.task:
        content |= {"id2label": config.id2label, "label2id": config.label2id}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def _provenance(checkpoint: Checkpoint, origin: Origin, attention: str, opset: int) -> dict[str, Any]:
    local = Path(origin.name).is_dir()  # a local path tells about the machine: keep the folder's name
    return {
        "checkpoint": Path(origin.name).resolve().name if local else origin.name,
        "revision": origin.revision if local else origin.folder.name,
        "architecture": type(checkpoint.model).__name__,
        "attention": attention,
        "opset": opset,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    """The versions of those packages that are installed: of ONNX Runtime there is one build or the other."""
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
