"""Weights in blocks, on graphs written as text, run with ONNX Runtime and calculated anew with NumPy."""

import numpy as np
import onnx_ir as ir
import pytest

from tests.quantize.graphs import BRANCHES, CHAIN, LEFT_ALONE, REASONS, K, N, X, build, bytes_of, operators, random, run
from torchless.quantize.blockwise import BITS, block_size, convert, quantize
from torchless.quantize.schemes import Scheme

# Level 1 multiplies in float32: what remains is rounding of the weights, which is exact here.
EXACT = {"accuracy_level": 1}
SCHEMES = {
    "q8": Scheme("q8", block_size=32, **EXACT),
    "q8 zeros": Scheme("q8", block_size=64, symmetric=False, **EXACT),
    "q4": Scheme("q4", block_size=32, **EXACT),
    "q4 zeros": Scheme("q4", block_size=16, symmetric=False, **EXACT),
    "q4 three blocks of zeros": Scheme("q4", block_size=64, symmetric=False, **EXACT),
    "q4 one block": Scheme("q4", block_size=256, **EXACT),
}


def rounded(weight: np.ndarray, scheme: Scheme, symmetric: bool | None = None) -> np.ndarray:
    """Rows as the scheme stores them."""
    size = block_size(scheme, weight.shape[1])
    blocks = quantize(weight, BITS[scheme.name], size, symmetric=scheme.symmetric if symmetric is None else symmetric)
    return blocks.weights()[:, : weight.shape[1]]


def test_values() -> None:
    """Whole multiples of a scale are kept exactly; the last row's largest weight becomes the lowest number."""
    rows = np.zeros((3, 16), np.float32)
    rows[1, :3] = -8, 7, 3
    rows[2, :4] = 16, -14, 4, -2
    blocks = quantize(rows, 4, 16)
    assert blocks.numbers.dtype == np.uint8
    np.testing.assert_allclose(blocks.weights(), rows, rtol=1e-6)
    np.testing.assert_array_equal(blocks.numbers[:, 0, :4], [[8] * 4, [0, 15, 11, 8], [0, 15, 6, 9]])
    np.testing.assert_allclose(blocks.scales, [[0], [1], [-2]], rtol=1e-6)
    numbers, scales = blocks.packed()
    assert numbers.shape == (3, 1, 8)
    assert numbers[1, 0, :2].tolist() == [0 | 15 << 4, 11 | 8 << 4]
    assert scales is blocks.scales


