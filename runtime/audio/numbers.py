"""The numbers of ``preprocessor_config.json``, with transformers' defaults where a folder leaves them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import BundleError


def integer(config: Mapping[str, Any], name: str, default: int, minimum: int = 1) -> int:
    """A whole number.

    Raises:
        BundleError: it is none, or below the minimum.
    """
    value = config.get(name, default)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or value < minimum:
        raise BundleError(f"preprocessor_config.json: {name} must be an integer of at least {minimum}, not {value!r}")
    return value


def real(config: Mapping[str, Any], name: str, default: float) -> float:
    """A number.

    Raises:
        BundleError: it is none.
    """
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BundleError(f"preprocessor_config.json: {name} must be a number, not {value!r}")
    return float(value)


def flag(config: Mapping[str, Any], name: str, default: bool) -> bool:
    """True or false.

    Raises:
        BundleError: it is neither.
    """
    value = config.get(name, default)
    if type(value) is not bool:
        raise BundleError(f"preprocessor_config.json: {name} must be true or false, not {value!r}")
    return value


def left_padded(config: Mapping[str, Any]) -> bool:
    """Whether padding goes before the sound.

    Raises:
        BundleError: it is neither "left" nor "right".
    """
    side = config.get("padding_side", "right")
    if side not in ("left", "right"):
        raise BundleError(f"preprocessor_config.json: padding_side must be 'left' or 'right', not {side!r}")
    return bool(side == "left")
