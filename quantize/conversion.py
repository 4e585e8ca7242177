"""One graph by one scheme: the converters, chosen by the scheme's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from torchless.errors import OptionError

from .converted import Converted
from .schemes import Scheme

Feed = Mapping[str, NDArray[Any]]
"""What a session is given: arrays by input name."""


def convert_role(model: ir.Model, scheme: Scheme, feeds: Sequence[Feed] | None = None) -> Converted:
    """A quantized copy of a float32 graph.

    Args:
        model: the graph, as a bundle holds it; it is not changed.
        scheme: how to quantize it.
        feeds: int8-static: inputs of the graph that show the ranges of its activations; the other schemes need none.

    Returns:
        The copy, and which weights were quantized and which were not, with the reason.

    Raises:
        OptionError: int8-static without feeds.
    """
    static = scheme.name == "int8-static"
    converted = _static(model, scheme, feeds) if static else _CONVERTERS[scheme.name](model, scheme)
    if scheme.rest is None:
        return converted
    after = convert_role(converted.model, scheme.rest, feeds)
    left = {name: reason for name, reason in after.left.items() if name in converted.left}
    return Converted(after.model, converted.quantized | after.quantized, left)


def _static(model: ir.Model, scheme: Scheme, feeds: Sequence[Feed] | None) -> Converted:
    from .calibration import calibrate  # only where something is calibrated
    from .static import convert, wanted

    if not feeds:
        raise OptionError("int8-static needs inputs to calibrate with: give calibrate=a file or folder of them")
    names = wanted(model, scheme)
    ranges = calibrate(model, names, list(map(dict, feeds)), scheme.method, scheme.percentile)
    return convert(model, scheme, ranges)


def _dynamic(model: ir.Model, scheme: Scheme) -> Converted:
    from .dynamic import convert

    return convert(model, scheme)


def _blockwise(model: ir.Model, scheme: Scheme) -> Converted:
    from .blockwise import convert

    return convert(model, scheme)


def _half(model: ir.Model, scheme: Scheme) -> Converted:
    from .half import convert

    return convert(model, scheme)


_CONVERTERS: dict[str, Callable[[ir.Model, Scheme], Converted]] = {
    "int8": _dynamic,
    "q8": _blockwise,
    "q4": _blockwise,
    "fp16": _half,
}
