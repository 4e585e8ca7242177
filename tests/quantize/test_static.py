"""Static int8, on graphs written as text, run with ONNX Runtime and calculated anew with NumPy in whole numbers."""

from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest

from torchless.quantize.calibration import calibrate
from torchless.quantize.conversion import convert_role
from torchless.quantize.converted import Converted
from torchless.quantize.dynamic import quantize
from torchless.quantize.histogram import Range
from torchless.quantize.schemes import Scheme
from torchless.quantize.static import convert, quantize_filters, steps, wanted

from .graphs import BRANCHES, CHAIN, LEFT_ALONE, REASONS, K, N, X, build, bytes_of, operators, random, run

SCHEME = Scheme("int8-static", reduce_range=False)
TIGHT = {"rtol": 1e-5, "atol": 1e-4}


def whole(x: np.ndarray, found: Range) -> tuple[np.ndarray, np.float64]:
    """Whole numbers without their zero point, and their scale, as QuantizeLinear rounds to uint8."""
    low, high = min(found.low, 0), max(found.high, 0)
    scale = np.float64(np.float32((high - low) / 255))
    zero = np.rint(-low / ((high - low) / 255))
    return np.clip(np.rint(x / np.float32(scale)) + zero, 0, 255) - zero, scale


def product(x: np.ndarray, weight: np.ndarray, found: Range, limit: int = 127) -> np.ndarray:
    """``x @ weight``: the input in steps of its range, the weight in steps of its columns."""
    numbers, scale = whole(x, found)
    scales = np.abs(weight).max(axis=0) / limit
    return (numbers @ np.rint(weight / scales)) * scale * scales


def extremes(x: np.ndarray) -> Range:
    return Range(float(x.min()), float(x.max()))


def test_steps() -> None:
    assert steps(Range(-1.0, 1.55)) == (np.float32(0.01), np.uint8(100))
    assert steps(Range(0.5, 2.55)) == (np.float32(0.01), np.uint8(0)), "zero is always a step"
    assert steps(Range(-2.55, -1.0)) == (np.float32(0.01), np.uint8(255))
    for found in (Range(0, 0), Range(0, 1e-39), Range(0, np.inf), Range(-np.inf, 0), Range(np.nan, 1)):
        assert steps(found) is None


@pytest.mark.parametrize("reduce_range", [False, True])
def test_product_and_bias(reduce_range: bool) -> None:
    weight, bias = random(K, N), random(N)
    model = build(
        f"""(float[b, s, {K}] x, float[{K}, {N}] w, float[{N}] c) => (float[b, s, {N}] y) {{
            p = MatMul (x, w)
            y = Add (c, p)
        }}""",
        w=weight,
        c=bias,
    )
    scheme = Scheme("int8-static", reduce_range=reduce_range)
    assert wanted(model, scheme) == ["x"]
    ranges = {"x": Range(-2.0, 2.5)}
    result = convert(model, scheme, ranges)
    assert operators(result.model) == ["QuantizeLinear", "MatMulIntegerToFloat"]
    assert (result.quantized, result.left) == ({"w": "MatMulIntegerToFloat"}, {})
    assert bytes_of(result.model) == {"INT8": K * N, "FLOAT": 4 * N + 4 * N + 4, "UINT8": 1}
    (found,) = run(result.model, x=X)
    np.testing.assert_allclose(found, product(X, weight, ranges["x"], 63 if reduce_range else 127) + bias, **TIGHT)
    assert operators(model) == ["MatMul", "Add"], "the original is left alone"
    assert [(v.name, v.dtype, v.shape) for v in result.model.graph.outputs] == [
        (v.name, v.dtype, v.shape) for v in model.graph.outputs
    ]


def test_rows_do_not_depend_on_each_other() -> None:
    """Beside a row of large numbers the first row's result stays the same, which dynamic int8 cannot promise."""
    weight = random(K, N)
    model = build(f"(float[n, {K}] x, float[{K}, {N}] w) => (float[n, {N}] y) {{ y = MatMul (x, w) }}", w=weight)
    result = convert(model, SCHEME, {"x": extremes(X)})
    alone = run(result.model, x=X[0, :1])[0]
    beside = run(result.model, x=np.concatenate([X[0, :1], 100 * X[0, 1:2]]))[0]
    np.testing.assert_array_equal(alone[0], beside[0])


