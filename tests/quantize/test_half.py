"""Half precision, on graphs written as text and run with ONNX Runtime."""

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from torchless.quantize.half import convert, half, to_half
from torchless.quantize.schemes import Scheme
from torchless.quantize.types import add_types

HEADER = '<ir_version: 10, opset_import: ["": 20, "com.microsoft": 1]>\n'


def run(model: ir.Model, **inputs: np.ndarray) -> list[np.ndarray]:
    session = ort.InferenceSession(
        ir.serde.serialize_model(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


def test_values() -> None:
    values = np.array([0, 1, 1e-9, -1e-12, 7e4, -3.4e38, np.inf, -np.inf, 1 + 2**-12], np.float32)
    tiny = np.float16(2.0**-24)
    expected = [0, 1, tiny, -tiny, 65504, -65504, np.inf, -np.inf, 1]
    np.testing.assert_array_equal(half(values), np.array(expected, np.float16))
    assert np.isnan(half(np.array([np.nan], np.float32)))[0]


def test_inputs_and_outputs_stay_float() -> None:
    model = ir.from_onnx_text(
        HEADER
        + """
        main (float[n, 2] x, int64[n] i) => (float[n, 2] y, int64[n] j)
        <float[2, 2] w = {1, 2, 3, 4}, float[n, 2] product> {
            product = MatMul (x, w)
            y = Relu (product)
            j = Neg (i)
        }
        """
    )
    result = to_half(model)
    assert result.graph.initializers["w"].dtype == ir.DataType.FLOAT16
    x, i = np.array([[1, -2], [3, 4]], np.float32), np.array([1, 2])
    for found, wanted in zip(run(result, x=x, i=i), run(model, x=x, i=i), strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
    assert [value.dtype for value in model.graph.outputs] == [ir.DataType.FLOAT, ir.DataType.INT64]
    assert model.graph.initializers["w"].dtype == ir.DataType.FLOAT, "the original is left alone"


def test_types_among_attributes() -> None:
    """Casts, constants of every spelling, and fills without a value of their own."""
    model = ir.from_onnx_text(
        HEADER
        + """
        main (int64[2] i) => (float[2] y)
        <float[2] a, float b, float[2] c, float[1] d, float[2] e, int64[1] shape = {2},
         float[2] ab, float[2] abc, float[2] abcd> {
            a = Cast <to = 1> (i)
            b = Constant <value_float = 1.5> ()
            c = Constant <value_floats = [2.5, 3.5]> ()
            d = Constant <value = float[1] {4.0}> ()
            e = ConstantOfShape (shape)
            ab = Add (a, b)
            abc = Add (ab, c)
            abcd = Add (abc, d)
            y = Add (abcd, e)
        }
        """
    )
    (found,) = run(to_half(model), i=np.array([1, 2]))
    np.testing.assert_array_equal(found, np.array([9, 11], np.float32))


def test_mask_minimum_stays_finite() -> None:
    model = ir.from_onnx_text(
        HEADER
        + """
        main (bool[2] keep) => (float[2] y)
        <float zero = {0.0}, float lowest = {-3.4028235e38}, float[2] bias> {
            bias = Where (keep, zero, lowest)
            y = Softmax (bias)
        }
        """
    )
    (found,) = run(to_half(model), keep=np.array([False, False]))
    np.testing.assert_array_equal(found, np.array([0.5, 0.5], np.float32))


def test_operator_without_float16() -> None:
    """Range takes no float16: it stays in float32 between casts."""
    model = ir.from_onnx_text(
        HEADER
        + """
        main (int64 n) => (float[m] y) <float limit, float start = {0.0}, float step = {2.0}, float[m] r> {
            limit = Cast <to = 1> (n)
            r = Range (start, limit, step)
            y = Add (r, step)
        }
        """
    )
    (found,) = run(to_half(model), n=np.array(7))
    np.testing.assert_array_equal(found, np.array([2, 4, 6, 8], np.float32))


def test_output_that_is_also_used_inside() -> None:
    model = ir.from_onnx_text(
        HEADER
        + """
        main (float[2] x) => (float[2] y, float[2] z) {
            y = Relu (x)
            z = Neg (y)
        }
        """
    )
    result = to_half(model)
    assert [value.name for value in result.graph.outputs] == ["y", "z"]
    y, z = run(result, x=np.array([-1, 2], np.float32))
    np.testing.assert_array_equal(y, [0, 2])
    np.testing.assert_array_equal(z, [0, -2])


def test_indices_are_counted_in_float() -> None:
    """A position of 4,001 is not a float16, nor is the bucket that is computed from it."""
    model = ir.from_onnx_text(
        HEADER
        + """
        main (int64[n] positions) => (int64[n] bucket, float[n] y)
        <float factor = {0.5}, float[n] f, float[n] scaled> {
            f = Cast <to = 1> (positions)
            scaled = Mul (f, factor)
            bucket = Cast <to = 7> (scaled)
            y = Mul (scaled, factor)
        }
        """
    )
    result = to_half(model)
    bucket, y = run(result, positions=np.array([1, 4001, 8002]))
    np.testing.assert_array_equal(bucket, [0, 2000, 4001])
    np.testing.assert_allclose(y, [0.25, 1000.25, 2000.5], rtol=1e-3)
    assert {value.dtype for value in result.graph.initializers.values()} == {ir.DataType.FLOAT, ir.DataType.FLOAT16}


def test_indices_are_counted_in_float_through_nodes_that_stay_so() -> None:
    """What leads to a kept node that leads to an integer is in float32 too."""
    model = ir.from_onnx_text(
        HEADER
        + """
        main (int64[n] positions) => (int64[n] bucket)
        <float two = {2}, float three = {3}, float[n] x, float[n] halved, float[n] tripled> {
            x = Cast <to = 1> (positions)
            halved = Div (x, two)
            tripled = Mul (halved, three)
            bucket = Cast <to = 7> (tripled)
        }
        """
    )
    result = to_half(model, float32=lambda node: node.op_type == "Mul")
    # By type: ONNX Runtime may compute what has no kernel in float16 in float32 without rounding in between.
    assert [node.outputs[0].dtype for node in result.graph] == [*[ir.DataType.FLOAT] * 3, ir.DataType.INT64]
    np.testing.assert_array_equal(run(result, positions=np.array([1, 4001, 8002]))[0], [1, 6001, 12003])


def test_branches_that_keep_float_each_have_their_cast() -> None:
    model = ir.from_onnx_text(
        HEADER
        + """
        main (bool c, float[n] x) => (float[n] y) {
            h = Mul (x, x)
            y = If (c) <
                then_branch = yes () => (float[n] p) {
                    [kept_a] a = Exp (h)
                    p = Neg (a)
                },
                else_branch = no () => (float[n] q) {
                    [kept_b] b = Sqrt (h)
                    q = Neg (b)
                }
            >
        }
        """
    )
    result = to_half(model, float32=lambda node: str(node.name).startswith("kept"))
    x = np.array([1, 2], np.float32)
    for condition, expected in ((True, -np.exp(x * x)), (False, -x)):
        (found,) = run(result, c=np.array(condition), x=x)
        np.testing.assert_allclose(found, expected, rtol=2e-3)


# Bodies that give what a kept node computes, a number of the caller, a constant, and one of the graph around them.
BODIES = {
    "If": """
        main (bool c, float[n] x) => (float[n] y, float[n] z) <float[1] w = {0.5}> {
            h = Mul (x, w)
            y, z = If (c) <
                then_branch = yes () => (float[n] p, float[n] r) {
                    [kept_a] p = Exp (h)
                    r = Identity (x)
                },
                else_branch = no () => (float[n] q, float[m] s) <float[1] s = {3.0}> {
                    [kept_b] a = Sqrt (h)
                    q = Neg (a)
                }
            >
        }
    """,
    "Loop": """
        main (bool c, float[n] x) => (float[n] y, float[k, n] z) <float[1] w = {0.5}, int64 three = {3}> {
            h = Mul (x, w)
            y, z = Loop (three, c, h) <
                body = step (int64 i, bool go, float[n] before) => (bool on, float[n] after, float[n] seen) {
                    on = Identity (go)
                    [kept_a] a = Exp (before)
                    b = Add (a, before)
                    after = Mul (b, w)
                    seen = Identity (before)
                }
            >
        }
    """,
    "Scan": """
        main (bool c, float[n] x) => (float[1] y, float[n, 1] z) <float[1] w = {0.5}> {
            axis = Constant <value_ints = [1]> ()
            rows = Unsqueeze (x, axis)
            y, z = Scan (w, rows) <
                num_scan_inputs = 1,
                body = step (float[1] sum, float[1] row) => (float[1] next, float[1] root) {
                    [kept_a] next = Add (sum, row)
                    squared = Mul (next, next)
                    [kept_b] root = Sqrt (squared)
                }
            >
        }
    """,
}
KEPT = {
    "nothing": lambda node: False,
    "inside": lambda node: str(node.name).startswith("kept"),
    "the whole": lambda node: node.op_type in BODIES,
}


@pytest.mark.parametrize("condition", [True, False])
@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("name", BODIES)
def test_bodies(name: str, kept: str, condition: bool) -> None:
    model = ir.from_onnx_text(HEADER + BODIES[name])
    add_types(model)
    result = to_half(model, float32=KEPT[kept])
    inputs = {"c": np.array(condition), "x": np.array([1, 2, 0.25], np.float32)}
    for found, expected in zip(run(result, **inputs), run(model, **inputs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=4e-3)
    body = next(iter(result.graph.subgraphs()))
    halves = [value for node in body for value in node.outputs if value.dtype == ir.DataType.FLOAT16]
    assert bool(halves) is (kept != "the whole")


@pytest.mark.parametrize("name", BODIES)
def test_bodies_as_a_bundle_holds_them(name: str) -> None:
    """Without types inside, those of the bodies' inputs too where they are left out."""
    model = ir.from_onnx_text(HEADER + BODIES[name])
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in [value for node in graph for value in node.outputs]:
            if not (value.is_graph_output() and graph is model.graph):
                value.type = value.shape = None
        if graph is not model.graph:
            for value in (*(graph.inputs if name != "Loop" else graph.inputs[2:]), *graph.outputs):
                value.type = value.shape = None  # of a Loop's counter and condition ONNX Runtime needs them
    result = convert(model, Scheme("fp16")).model
    inputs = {"c": np.array(True), "x": np.array([1, 2, 0.25], np.float32)}
    for found, expected in zip(run(result, **inputs), run(model, **inputs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=4e-3)


def test_what_counts_through_a_loop_counts_in_float() -> None:
    """A number that a body casts to an integer comes from around it, and one that is cast outside from within."""
    model = ir.from_onnx_text(
        HEADER
        + """
        main (int64[n] positions, float[n] x, int64 turns) => (int64[n] bucket, int64[k, n] buckets, float[n] y)
        <float factor = {0.5}, bool yes = {1}, float one = {1.0}> {
            f = Cast <to = 1> (positions)
            g, buckets = Loop (turns, yes, f) <
                body = step (int64 i, bool go, float[n] before) => (bool on, float[n] after, int64[n] seen) {
                    on = Identity (go)
                    after = Add (before, one)
                    seen = Cast <to = 7> (before)
                }
            >
            bucket = Cast <to = 7> (g)
            y = Mul (x, factor)
        }
        """
    )
    result = convert(model, Scheme("fp16")).model
    positions = np.array([4001, 8003])
    bucket, buckets, y = run(result, positions=positions, x=np.ones(2, np.float32), turns=np.array(2))
    np.testing.assert_array_equal(bucket, positions + 2)
    np.testing.assert_array_equal(buckets, [positions, positions + 1])
    np.testing.assert_array_equal(y, [0.5, 0.5])
    assert result.graph.initializers["factor"].dtype == ir.DataType.FLOAT16


def test_names_of_casts_are_those_of_no_other_value() -> None:
    model = ir.from_onnx_text(
        HEADER
        + """
        main (bool c, float[n] x, float[n] x_float16) => (float[n] y) {
            h = Mul (x, x_float16)
            [kept_a] k = Exp (h)
            y = If (c) <
                then_branch = yes () => (float[n] p) { [kept_b] p = Sqrt (h) },
                else_branch = no () => (float[n] q) { q = Add (h, k) }
            >
        }
        """
    )
    add_types(model)
    result = to_half(model, float32=KEPT["inside"])
    x = np.array([1, 2], np.float32)
    for condition, expected in ((True, x), (False, x * x + np.exp(x * x))):
        (found,) = run(result, c=np.array(condition), x=x, x_float16=x)
        np.testing.assert_allclose(found, expected, rtol=2e-3)
    values = [value for node in result.graph.all_nodes() for value in node.outputs]
    assert len({value.name for value in values}) == len(values)
