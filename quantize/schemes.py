"""What a variant is quantized by: the schemes, their options, and what they need of a machine."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torchless.errors import OptionError

SCHEMES = ("int8", "int8-static", "q8", "q4", "fp16")
METHODS = ("minmax", "entropy", "percentile")
BLOCK_SIZES = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Scheme:
    """A way to make a graph smaller.

    Attributes:
        name: one of :data:`SCHEMES`; the variant is called by it.
        reduce_range: int8, int8-static: weights of 7 bits, for processors whose sums of 8-bit products overflow;
            None where the machine decides.
        block_size: q8, q4: weights that share a scale.
        symmetric: q8, q4: no zero points.
        accuracy_level: q8, q4: ONNX Runtime's: 4 multiplies in int8, 1 in float32; None takes what was measured best.
        method: int8-static: how the range of an activation follows from what was seen.
        percentile: int8-static: share of the values, in percent, that the range of ``method="percentile"`` holds.
        exclude: names of weights or nodes that stay as they are, with ``*`` and ``?``.
    """

    name: str
    reduce_range: bool | None = None
    block_size: int = 32
    symmetric: bool = True
    accuracy_level: int | None = None
    method: str = "minmax"
    percentile: float = 99.99
    exclude: tuple[str, ...] = ()

    @classmethod
    def checked(cls, name: str, **options: Any) -> Scheme:
        """The scheme, if it exists and its options belong to it.

        Raises:
            OptionError: an unknown scheme, or an option that it does not have, or a wrong value.
        """
        if name not in SCHEMES:
            raise OptionError(f"scheme {name!r}: expected one of {', '.join(SCHEMES)}")
        return cls(name, **options)

    def excludes(self, *names: str) -> bool:
        """Whether one of a node's names is to be left alone."""
        return any(fnmatchcase(name, pattern) for pattern in self.exclude for name in names)