def test_products_of_one_input_share_its_numbers() -> None:
    """Of different widths and forms, one of them without a bias; the output of one is an output of the graph."""
    q, k, v, b, c = random(K, N), random(96, K), random(K, 128), random(N), random(1, 128)
    model = build(
        f"""(float[s, {K}] x, float[{K}, {N}] q, float[96, {K}] k, float[{K}, 128] v, float[{N}] b, float[1, 128] c)
            => (float[s, {N}] query, float[s, 96] key, float[s, 128] value) {{
            query_product = MatMul (x, q)
            query_sum = Add (query_product, b)
            key = com.microsoft.FusedMatMul <transB = 1> (x, k)
            value_sum = Gemm (x, v, c)
            query = Relu (query_sum)
            value = Neg (value_sum)
        }}""",
        q=q, k=k, v=v, b=b, c=c,
    )  # fmt: skip
    ranges = {"x": extremes(X)}
    result = convert(model, SCHEME, ranges)
    assert Counter(operators(result.model)) == {
        "QuantizeLinear": 1, "MatMulIntegerToFloat": 3, "Relu": 1, "Neg": 1
    }  # fmt: skip
    assert result.quantized == dict.fromkeys("qkv", "MatMulIntegerToFloat")
    query, key, value = run(result.model, x=X[0])
    np.testing.assert_allclose(query, np.maximum(product(X[0], q, ranges["x"]) + b, 0), **TIGHT)
    np.testing.assert_allclose(key, product(X[0], k.T, ranges["x"]), **TIGHT)
    np.testing.assert_allclose(value, -(product(X[0], v, ranges["x"]) + c), **TIGHT)


def test_product_of_a_product() -> None:
    weights = {"w": random(K, N), "b": random(N), "v": random(N, K), "u": random(N, K)}
    model = build(CHAIN, **weights)
    assert wanted(model, SCHEME) == ["x", "q"]
    q = X[0] @ weights["w"] + weights["b"]
    ranges = {"x": extremes(X), "q": extremes(q)}
    result = convert(model, SCHEME, ranges)
    assert Counter(operators(result.model)) == {"QuantizeLinear": 2, "MatMulIntegerToFloat": 3}
    y, z = run(result.model, x=X[0])
    first = product(X[0], weights["w"], ranges["x"]) + weights["b"]
    # A number of the first result on the border between two steps may round to either.
    for found, name in ((y, "v"), (z, "u")):
        right = product(first, weights[name], ranges["q"])
        np.testing.assert_allclose(found, right, rtol=0, atol=2e-3 * np.abs(right).max())


def test_tied_weights_are_stored_once() -> None:
    """The table is one array of int8, which is looked up and multiplied by."""
    weight = random(400, K)
    model = build(
        f"""(int64[n] i, float[400, {K}] w) => (float[n, {K}] x, float[n, 400] y) {{
            x = Gather (w, i)
            y = com.microsoft.FusedMatMul <transB = 1> (x, w)
        }}""",
        w=weight,
    )
    ranges = {"x": extremes(weight)}
    result = convert(model, SCHEME, ranges)
    assert result.quantized == {"w": "Gather+MatMulIntegerToFloat"}
    assert bytes_of(result.model)["INT8"] == 400 * K
    assert bytes_of(result.model)["FLOAT"] == 4 * 400 + 4
    x, y = run(result.model, i=np.array([3, 0, 399]))
    numbers, scales = quantize(weight, axis=0)
    np.testing.assert_array_equal(x, (numbers * scales[:, None])[[3, 0, 399]])
    np.testing.assert_allclose(y, product(x, weight.T, ranges["x"]), **TIGHT)


@pytest.mark.parametrize("ranges", [{}, {"x": Range(-1, 1)}], ids=["no range", "a range of one of two products"])
def test_a_weight_is_stored_in_one_way(ranges: dict[str, Range]) -> None:
    """Where a product of a weight stays in float32, so do its other products and the embedding."""
    weight = random(400, K)
    model = build(
        f"""(int64[n] i, float[m, {K}] h, float[400, {K}] w) => (float[n, {K}] x, float[n, 400] y, float[m, 400] z) {{
            x = Gather (w, i)
            y = com.microsoft.FusedMatMul <transB = 1> (x, w)
            z = com.microsoft.FusedMatMul <transB = 1> (h, w)
        }}""",
        w=weight,
    )
    result = convert(model, SCHEME, ranges)
    assert bytes_of(result.model) == {"FLOAT": weight.nbytes}
    assert result.quantized == {}
    assert list(result.left) == ["w"]
    assert result.left["w"].startswith("no range of")


