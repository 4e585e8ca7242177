"""Reading a bundle's files: JSON objects, paths that stay inside, sizes and hashes."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from .errors import BundleError, BundleNotFoundError, IntegrityError
from .manifest import FileSpec

if TYPE_CHECKING:
    from .bundle import Bundle


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, or None where there is no such file.

    Raises:
        BundleError: the file cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BundleError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise BundleError(f"{path} does not hold a JSON object")
    return content


def inside(folder: Path, file: str) -> Path:
    """The path of a bundle's file.

    Raises:
        IntegrityError: it leaves the folder. Links are left alone: hub caches are made of them.
    """
    parts = PurePosixPath(file)
    if parts.is_absolute() or ".." in parts.parts or "\\" in file or ":" in file:
        raise IntegrityError(f"the manifest of {folder} names a file outside it: {file!r}")
    return folder / parts


def check_size(folder: Path, file: FileSpec) -> None:
    """Check that a listed file is there in its full size.

    Raises:
        BundleNotFoundError: it is missing.
        IntegrityError: it is truncated or changed.
    """
    path = inside(folder, file.file)
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise BundleNotFoundError(f"{path}, which the manifest lists, is missing") from error
    if size != file.bytes:
        raise IntegrityError(f"{path} has {size} bytes and the manifest says {file.bytes}: truncated or changed")


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    import hashlib  # loads OpenSSL

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_spec(path: Path, folder: Path) -> FileSpec:
    """Size and SHA-256 of a file of the bundle."""
    return FileSpec(file=path.relative_to(folder).as_posix(), bytes=path.stat().st_size, sha256=sha256(path))


def graph_bytes(bundle: Bundle, role: str) -> int:
    """Bytes of a graph's ONNX file and of its weight files, in the variant that the bundle was opened with."""
    dtype = bundle.dtype(role)
    if bundle.manifest is not None:
        graph = bundle.manifest.graphs[role][dtype]
        return sum(file.bytes for file in (graph.model, *graph.data))
    return sum(file.stat().st_size for file in graph_files(bundle.folder / bundle.graph_file(role, dtype)))


def graph_files(path: Path) -> list[Path]:
    """A graph and the files of its weights, which are named after it (``model.onnx_data``), where no manifest tells."""
    return sorted(file for file in path.parent.iterdir() if file.name.startswith(path.name) and file.is_file())


def preprocessor_config(folder: Path, part: str) -> dict[str, Any]:
    """The numbers of a feature extractor or an image processor.

    Args:
        folder: the bundle's.
        part: ``"feature_extractor"`` or ``"image_processor"``: where transformers 5 keeps it in processor_config.json.

    Raises:
        BundleNotFoundError: the folder has neither file.
        BundleError: a file is malformed.
    """
    content = read_json(folder / "preprocessor_config.json")
    if content is not None:
        return content
    nested = (read_json(folder / "processor_config.json") or {}).get(part)
    if not isinstance(nested, dict):
        raise BundleNotFoundError(f"{folder} has no preprocessor_config.json: it neither hears nor sees")
    return nested
