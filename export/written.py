"""What writing a model's graphs leaves to the manifest."""

from __future__ import annotations

from dataclasses import dataclass

from torchless.manifest import GraphSpec, Reference


@dataclass(frozen=True)
class Written:
    """Graphs that lie in a bundle's folder, verified.

    Attributes:
        graphs: by role and dtype.
        references: recorded inputs and outputs.
        attention: the operator that attention was captured as, or "traced".
    """

    graphs: dict[str, dict[str, GraphSpec]]
    references: tuple[Reference, ...]
    attention: str