def test_large_embeddings() -> None:
    weight = random(1 << 9, K)
    model = build(f"(int64[n] i, float[512, {K}] w) => (float[n, {K}] x) {{ x = Gather (w, i) }}", w=weight)
    assert wanted(model, SCHEME) == []
    result = convert(model, SCHEME, {})
    assert result.quantized == {"w": "Gather"}
    assert bytes_of(result.model) == {"INT8": weight.size, "FLOAT": 4 * 512, "INT64": 8}


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_left_alone(case: str) -> None:
    text, weights = LEFT_ALONE[case]
    model = build(text, **weights)
    result = convert(model, SCHEME, dict.fromkeys(("x", "u", "k"), Range(-3, 3)))
    assert not {"QuantizeLinear", "MatMulIntegerToFloat"} & set(operators(result.model))
    assert result.quantized == {}
    assert result.left == ({"w": REASONS[case]} if case in REASONS else {})


@pytest.mark.parametrize(
    ("ranges", "reason"),
    [
        ({}, "no range of 'x' was calibrated"),
        ({"x": Range(0.0, 0.0)}, "the range of 'x' is 0 to 0"),
        ({"x": Range(-np.inf, 1.0)}, "the range of 'x' is -inf to 1"),
        ({"x": Range(np.nan, np.nan)}, "the range of 'x' is nan to nan"),
    ],
)
def test_activations_without_a_range(ranges: dict[str, Range], reason: str) -> None:
    model = build(f"(float[n, {K}] x, float[{K}, {N}] w) => (float[n, {N}] y) {{ y = MatMul (x, w) }}", w=random(K, N))
    result = convert(model, SCHEME, ranges)
    assert (operators(result.model), result.left) == (["MatMul"], {"w": reason})


@pytest.mark.parametrize("excluded", ["w", "quer*"])
def test_excluded(excluded: str) -> None:
    """By the weight's name, or the node's; the other product is not."""
    model = build(
        f"""(float[n, {K}] x, float[{K}, {N}] w, float[{K}, {N}] v) => (float[n, {N}] y, float[n, {N}] z) {{
            y = MatMul (x, w)
            z = MatMul (x, v)
        }}""",
        w=random(K, N), v=random(K, N),
    )  # fmt: skip
    model.graph.node(0).name = "query"
    scheme = Scheme("int8-static", reduce_range=False, exclude=(excluded,))
    result = convert(model, scheme, {"x": extremes(X)})
    assert (result.quantized, result.left) == ({"v": "MatMulIntegerToFloat"}, {"w": "excluded"})
    everything = Scheme("int8-static", exclude=("*",))
    assert wanted(model, everything) == []


def test_branches() -> None:
    """What a branch takes from outside has a range; an embedding needs none."""
    weights = {"w": random(K, N), "a": random(N), "t": random(400, K)}
    model = build(BRANCHES, **weights)
    assert wanted(model, SCHEME) == ["x"]
    ranges = {"x": extremes(X)}
    result = convert(model, SCHEME, ranges)
    assert result.quantized == {"w": "MatMulIntegerToFloat", "t": "Gather"}
    assert result.left == {}
    first = product(X[0], weights["w"], ranges["x"])
    for condition, right in ((True, first + weights["a"]), (False, np.zeros_like(first))):
        y, _ = run(result.model, c=np.array(condition), x=X[0], i=np.array([1]))
        np.testing.assert_allclose(y, right, **TIGHT)


def test_product_of_what_a_branch_makes() -> None:
    """It is not calibrated; its weight is left with the reason, for the other product too."""
    model = build(
        f"""(bool c, float[n, {K}] x, float[{K}, {N}] w) => (float[n, {N}] y) {{
            y = If (c) <
                then_branch = yes () => (float[n, {N}] a) {{ h = Relu (x)
                    a = MatMul (h, w) }},
                else_branch = no () => (float[n, {N}] b) {{ p = MatMul (x, w)
                    b = Neg (p) }}
            >
        }}""",
        w=random(K, N),
    )
    assert wanted(model, SCHEME) == ["x"]
    result = convert(model, SCHEME, {"x": extremes(X)})
    assert result.quantized == {}
    assert result.left == {"w": "no range of 'h' was calibrated"}


