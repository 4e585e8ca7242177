"""What a folder's files say of its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tokenizers

from .errors import BundleError, BundleNotFoundError
from .files import inside, read_json

_NAMES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


def read_backend(folder: Path, file: str = "tokenizer.json") -> tokenizers.Tokenizer:
    """The library's tokenizer in a file, without truncation and padding.

    Raises:
        BundleNotFoundError: there is no such file.
        BundleError: it is malformed, or outside the folder.
    """
    path = inside(folder, file)
    if not path.is_file():
        raise BundleNotFoundError(f"{folder} has no {file}")
    try:
        backend = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises a bare Exception
        raise BundleError(f"{path} is not a tokenizer: {error}") from error
    backend.no_truncation()
    backend.no_padding()
    return backend


def read_config(folder: Path) -> dict[str, Any]:
    """``tokenizer_config.json``, completed by ``special_tokens_map.json``."""
    return {
        **(read_json(folder / "special_tokens_map.json") or {}),
        **(read_json(folder / "tokenizer_config.json") or {}),
    }


def own_settings(config: dict[str, Any]) -> dict[str, Any]:
    """What the export adds to a tokenizer's configuration under a key of its own."""
    settings = config.get("torchless", {})
    if not isinstance(settings, dict):
        raise BundleError(f"tokenizer_config.json has malformed settings: {settings!r:.80}")
    return settings


def named_tokens(config: dict[str, Any]) -> dict[str, str]:
    """The special tokens by name: "eos" and such, and a checkpoint's own, by their text where they have no name."""
    found = {name: _content(config.get(f"{name}_token")) for name in _NAMES}
    for key in ("additional_special_tokens", "extra_special_tokens"):
        tokens = config.get(key) or []
        items = tokens.items() if isinstance(tokens, dict) else ((_content(token), token) for token in tokens)
        for name, token in items:
            found.setdefault(str(name).removesuffix("_token"), _content(token))
    return {name: token for name, token in found.items() if token}


def chat_templates(folder: Path, config: dict[str, Any]) -> dict[str, str]:
    """The chat templates by name; one alone is called "default".

    Raises:
        BundleError: malformed templates.
    """
    files = {path.stem: path for path in (folder / "additional_chat_templates").glob("*.jinja")}
    if (folder / "chat_template.jinja").is_file():
        files["default"] = folder / "chat_template.jinja"
    if files:
        return {name: _read_text(path) for name, path in sorted(files.items())}
    declared = config.get("chat_template") or {}
    if isinstance(declared, str):
        return {"default": declared}
    try:
        return {str(item["name"]): str(item["template"]) for item in declared}
    except (KeyError, TypeError) as error:
        raise BundleError(f"{folder}/tokenizer_config.json has a malformed chat_template: {error!r}") from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BundleError(f"cannot read {path}: {error}") from error


def _content(token: Any) -> str:
    content = token.get("content") if isinstance(token, dict) else token
    return str(content) if content else ""
