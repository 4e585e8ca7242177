"""A quantized graph on its way into a bundle: converted, and written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torchless.manifest import GraphSpec

from .converted import Converted
from .measure import Measured


@dataclass(frozen=True)
class Conversion:
    """A graph that was converted and is not written yet.

    Attributes:
        role: the graph's.
        dtype: what the variant will be called, in its file's name too.
        options: what the manifest says of how it was made: ``"scheme"`` and ``"options"``.
        converted: the graph, and an account of its weights.
    """

    role: str
    dtype: str
    options: dict[str, Any]
    converted: Converted


@dataclass(frozen=True)
class Variant:
    """A variant that was made of a graph.

    Attributes:
        role: the graph's.
        dtype: what the variant is called: its scheme.
        graph: what the manifest says of it; see :class:`torchless.manifest.GraphSpec`.
        measured: the variant beside float32; None where there was nothing to run it on.
    """

    role: str
    dtype: str
    graph: GraphSpec
    measured: Measured | None