def test_filters() -> None:
    weight = np.array([[[127, -63.6]], [[0, 0]], [[0.5, 0.25]], [[1e-9, 0]]], np.float32)
    bias = np.array([10, -3, 0, 50], np.float32)
    filters, scales, zeros, whole_bias = quantize_filters(weight, bias, np.float32(0.5), 127)
    np.testing.assert_array_equal(filters.reshape(4, 2), [[127, -64], [0, 0], [127, 64], [0, 0]])
    assert (zeros.dtype, zeros.tolist(), scales.dtype) == (np.int8, [0] * 4, np.float32)
    assert scales[0] == 1
    np.testing.assert_allclose(scales[2], 0.5 / 127, rtol=1e-6)
    assert whole_bias is not None
    assert whole_bias.dtype == np.int32
    np.testing.assert_allclose(whole_bias * (scales * 0.5).astype(np.float64), bias, rtol=1e-6, atol=1e-6)


# Kinds of convolutions: attributes, shapes of input and weight.
CONVOLUTIONS = {
    "one dimension": ("strides = [2], kernel_shape = [5]", (2, 64, 31), (96, 64, 5)),
    "padded, dilated": ("pads = [2, 1], dilations = [2], kernel_shape = [5]", (2, 64, 31), (96, 64, 5)),
    "groups": ("group = 2, pads = [32, 32], kernel_shape = [64]", (2, 32, 40), (64, 16, 64)),
    "two dimensions": ("strides = [2, 2], pads = [1, 1, 1, 1], kernel_shape = [3, 3]", (2, 48, 9, 7), (64, 48, 3, 3)),
    "patches": ("strides = [16, 16], kernel_shape = [16, 16]", (1, 3, 64, 32), (96, 3, 16, 16)),
}


def convolution(
    case: str, bias: np.ndarray | None, after: str = "", **more: np.ndarray
) -> tuple[ir.Model, np.ndarray, np.ndarray]:
    """A graph of one convolution and what follows, with the weights of that; its input and its weight."""
    attributes, shape, filters = CONVOLUTIONS[case]
    x, weights = random(*shape), {"w": random(*filters) / np.float32(20)} | more
    if bias is not None:
        weights["c"] = bias
    sizes = ", ".join(["b", str(shape[1]), *"hw"[: len(shape) - 2]])
    declared = "".join(f", float[{', '.join(map(str, array.shape))}] {name}" for name, array in weights.items())
    model = build(
        f"""(float[{sizes}] x{declared}) => (float[{", ".join("nchw"[: len(shape)])}] y) {{
            {"first" if after else "y"} = Conv <{attributes}> (x, w{"" if bias is None else ", c"})
            {after}
        }}""",
        **weights,
    )
    return model, x, weights["w"]


def rounded(values: np.ndarray, found: Range) -> np.ndarray:
    numbers, scale = whole(values, found)
    return numbers * scale


@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("with_bias", [False, True])
def test_convolutions(case: str, with_bias: bool) -> None:
    """In whole numbers: by a float32 convolution of whole numbers, whose sums float64 holds exactly."""
    outputs = CONVOLUTIONS[case][2][0]
    bias = random(outputs) if with_bias else None
    model, x, weight = convolution(case, bias)
    (exact,) = run(model, x=x)
    assert wanted(model, SCHEME) == ["x", "y"]
    ranges = {"x": extremes(x), "y": extremes(exact)}
    result = convert(model, SCHEME, ranges)
    assert operators(result.model) == ["QuantizeLinear", "QLinearConv", "DequantizeLinear"]
    assert (result.quantized, result.left) == ({"w": "QLinearConv"}, {})
    assert bytes_of(result.model)["INT8"] == weight.size + outputs
    (found,) = run(result.model, x=x)

    numbers, step = whole(x, ranges["x"])
    filters, scales, _, whole_bias = quantize_filters(weight, bias, np.float32(step), 127)
    integers, _, _ = convolution(case, np.zeros(outputs, np.float32) if with_bias else None)
    integers.graph.initializers["w"].const_value = ir.Tensor(filters.astype(np.float32), name="w")
    (sums,) = run(integers, x=numbers.astype(np.float32))
    shape = (-1, *[1] * (x.ndim - 2))
    sums = sums.astype(np.float64) + (0 if whole_bias is None else whole_bias.reshape(shape))
    right = rounded(sums * step * scales.reshape(shape), ranges["y"])
    step_out = (max(ranges["y"].high, 0) - min(ranges["y"].low, 0)) / 255
    difference = np.abs(found - right)
    assert difference.max() < 1.01 * step_out, "a number on the border between two steps may round to either"
    assert (difference > 0.01 * step_out).mean() < 0.01
    assert np.abs(found - exact).max() < 0.03 * np.abs(exact).max()