def test_values_with_zero_points() -> None:
    rows = np.array([[*range(16)], [*range(-5, 11)], [0] * 16, [-3] * 16], np.float32)
    blocks = quantize(rows, 4, 16, symmetric=False)
    np.testing.assert_array_equal(blocks.zeros, [[0], [5], [0], [15]])
    np.testing.assert_allclose(blocks.weights(), rows, atol=1e-6)
    assert [array.shape for array in blocks.packed()] == [(4, 1, 8), (4, 1), (4, 1)]


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("block_size", [16, 32, 128])
@pytest.mark.parametrize("bits", [4, 8])
def test_rounding(bits: int, block_size: int, symmetric: bool) -> None:
    """At least as near as ONNX Runtime's own rounding, which takes the largest weight for -8; uneven rows too."""
    weight = np.random.default_rng(1).standard_normal((40, 200)).astype(np.float32) ** 3
    blocks = quantize(weight, bits, block_size, symmetric=symmetric)
    count = -(-200 // block_size)
    assert blocks.numbers.shape == (40, count, block_size)
    assert blocks.scales.shape == (40, count)
    padded = np.zeros((40, count * block_size), np.float32)
    padded[:, :200] = weight
    found = blocks.weights()
    np.testing.assert_array_equal(found[:, 200:], 0)
    parts = padded.reshape(40, count, block_size)
    half = 1 << (bits - 1)
    if symmetric:
        largest = np.take_along_axis(parts, np.abs(parts).argmax(axis=2)[..., None], axis=2)
        scales, zeros = largest / -half, half
    else:
        low, high = np.minimum(parts.min(axis=2), 0)[..., None], np.maximum(parts.max(axis=2), 0)[..., None]
        scales = (high - low) / (2 * half - 1)
        zeros = np.rint(-low / scales)
    simple = (np.clip(np.rint(parts / scales) + zeros, 0, 2 * half - 1) - zeros) * scales
    simple_error = np.square(simple - parts).sum(axis=2)
    error = np.square(found.reshape(parts.shape) - parts).sum(axis=2)
    assert np.all(error <= simple_error * (1 + 1e-5) + 1e-12)
    assert error.sum() < (0.97 if bits == 4 else 1) * simple_error.sum()
    relative = np.sqrt(error.sum() / np.square(weight).sum())
    assert relative < {4: 0.2, 8: 0.015}[bits]


@pytest.mark.parametrize(
    ("name", "columns", "size"),
    [
        ("q8", 768, 128),
        ("q8", 3072, 128),
        ("q8", 192, 64),
        ("q8", 64, 64),
        ("q8", 20, 32),
        ("q4", 768, 32),
        ("q4", 48, 16),
    ],
)
def test_measured_size(name: str, columns: int, size: int) -> None:
    """Less where a row would be filled up with zeros; what is asked for is taken as it is."""
    assert block_size(Scheme(name), columns) == size
    assert block_size(Scheme(name, block_size=256), columns) == 256


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("width", [K, 180], ids=["even", "uneven"])
def test_product_and_bias(name: str, width: int) -> None:
    scheme, weight, bias = SCHEMES[name], random(width, N), random(N)
    model = build(
        f"""(float[b, s, {width}] x, float[{width}, {N}] w, float[{N}] c) => (float[b, s, {N}] y) {{
            p = MatMul (x, w)
            y = Add (c, p)
        }}""",
        w=weight, c=bias,
    )  # fmt: skip
    found = convert(model, scheme)
    assert operators(found.model) == ["MatMulNBits"]
    assert (found.quantized, found.left) == ({"w": "MatMulNBits"}, {})
    blocks = -(-width // scheme.block_size)
    bits = BITS[scheme.name]
    zeros = 0 if scheme.symmetric else N * -(-blocks * bits // 8)
    assert bytes_of(found.model) == {
        "UINT8": N * blocks * scheme.block_size * bits // 8 + zeros,
        "FLOAT": 4 * N * blocks + 4 * N,
    }
    x = X[..., :width]
    (y,) = run(found.model, x=x)
    np.testing.assert_allclose(y, x @ rounded(weight.T, scheme).T + bias, rtol=1e-4, atol=1e-3)
    assert operators(model) == ["MatMul", "Add"], "the original is left alone"


@pytest.mark.parametrize("name", ["q8", "q4"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_products_in_int8(name: str, symmetric: bool) -> None:
    """The default level rounds activations to 8 bits: near, and not the same."""
    weight = random(K, N)
    model = build(f"(float[n, {K}] x, float[{K}, {N}] w) => (float[n, {N}] y) {{ y = MatMul (x, w) }}", w=weight)
    scheme = Scheme(name, symmetric=symmetric)
    found = convert(model, scheme).model
    assert found.graph[0].attributes["accuracy_level"].as_int() == 4
    (y,) = run(found, x=X[0])
    wanted = X[0] @ rounded(weight.T, scheme).T
    assert 0 < np.abs(y - wanted).max() < 0.02 * np.abs(wanted).max()


@pytest.mark.parametrize("name", SCHEMES)
def test_gemm(name: str) -> None:
    weight, bias = random(N, K), random(N)
    model = build(
        f"""(float[n, {K}] x, float[{N}, {K}] w, float[{N}] c) => (float[n, {N}] y) {{
            y = Gemm <transB = 1> (x, w, c)
        }}""",
        w=weight, c=bias,
    )  # fmt: skip
    found = convert(model, SCHEMES[name])
    assert operators(found.model) == ["MatMulNBits"]
    (y,) = run(found.model, x=X[0])
    np.testing.assert_allclose(y, X[0] @ rounded(weight, SCHEMES[name]).T + bias, rtol=1e-4, atol=1e-3)


def test_products_of_products() -> None:
    """With nothing between them."""
    scheme, weights = SCHEMES["q8"], {"w": random(K, N), "b": random(N), "v": random(N, K), "u": random(N, K)}
    found = convert(build(CHAIN, **weights), scheme).model
    assert operators(found) == ["MatMulNBits"] * 3
    middle = X[0] @ rounded(weights["w"].T, scheme).T + weights["b"]
    for value, name in zip(run(found, x=X[0]), "vu", strict=True):
        np.testing.assert_allclose(value, middle @ rounded(weights[name].T, scheme).T, rtol=1e-3, atol=1e-2)


def test_weights_that_are_used_from_both_sides() -> None:
    """A square weight and its transpose are different weights."""
    weight = random(K, K)
    model = build(
        f"""(float[n, {K}] x, float[{K}, {K}] w) => (float[n, {K}] y, float[n, {K}] z) {{
            y = MatMul (x, w)
            z = Gemm <transB = 1> (x, w)
        }}""",
        w=weight,
    )
    y, z = run(convert(model, SCHEMES["q4"]).model, x=X[0])
    np.testing.assert_allclose(y, X[0] @ rounded(weight.T, SCHEMES["q4"]).T, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(z, X[0] @ rounded(weight, SCHEMES["q4"]).T, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("width", [K, 180], ids=["even", "uneven"])
def test_tied_weights_are_stored_once(name: str, width: int) -> None:
    """The embedding and the product read one array, also of padded rows; indices of any rank, from the end too."""
    scheme, weight = SCHEMES[name], random(400, width)
    model = build(
        f"""(int64[a, b] i, float[400, {width}] w) => (float[a, b, {width}] x, float[a, b, 400] y) {{
            x = Gather (w, i)
            t = Transpose <perm = [1, 0]> (w)
            y = MatMul (x, t)
        }}""",
        w=weight,
    )
    found = convert(model, scheme)
    assert (found.quantized, found.left) == ({"w": "GatherBlockQuantized+MatMulNBits"}, {})
    blocks = -(-width // scheme.block_size)
    bits = BITS[scheme.name]
    symmetric = scheme.symmetric or (bits == 4 and blocks % 2 == 1)
    zeros = 0 if symmetric else 400 * -(-blocks * bits // 8)
    stored = bytes_of(found.model)
    assert stored["UINT8"] == 400 * blocks * scheme.block_size * bits // 8 + zeros
    assert stored["FLOAT"] == 4 * 400 * blocks
    i = np.array([[3, 0, 399], [-1, 7, 7]])
    x, y = run(found.model, i=i)
    rows = rounded(weight, scheme, symmetric)
    np.testing.assert_array_equal(x, rows[i])
    np.testing.assert_allclose(y, rows[i] @ rows.T, rtol=1e-4, atol=2e-3)


def test_tables() -> None:
    """An embedding alone; a small one stays."""
    large, small = random(400, K), random(64, K)
    model = build(
        f"""(int64[n] i, float[400, {K}] w, float[64, {K}] v) => (float[n, {K}] x, float[n, {K}] y) {{
            x = Gather (w, i)
            y = Gather (v, i)
        }}""",
        w=large, v=small,
    )  # fmt: skip
    found = convert(model, Scheme("q4"))
    assert found.quantized == {"w": "GatherBlockQuantized"}
    assert found.left == {"v": "an embedding of fewer than 16384 numbers"}
    x, y = run(found.model, i=np.array([5, 63]))
    np.testing.assert_array_equal(x, rounded(large, Scheme("q4"))[[5, 63]])
    np.testing.assert_array_equal(y, small[[5, 63]])


def test_branches() -> None:
    """Products and embeddings of subgraphs, over shared weights."""
    weight, bias, table, scheme = random(K, N), random(N), random(400, K), SCHEMES["q4"]
    model = build(BRANCHES, w=weight, a=bias, t=table)
    found = convert(model, scheme)
    assert found.quantized == {"w": "MatMulNBits", "t": "GatherBlockQuantized"}
    assert found.left == {}
    kinds = [node.op_type for node in found.model.graph.all_nodes()]
    assert kinds.count("MatMulNBits") == 3
    assert kinds.count("GatherBlockQuantized") == 2
    assert bytes_of(found.model)["UINT8"] == (K * N + 400 * K) // 2, "one copy for all branches"
    rows, i = rounded(table, scheme), np.array([7, 3])
    y, e = run(found.model, c=np.array(True), x=X[0], i=i)
    np.testing.assert_allclose(y, X[0] @ rounded(weight.T, scheme).T + bias, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(e, rows[i])
    y, e = run(found.model, c=np.array(False), x=X[0], i=i)
    np.testing.assert_array_equal(y, np.zeros_like(y))
    np.testing.assert_array_equal(e, rows[-i])


@pytest.mark.parametrize("pattern", ["w", "last*", "look"])
def test_excluded(pattern: str) -> None:
    """By weight or node; a tied weight stays for both of its uses."""
    model = build(
        f"""(int64[n] i, float[400, {K}] w, float[{K}, {N}] v) => (float[n, 400] y, float[n, {N}] z) {{
            x = Gather (w, i)
            y = Gemm <transB = 1> (x, w)
            z = MatMul (x, v)
        }}""",
        w=random(400, K), v=random(K, N),
    )  # fmt: skip
    model.graph[0].name, model.graph[1].name = "look", "last_product"
    found = convert(model, Scheme("q8", exclude=(pattern,)))
    assert operators(found.model) == ["Gather", "Gemm", "MatMulNBits"]
    assert (found.quantized, found.left) == ({"v": "MatMulNBits"}, {"w": "excluded"})


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_left_alone(case: str) -> None:
    text, weights = LEFT_ALONE[case]
    model = build(text, **weights)
    found = convert(model, Scheme("q4"))
    assert operators(found.model) == operators(model)
    assert bytes_of(found.model) == bytes_of(model)
    assert (found.quantized, found.left) == ({}, {"w": REASONS[case]} if case in REASONS else {})


def test_what_another_scheme_left() -> None:
    """Converted again, a graph's scales are no weights."""
    model = build(
        f"""(float[n, {K}] x, float[{K}, 3000] w, float[{K}, {N}] v) => (float[n, 3000] y, float[n, {N}] z) {{
            y = MatMul (x, w)
            z = MatMul (x, v)
        }}""",
        w=random(K, 3000), v=random(K, N),
    )  # fmt: skip
    first = convert(model, Scheme("q4", exclude=("v",)))
    assert first.left == {"v": "excluded"}
    second = convert(first.model, Scheme("q8"))
    assert (second.quantized, second.left) == ({"v": "MatMulNBits"}, {})
    y, z = run(second.model, x=X[0])
    assert np.abs(y - X[0] @ rounded(model.graph.initializers["w"].const_value.numpy().T, Scheme("q4")).T).max() < 1
    assert z.shape == (3, N)


def test_a_saved_graph_is_checked_by_onnx() -> None:
    """Operator sets are declared."""
    model = build(f"(float[n, {K}] x, float[{K}, {N}] w) => (float[n, {N}] y) {{ y = MatMul (x, w) }}", w=random(K, N))
    del model.graph.opset_imports["com.microsoft"]
    found = convert(model, Scheme("q4")).model
    assert found.graph.opset_imports == {"": 20, "com.microsoft": 1}
    assert isinstance(found.graph.initializers["w.T_q4_numbers"].const_value, ir.Tensor)
