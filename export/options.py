"""What an export is asked for, checked in one place. Importing this module imports no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from torchless.errors import OptionError

DTYPES = ("fp32", "fp16", "int8")
ATTENTIONS = ("fused", "traced")
OPSETS = range(18, 24)
DEFAULT_OPSET = 20


@dataclass(frozen=True)
class Options:
    """How to make the graphs.

    Attributes:
        dtypes: the variants to write, in the order of :data:`DTYPES`.
        attention: "fused" where the model allows it, or "traced" always.
        device: where the checkpoint is run, traced and verified.
        opset: version of the ONNX operators.
    """

    dtypes: tuple[str, ...]
    attention: str
    device: str
    opset: int

    @classmethod
    def checked(cls, dtype: str | Sequence[str], attention: str, device: str, opset: int) -> Options:
        """The options, if they can be met.

        Raises:
            OptionError: one cannot.
        """
        chosen = (dtype,) if isinstance(dtype, str) else tuple(dtype or ())
        if not chosen or any(name not in DTYPES for name in chosen):
            raise OptionError(f"dtype={dtype!r}: expected one or more of {', '.join(DTYPES)}")
        if attention not in ATTENTIONS:
            raise OptionError(f"attention={attention!r}: expected one of {', '.join(ATTENTIONS)}")
        if not isinstance(device, str) or not re.fullmatch(r"cpu|cuda(:\d+)?", device):
            raise OptionError(f"device={device!r}: expected 'cpu', 'cuda' or 'cuda:N'")
        if not isinstance(opset, int) or isinstance(opset, bool) or opset not in OPSETS:
            raise OptionError(f"opset={opset!r}: expected a whole number from {OPSETS[0]} to {OPSETS[-1]}")
        return cls(tuple(name for name in DTYPES if name in chosen), attention, device, opset)
