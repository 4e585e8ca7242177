"""Smaller graphs: lower precision for a bundle's ONNX files, without torch."""

from .dynamic import to_int8
from .half import to_half

__all__ = ["to_half", "to_int8"]
