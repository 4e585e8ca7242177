"""What a machine has for products of 8-bit numbers, and what each scheme makes of it.

Where the system does not tell the processor's instructions (see :mod:`torchless.processor`), what is said here is said
for the weakest processor of its kind.

References: ONNX Runtime's documentation, "Quantize ONNX models", on reduce_range (sums of two 8-bit products overflow
16 bits on x86 without VNNI), and its list of kernels, ``docs/OperatorKernels.md``, on what CUDA runs.
"""

from __future__ import annotations

import platform

from torchless.processor import features, is_x86

_EXACT = {"AVX-VNNI", "AVX512-VNNI", "AMX"}
_FAST = _EXACT | {"dot product", "I8MM"}

CUDA = {
    "int8": "CUDA has no DynamicQuantizeMatMul: the products run on the CPU, and what passes between is copied",
    "int8-static": "CUDA has no MatMulIntegerToFloat and no QLinearConv: the products and convolutions run on the CPU",
    "q8": "MatMulNBits and GatherBlockQuantized run there; a decoder's attention in float32 does not",
    "q4": "MatMulNBits and GatherBlockQuantized run there; a decoder's attention in float32 does not",
    "fp16": "runs there, a decoder's attention too: the choice for CUDA",
}
"""What becomes of each scheme on ONNX Runtime's CUDA execution provider."""


def saturates() -> bool:
    """Whether sums of two products of 8 bits may overflow here, so that weights need ``reduce_range``.

    That is so on x86 without VNNI or AMX; an unknown x86 processor is taken for one.
    """
    return is_x86() and not _EXACT & (features() or frozenset())


def multiplies_fast() -> bool | None:
    """Whether the processor has instructions for sums of 8-bit products; None where that is unknown."""
    found = features()
    return None if found is None else bool(_FAST & found)


def describe() -> str:
    """The processor in a line.

    Example:
        >>> describe()      # doctest: +SKIP
        'x86_64 with AVX2, AVX512, AVX512-VNNI'
    """
    found = features()
    if found is None:
        return f"{platform.machine()} ({platform.system()} does not tell its instructions)"
    return f"{platform.machine()} with {', '.join(sorted(found)) or 'none of ' + ', '.join(sorted(_FAST | {'AVX2'}))}"


def doubts(scheme: str) -> str | None:
    """Why a scheme may be slow or inexact on this processor; None where nothing speaks against it."""
    if not scheme.startswith("int8"):
        return None
    fast = multiplies_fast()
    if fast is None:
        return f"{describe()}: {scheme} may not be faster than float32"
    if fast:
        return None
    lost = ", and weights have 7 bits so that sums do not overflow" if saturates() else ""
    return f"{describe()}: no instructions for 8-bit products (VNNI, dot product), so {scheme} gains little{lost}"