def test_relu_is_part_of_a_convolution() -> None:
    """It cuts at the zero point; the next convolution takes the numbers as they are."""
    second = random(32, 64, 3, 3) / np.float32(20)
    model, x, _ = convolution("two dimensions", random(64), "r = Relu (first)\n y = Conv (r, v)", v=second)
    assert wanted(model, SCHEME) == ["x", "r", "y"]
    ranges = calibrate(model, ["x", "r", "y"], [{"x": x}])
    assert ranges["r"].low == 0
    result = convert(model, SCHEME, ranges)
    assert operators(result.model) == ["QuantizeLinear", "QLinearConv", "QLinearConv", "DequantizeLinear"]
    (found,), (exact,) = run(result.model, x=x), run(model, x=x)
    assert np.sqrt(np.mean((found - exact) ** 2)) < 0.02 * exact.std()


def test_gelu_needs_no_steps_for_what_it_makes_nothing_of() -> None:
    """The result's steps begin at -4, where Gelu is 0 to 0.0002: finer ones are left for the rest."""
    model, x, _ = convolution("one dimension", None, "y = Gelu (first)")
    x *= 20
    ranges = calibrate(model, wanted(model, SCHEME), [{"x": x}])
    assert ranges["first"].low < -20
    result = convert(model, SCHEME, ranges)
    assert operators(result.model) == ["QuantizeLinear", "QLinearConv", "DequantizeLinear", "Gelu"]
    scale = result.model.graph.initializers["first_scale"].const_value.numpy()
    np.testing.assert_allclose(scale, (ranges["first"].high + 4) / 255, rtol=1e-6)
    (found,), (exact,) = run(result.model, x=x), run(model, x=x)
    assert np.abs(found - exact).max() < 0.03 * np.abs(exact).max()


SMALL_CONVOLUTIONS = {
    "depthwise": ("group = 64, kernel_shape = [3, 3]", (1, 64, 9, 9), (64, 1, 3, 3), "of 1 channels in a group"),
    "sound": ("strides = [5], kernel_shape = [10]", (1, 1, 99), (512, 1, 10), "of 1 channels in a group"),
    "stem": ("strides = [2, 2], kernel_shape = [7, 7]", (1, 3, 32, 32), (64, 3, 7, 7), "of 3 channels in a group"),
    "small patches": ("strides = [4, 4], kernel_shape = [4, 4]", (1, 3, 8, 8), (96, 3, 4, 4), "of 32 products for a"),
    "one place": ("kernel_shape = [1, 1]", (1, 24, 9, 9), (144, 24, 1, 1), "of 20 products for a"),
    "few filters": ("kernel_shape = [5, 5]", (1, 16, 9, 9), (40, 16, 5, 5), "fewer than 16384 weights"),
}


@pytest.mark.parametrize("case", SMALL_CONVOLUTIONS)
def test_convolutions_that_are_left(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    *kind, reason = SMALL_CONVOLUTIONS[case]
    monkeypatch.setitem(CONVOLUTIONS, case, tuple(kind))
    model, _, _ = convolution(case, None)
    assert wanted(model, SCHEME) == []
    result = convert(model, SCHEME, {"x": Range(-3, 3), "y": Range(-3, 3)})
    assert operators(result.model) == ["Conv"]
    assert result.quantized == {}
    assert reason in result.left["w"]


def test_convolution_excluded_or_without_a_range() -> None:
    model, _, _ = convolution("one dimension", None)
    assert convert(model, Scheme("int8-static", exclude=("w",)), {}).left == {"w": "excluded"}
    result = convert(model, SCHEME, {"x": Range(-3, 3)})
    assert (operators(result.model), result.left) == (["Conv"], {"w": "no range of 'y' was calibrated"})


def test_by_the_common_entry() -> None:
    """Feeds to ranges to the graph, by the scheme's method."""
    weight = random(K, N)
    model = build(f"(float[n, {K}] x, float[{K}, {N}] w) => (float[n, {N}] y) {{ y = MatMul (x, w) }}", w=weight)
    feeds = [{"x": X[0]}, {"x": 2 * X[1]}]
    seen = extremes(np.stack([X[0], 2 * X[1]]))

    def found(scheme: Scheme) -> Converted:
        return convert_role(model, scheme, feeds)

    (y,) = run(found(Scheme.checked("int8-static", reduce_range=False, method="minmax")).model, x=X[0])
    np.testing.assert_allclose(y, product(X[0], weight, seen), **TIGHT)
    narrow = found(Scheme.checked("int8-static", reduce_range=False, method="percentile", percentile=60.0))
    scale = narrow.model.graph.initializers["x_scale"].const_value.numpy()
    assert scale < 0.5 * (seen.high - seen.low) / 255
