"""ONNX translations of torch operators that the exporter decomposes wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import opset18

op: Any = opset18  # its signatures have no room for a tensor of any type


def _rsub(tensor: Any, scalar: float, alpha: float = 1) -> Any:
    """``scalar - alpha * tensor``; the exporter's own decomposition fails for a float scalar and an integer mask."""
    if isinstance(scalar, float) and not tensor.dtype.is_floating_point():
        tensor = op.Cast(tensor, to=1)
    if alpha != 1:
        tensor = op.Mul(tensor, op.CastLike(op.Constant(value_float=float(alpha)), tensor))
    return op.Sub(op.CastLike(op.Constant(value_float=float(scalar)), tensor), tensor)


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {torch.ops.aten.rsub.Scalar: _rsub}
