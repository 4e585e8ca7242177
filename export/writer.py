"""Filling a bundle's folder: graphs, tokenizer, configuration and manifest."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from torchless import manifest
from torchless.errors import DeviceError
from torchless.files import file_spec
from torchless.manifest import Manifest
from torchless.progress import Report, timed

from . import generation, limits, preprocessor, single, tokenizer
from .checkpoint import Checkpoint
from .options import Options
from .written import Written

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
    family = generation if checkpoint.recipe.generates else single
    reads_text = checkpoint.recipe.reads == "text"
    with timed(report, "tokenizer" if reads_text else "preprocessor"):
        if reads_text or checkpoint.recipe.generates:
            tokenizer.freeze(checkpoint.tokenizer, folder, family.input_names(checkpoint))
        elif checkpoint.tokenizer is not None:
            preprocessor.freeze_characters(checkpoint.tokenizer, folder)
        if not reads_text:
            preprocessor.freeze(checkpoint.preprocessor, folder)
        _write_config(checkpoint, folder)
    longest = limits.max_length(checkpoint.model, checkpoint.tokenizer) if reads_text else None
    (folder / "onnx").mkdir()
    written = family.write_graphs(folder, checkpoint, longest, options, report)
    with timed(report, "write"):
        content = Manifest(
            task=checkpoint.recipe.task,
            model_type=checkpoint.config.model_type,
            graphs=written.graphs,
            dtype={"cpu": options.dtypes[0], "cuda": "fp16" if "fp16" in options.dtypes else options.dtypes[0]},
            max_length=longest,
            files=tuple(file_spec(path, folder) for path in sorted(folder.iterdir()) if path.is_file()),
            references=written.references,
            provenance=_provenance(checkpoint, origin, written, options.opset),
        )
        (folder / manifest.FILE_NAME).write_text(content.to_json(), encoding="utf-8")


def _write_config(checkpoint: Checkpoint, folder: Path) -> None:
    """The model's configuration, with the class that was exported and, for a classifier, every label.

    What hears or sees is also run by the sizes in it, such as those of convolutions: all of them are written. What a
    generating model decodes by has a file of its own.
    """
    config = checkpoint.model.config
    numbers = config.to_diff_dict() if checkpoint.recipe.reads == "text" else config.to_dict()
    numbers.pop("_name_or_path", None)  # a path of this machine
    content = {**numbers, "architectures": [type(checkpoint.model).__name__]}
    if "classification" in checkpoint.recipe.task:
        content |= {"id2label": config.id2label, "label2id": config.label2id}
    _write_json(folder / "config.json", content)
    if checkpoint.recipe.generates:
        _write_json(folder / "generation_config.json", checkpoint.model.generation_config.to_diff_dict())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def _provenance(checkpoint: Checkpoint, origin: Origin, written: Written, opset: int) -> dict[str, Any]:
    local = Path(origin.name).is_dir()  # a local path tells about the machine: keep the folder's name
    return {
        "checkpoint": Path(origin.name).resolve().name if local else origin.name,
        "revision": origin.revision if local else origin.folder.name,
        "architecture": type(checkpoint.model).__name__,
        "attention": written.attention,
        "opset": opset,
        **({"float32": written.float32} if written.float32 else {}),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    """The versions of those packages that are installed: of ONNX Runtime there is one build or the other."""
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
