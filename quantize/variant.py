"""A quantized graph on its way into a bundle: converted, and written."""

from __future__ import annotations

from dataclasses import dataclass

from torchless.manifest import GraphSpec

from .converted import Converted
from .measure import Measured
from .schemes import Scheme


@dataclass(frozen=True)
class Conversion:
    """A graph that was converted and is not written yet.

    Attributes:
        role: the graph's.
        scheme: how it was converted; the variant will be called by its name, in its file's name too.
        converted: the graph, and an account of its weights.
    """

    role: str
    scheme: Scheme
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
