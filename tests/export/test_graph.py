"""Graph cleaning, on graphs written as text."""

import numpy as np
import onnx_ir as ir
import pytest

from torchless.export.graph import clean

pytestmark = pytest.mark.export

HEADER = '<ir_version: 10, opset_import: ["": 20]>\n'


def cleaned(text: str) -> list[str]:
    model = ir.from_onnx_text(HEADER + text)
    return [node.op_type for node in clean(model).graph]


def test_reshape_and_back() -> None:
    assert cleaned("""
        main (float[batch, length, 32] x) => (float[batch, length, 32] y)
        <int64[4] heads = {0, 0, 4, 8}, int64[3] flat = {-1, 11, 32},
         float[batch, length, 4, 8] split, float[batch, length, 32] joined> {
            split = Reshape (x, heads)
            joined = Reshape <allowzero = 1> (split, flat)
            y = Neg (joined)
        }
    """) == ["Neg"]


def test_reshape_to_something_else() -> None:
    model = ir.from_onnx_text(
        HEADER
        + """
        main (float[2, 12] x) => (float[6, 4] y)
        <int64[2] first = {3, 8}, int64[2] second = {6, 4}, float[3, 8] between> {
            between = Reshape (x, first)
            y = Reshape <allowzero = 1> (between, second)
        }
        """
    )
    graph = clean(model).graph
    assert [node.op_type for node in graph] == ["Reshape"]
    assert graph[0].inputs[0].name == "x"


def test_reshape_that_copies_dimensions() -> None:
    """A 0 in the target stands for the input's dimension: the first reshape matters."""
    assert cleaned("""
        main (float[2, 12] x) => (float[3, 8] y)
        <int64[2] first = {3, 8}, int64[2] second = {0, 8}, float[3, 8] between> {
            between = Reshape (x, first)
            y = Reshape (between, second)
        }
    """) == ["Reshape", "Reshape"]


def test_unknown_dimensions_are_not_equal() -> None:
    assert cleaned("""
        main (float[?, 12] x) => (float[?, 12] y)
        <int64[2] first = {3, -1}, int64[2] second = {-1, 12}, float[3, n] between, float[?, 12] after> {
            between = Reshape (x, first)
            after = Reshape <allowzero = 1> (between, second)
            y = Neg (after)
        }
    """) == ["Reshape", "Neg"]


def test_equal_initializers_are_shared() -> None:
    model = ir.from_onnx_text(
        HEADER
        + """
        main (float[2] x) => (float[2] y) <float[2] a = {1, 2}, float[2] b = {1, 2}, float[2] sum> {
            sum = Add (x, a)
            y = Add (sum, b)
        }
        """
    )
    (value,) = clean(model).graph.initializers.values()
    np.testing.assert_array_equal(value.const_value.numpy(), [1, 2])
