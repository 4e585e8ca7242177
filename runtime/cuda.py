"""What of a graph runs on the CPU although CUDA was asked for, and what would run there.

Reference: ONNX Runtime's list of kernels, ``docs/OperatorKernels.md``: on CUDA, GroupQueryAttention is there for
float16 and bfloat16 only, and none of the products of the schemes int8 and int8-static.
"""

from __future__ import annotations

import warnings
from typing import Protocol

from .binding import Place
from .errors import QuantizationWarning, user_stacklevel
from .manifest import TensorSpec


class Opened(Protocol):
    """What is asked of a session."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the graph takes."""
        ...

    def place(self, name: str) -> Place:
        """Where it reads an input."""
        ...


def warn_of_cpu(file: str, session: Opened, scheme: str, *, has_fp16: bool) -> None:
    """Warn of a graph of which much runs on the CPU, having no kernels on CUDA.

    Args:
        file: the graph.
        session: opened on CUDA.
        scheme: how it was quantized; empty where it was not.
        has_fp16: whether the bundle has the graph in float16 too.
    """
    if scheme.startswith("int8"):
        warnings.warn(
            f"{file} is {scheme}: CUDA has no kernels for its products, which run on the CPU; "
            "dtype='fp16', 'q8' or 'q4' run on CUDA",
            QuantizationWarning,
            stacklevel=user_stacklevel(),
        )
        return
    caches = [spec for spec in session.inputs if spec.name.startswith("past_key_values.")]
    left = [spec for spec in caches if session.place(spec.name).kind == "cpu"]
    if left:
        advice = "dtype='fp16' runs there" if has_fp16 else "in fp16 all runs there: torchless quantize --scheme fp16"
        warnings.warn(
            f"{file} attends over a cache in {left[0].dtype}, for which ONNX Runtime has no kernel on CUDA: this part "
            f"runs on the CPU, and what it takes and gives is copied in every layer; {advice}",
            stacklevel=user_stacklevel(),
        )
