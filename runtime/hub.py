"""From a model's name to a local folder: a path as it is, or a model id of the Hugging Face hub.

The hub client comes with ``tokenizers`` and is imported only when an id has to be resolved.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from . import manifest as manifests
from .errors import BundleError, BundleNotFoundError

_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_METADATA = ["*.json", "*.jinja", "*.txt", "*.model"]
VARIANTS = ("fp16", "int8", "int8-static", "uint8", "q8", "q4", "q4f16", "bnb4", "quantized")


def resolve(
    model: str | os.PathLike[str],
    *,
    revision: str | None = None,
    dtype: str | Mapping[str, str] = "auto",
    device: str = "cpu",
    download: bool = True,
) -> Path:
    """The local folder of a bundle.

    Args:
        model: a folder, or a hub id such as ``"organisation/name"``, downloaded on first use and then cached.
        revision: branch, tag or commit of a hub id.
        dtype: the variant that will be opened; the others are not downloaded.
        device: ``"cpu"`` or ``"cuda"``: what ``dtype="auto"`` picks for.
        download: False takes what is in the hub's cache.

    Raises:
        BundleNotFoundError: neither a folder nor an id that the hub or the local cache knows.
    """
    name = os.fspath(model)
    try:
        folder = Path(model).expanduser()
        if folder.is_dir():
            return folder
        is_file = folder.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long a name, no such user's home
        raise BundleNotFoundError(f"no folder {name!r:.200}: {error!s:.200}") from error
    if is_file:
        raise BundleNotFoundError(f"{name} is a file; a bundle is a folder with tokenizer.json and onnx/*.onnx")
    if not _ID.fullmatch(name) or name in (".", ".."):
        raise BundleNotFoundError(f"no folder {name}, and the name is not a hub id ('organisation/name')")
    if not download:
        return _cached(name, revision)
    return _download(name, revision, dtype, device)


def _cached(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except Exception as error:
        raise BundleNotFoundError(f"no folder {name!r}, and no such model in the hub's cache") from error


def _download(name: str, revision: str | None, dtype: str | Mapping[str, str], device: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=_METADATA))
        manifest = manifests.Manifest.read(folder)
        if manifest is not None and isinstance(dtype, str):
            wanted = {role: manifest.automatic(role, device) if dtype == "auto" else dtype for role in manifest.graphs}
            graphs = [variants[wanted[role]] for role, variants in manifest.graphs.items() if wanted[role] in variants]
            allow = [file.file for graph in graphs for file in (graph.model, *graph.data)]
            ignore: list[str] = []
        else:
            allow, ignore = _patterns(dtype)
        allow = [*_METADATA, *allow]
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=allow, ignore_patterns=ignore))
        if dtype == "auto" and ignore and not any(folder.rglob("*.onnx")):
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=allow))  # only other variants
        return folder
    except BundleError:
        raise
    except Exception as error:  # the client also lets its HTTP library's errors through
        cause = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise BundleNotFoundError(
            f"no folder {name!r}, and the hub did not give a model of that name ({type(error).__name__}: {cause})"
        ) from error


def _patterns(dtype: str | Mapping[str, str]) -> tuple[list[str], list[str]]:
    """File patterns to take and to leave for a repository without a manifest."""
    if not isinstance(dtype, str):
        return ["*.onnx", "*.onnx_data", "*.onnx.data"], []
    if dtype in ("auto", "fp32"):
        return ["*.onnx", "*.onnx_data", "*.onnx.data"], [f"*_{variant}.onnx*" for variant in VARIANTS]
    return [f"*_{dtype}.onnx*"], []
