"""Smaller graphs: variants of a bundle in lower precision, without torch.

Importing this package imports onnx_ir; :func:`quantize` also ONNX Runtime.
"""

from . import required  # noqa: F401  before what needs them
from .dynamic import to_int8
from .half import to_half
from .schemes import SCHEMES, Scheme
from .variant import Variant
from .variants import quantize

__all__ = ["SCHEMES", "Scheme", "Variant", "quantize", "to_half", "to_int8"]
