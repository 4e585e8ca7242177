"""What writing a model's graphs leaves to the manifest."""

from __future__ import annotations

from dataclasses import dataclass, field

from torchless.manifest import GraphSpec, Reference


@dataclass(frozen=True)
class Written:
    """Graphs that lie in a bundle's folder, verified.

    Attributes:
        graphs: by role and dtype.
        references: recorded inputs and outputs.
        attention: the operator that attention was captured as, or "traced".
        float32: nodes by role that half precision leaves in float32, as their results may leave float16's range.
    """

    graphs: dict[str, dict[str, GraphSpec]]
    references: tuple[Reference, ...]
    attention: str
    float32: dict[str, tuple[str, ...]] = field(default_factory=dict)
