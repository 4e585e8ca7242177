"""The standard's attention in place of ONNX Runtime's own: the same numbers, and only where it says the same."""

import numpy as np
import onnx_ir as ir
import pytest

from tests.quantize.graphs import build, operators, random, run
from torchless.quantize.attention import standardize

B, S, D, HEADS = 2, 5, 48, 4


def graph(attributes: str = "", inputs: str = "q, k, v", extra: str = "") -> ir.Model:
    """Attention over what products give, as in a model, or a node that does not tell their shape."""
    return build(
        f"""(float[b, s, {D}] a, float[b, s, {D}] c, float[{D}, {D}] w, float[{D}, {2 * D}] u{extra})
            => (float[b, s, {D}] y) {{
            half = MatMul (a, w)
            q = Add (half, half)
            r = MatMul (c, u)
            k, v = Split <axis = -1, num_outputs = 2> (r)
            other = Abs (c)
            y = com.microsoft.MultiHeadAttention <num_heads = {HEADS}{attributes}> ({inputs})
        }}""",
        w=random(D, D) / 7, u=random(D, 2 * D) / 7,
    )  # fmt: skip


MASK = np.where(np.arange(S) < np.array([[S], [3]]), 0, np.finfo(np.float32).min)[:, None, None, :].astype(np.float32)


@pytest.mark.parametrize(
    ("attributes", "inputs", "extra", "mask"),
    [
        ("", "q, k, v", "", None),
        (", scale = 1.0", "q, k, v", "", None),
        ("", "q, k, v, , , m", ", float[b, 1, s, t] m", np.broadcast_to(MASK, (B, 1, S, S))),
        ("", "q, k, v, , , m", ", float[1, h, s, t] m", random(1, HEADS, S, S)),
    ],
)
def test_same_numbers(attributes: str, inputs: str, extra: str, mask: np.ndarray | None) -> None:
    model = graph(attributes, inputs, extra)
    feeds = {"a": random(B, S, D), "c": random(B, S, D)} | ({} if mask is None else {"m": np.ascontiguousarray(mask)})
    (wanted,) = run(model, **feeds)
    standardize(model)
    assert operators(model) == ["MatMul", "Add", "MatMul", "Split", "Abs", "Attention"]
    assert model.graph.opset_imports[""] == 23
    (found,) = run(model, **feeds)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("attributes", "inputs", "extra"),
    [
        ("", "a, c, c", ""),  # whose rank nobody tells: keys and values of a cache have an axis of heads
        ("", "q, k, other", ""),  # a node whose result may have such an axis, or a width that is not known
        ("", "q, k, v, bias", f", float[{3 * D}] bias"),
        ("", "q, k, v, , p", ", int32[b, s] p"),
        (", unidirectional = 1", "q, k, v", ""),
        (", mask_filter_value = -5.0", "q, k, v", ""),
    ],
)
def test_left_alone(attributes: str, inputs: str, extra: str) -> None:
    model = graph(attributes, inputs, extra)
    standardize(model)
    assert "MultiHeadAttention" in operators(model)
    assert model.graph.opset_imports[""] == 20


def test_operators_that_changed_since_keep_their_set() -> None:
    """GridSample's "bilinear" is called "linear" since operator set 20."""
    model = graph(extra=", float[1, 1, 4, 4] picture, float[1, 2, 2, 2] places")
    model.graph.opset_imports[""] = 18
    sample = ir.node("GridSample", model.graph.inputs[2:4], {"mode": "bilinear"})
    sample.outputs[0].name, sample.outputs[0].type = "sampled", ir.TensorType(ir.DataType.FLOAT)
    model.graph.append(sample)
    model.graph.outputs.append(sample.outputs[0])
    standardize(model)
    assert model.graph.opset_imports[""] == 18
    feeds = {"a": random(B, S, D), "c": random(B, S, D), "picture": random(1, 1, 4, 4), "places": random(1, 2, 2, 2)}
    assert run(model, **feeds)[1].shape == (1, 1, 2, 2)


@pytest.mark.parametrize("opset", [13, 24])
def test_other_operator_sets_stay(opset: int) -> None:
    model = graph()
    model.graph.opset_imports[""] = opset
    standardize(model)
    assert "MultiHeadAttention" in operators(model)
    assert model.graph.opset_imports[""] == opset
