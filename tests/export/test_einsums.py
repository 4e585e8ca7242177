"""Sums that become products, on graphs written as text: those that match compute the same, the others stay."""

import numpy as np
import onnx_ir as ir
import pytest

pytest.importorskip("torch", reason="the export needs torch")

from tests.export.test_fusions import HEADER, fused, operators
from torchless.export.einsums import multiply_einsums

pytestmark = pytest.mark.export

RANDOM = np.random.default_rng(0)
SIZES = {"i": 2, "b": 3, "h": 4, "n": 2, "d": 3, "j": 5}


def shape(axes: str) -> str:
    return ", ".join(str(SIZES[axis]) for axis in axes)


def graph(equation: str, source: str, weight: str, result: str) -> str:
    """A sum by its equation, over a constant with these axes."""
    numbers = ", ".join(f"{number:.3f}" for number in RANDOM.standard_normal(np.prod([SIZES[axis] for axis in weight])))
    return f"""main (float[{shape(source)}] x) => (float[{shape(result)}] y)
        <float[{shape(weight)}] w = {{{numbers}}}> {{ y = Einsum <equation = "{equation}"> (x, w) }}"""


def convert(model: ir.Model) -> None:
    multiply_einsums(model.graph)


@pytest.mark.parametrize(
    ("source", "weight", "result", "expected"),
    [
        ("ibh", "hnd", "ibnd", ["MatMul", "Reshape"]),
        ("ibnd", "hnd", "ibh", ["Reshape", "MatMul"]),
        ("ibnd", "ndh", "ibh", ["Reshape", "MatMul"]),
        ("ibh", "hj", "ibj", ["MatMul"]),
        ("ibh", "jh", "ibj", ["MatMul"]),
        ("bnd", "hjnd", "bhj", ["Reshape", "MatMul", "Reshape"]),
    ],
)
def test_products(source: str, weight: str, result: str, expected: list[str]) -> None:
    text = graph(f"{source},{weight}->{result}", source, weight, result)
    x = RANDOM.standard_normal([SIZES[axis] for axis in source]).astype(np.float32)
    assert fused(text, convert, x=x) == expected


@pytest.mark.parametrize(
    ("source", "weight", "result"),
    [
        ("ibh", "hnd", "ibdn"),
        ("bih", "hnd", "ibnd"),
        ("hib", "hnd", "ibnd"),
        ("ibnd", "dnh", "ibh"),
        ("ibh", "bhd", "ibd"),
        ("ibh", "h", "ib"),
        ("ibh", "nd", "ibhnd"),
        ("ibh", "nhd", "ibnd"),
    ],
)
def test_others(source: str, weight: str, result: str) -> None:
    """Other orders of axes, a batch of matrices, a vector, nothing that is summed over."""
    text = graph(f"{source},{weight}->{result}", source, weight, result)
    x = RANDOM.standard_normal([SIZES[axis] for axis in source]).astype(np.float32)
    assert fused(text, convert, x=x) == ["Einsum"]


def test_activations() -> None:
    model = ir.from_onnx_text(
        HEADER + 'main (float[2, 4] x, float[4, 3] w) => (float[2, 3] y) { y = Einsum <equation = "ih,hd->id"> (x, w) }'
    )
    multiply_einsums(model.graph)
    assert operators(model) == ["Einsum"]
