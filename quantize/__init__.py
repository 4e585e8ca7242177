"""Smaller graphs: lower precision for a bundle's ONNX files, without torch."""

from .half import to_half

__all__ = ["to_half"]
