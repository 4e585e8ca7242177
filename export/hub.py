"""A checkpoint's folder: a local one, or the hub's, downloaded or found in the local cache."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import snapshot_download

from torchless.errors import ExportError, OptionError

_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_SMALL_FILES = ("*.json", "*.txt", "*.model")
_WEIGHTS = (("model*.safetensors",), ("pytorch_model*.bin",))


def checkpoint_folder(checkpoint: str | Path, revision: str | None) -> Path:
    """The local folder that holds a checkpoint, downloaded first where it is a hub id that is not cached.

    Args:
        checkpoint: a folder, or a model id on the hub such as ``"distilbert-base-uncased"``.
        revision: branch, tag or commit on the hub; its default branch where None.

    Raises:
        ExportError: no such folder and no such model in the cache or on the hub, or a folder without config.json.
        OptionError: a revision of a local folder.
    """
    folder = Path(checkpoint).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise OptionError(f"revision={revision!r} is for a model on the hub; {checkpoint} is a local folder")
    elif folder.exists() or not _HUB_ID.fullmatch(str(checkpoint)):
        raise ExportError(f"{checkpoint} is neither a folder nor a model id on the hub (name or owner/name)")
    else:
        folder = _snapshot(str(checkpoint), revision)
    if not (folder / "config.json").is_file():
        raise ExportError(f"{checkpoint} has no config.json: it is not a Hugging Face checkpoint")
    return folder


def _snapshot(name: str, revision: str | None) -> Path:
    """Download what an export reads: the small files at the top, and one format of the weights."""
    try:
        for weights in _WEIGHTS:
            patterns = [*_SMALL_FILES, *weights]
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=patterns, ignore_patterns="*/*"))
            if any(True for pattern in weights for _ in folder.glob(pattern)):
                break
    except Exception as error:  # the client also lets its HTTP library's errors through
        at = f" at revision {revision!r}" if revision else ""
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ExportError(
            f"there is no folder {name}, and the model {name}{at} is neither in the local cache "
            f"nor can it be had from the hub: {reason}"
        ) from error
    return folder
