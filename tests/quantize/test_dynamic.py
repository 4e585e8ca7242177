"""Dynamic int8, on graphs written as text, run with ONNX Runtime and calculated anew with NumPy."""

from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest

from tests.quantize.graphs import BRANCHES, CHAIN, LEFT_ALONE, REASONS, K, N, X, build, bytes_of, operators, random, run
from torchless.quantize import dynamic
from torchless.quantize.dynamic import convert, quantize, to_int8
from torchless.quantize.schemes import Scheme

INT8 = Scheme("int8", reduce_range=False)


def product(x: np.ndarray, weight: np.ndarray, limit: int = 127) -> np.ndarray:
    """``x @ weight`` in integers: x as ONNX's DynamicQuantizeLinear rounds it, the weight by column."""
    low, high = min(0, x.min()), max(0, x.max())
    scale = np.float32((high - low) / 255)
    zero = np.clip(np.rint(-low / scale), 0, 255)
    left = np.clip(np.rint(x / scale) + zero, 0, 255) - zero
    scales = np.abs(weight).max(axis=0) / limit
    return (left @ np.rint(weight / scales)) * scale * scales


def test_values() -> None:
    weight = np.array([[127, 0, -0.5], [-63.4, 0, 0.25]], np.float32)
    numbers, scales = quantize(weight, axis=1)
    assert numbers.dtype == np.int8
    np.testing.assert_array_equal(numbers, [[127, 0, -127], [-63, 0, 64]])
    np.testing.assert_array_equal(scales, np.array([1, 0, 0.5 / 127], np.float32))
    numbers, scales = quantize(weight, axis=0, reduce_range=True)
    np.testing.assert_array_equal(numbers, [[63, 0, 0], [-63, 0, 0]])
    np.testing.assert_array_equal(scales, np.array([127 / 63, 63.4 / 63], np.float32))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("reduce_range", [False, True])
def test_rounding_is_half_a_scale(axis: int, reduce_range: bool) -> None:
    weight = random(30, 50)
    numbers, scales = quantize(weight, axis, reduce_range=reduce_range)
    assert scales.shape == (weight.shape[axis],)
    assert np.abs(numbers.astype(int)).max(axis=1 - axis).tolist() == [63 if reduce_range else 127] * len(scales)
    column = np.expand_dims(scales, 1 - axis)
    assert np.all(np.abs(numbers * column - weight) <= 0.5001 * column)


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
    result = to_int8(model, reduce_range=reduce_range)
    assert operators(result) == ["DynamicQuantizeMatMul"]
    assert bytes_of(result) == {"INT8": K * N, "FLOAT": 4 * N + 4 * N}
    (found,) = run(result, x=X)
    np.testing.assert_allclose(found, product(X, weight, 63 if reduce_range else 127) + bias, rtol=1e-5, atol=1e-4)
    (wanted,) = run(model, x=X)
    assert np.abs(found - wanted).max() < (0.04 if reduce_range else 0.025) * np.abs(wanted).max()
    assert operators(model) == ["MatMul", "Add"], "the original is left alone"
    assert [(v.name, v.dtype, v.shape) for v in result.graph.outputs] == [
        (v.name, v.dtype, v.shape) for v in model.graph.outputs
    ]


@pytest.mark.parametrize("bias_shape", [(N,), (1, N), None])
def test_gemm(bias_shape: tuple[int, ...] | None) -> None:
    weight = random(N, K)
    weights = {"w": weight} if bias_shape is None else {"w": weight, "c": random(*bias_shape)}
    declared = "".join(f", float[{', '.join(map(str, value.shape))}] {name}" for name, value in weights.items())
    model = build(
        f"""(float[n, {K}] x{declared}) => (float[n, {N}] y) {{
            y = Gemm <transB = 1, alpha = 1.0> (x, {", ".join(weights)})
        }}""",
        **weights,
    )
    result = to_int8(model)
    assert operators(result) == ["DynamicQuantizeMatMul"]
    (found,) = run(result, x=X[0])
    wanted = product(X[0], weight.T) + weights.get("c", np.float32(0))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-4)


def test_products_of_one_input_become_one() -> None:
    """Of different widths, one of them without a bias; the output of one is an output of the graph."""
    q, k, v, b, c = random(K, N), random(96, K), random(K, 128), random(N), random(128)
    model = build(
        f"""(float[b, s, {K}] x, float[{K}, {N}] q, float[96, {K}] k, float[{K}, 128] v, float[{N}] b, float[128] c)
            => (float[b, s, {N}] query, float[b, s, 96] key, float[b, s, 128] value) {{
            query_product = MatMul (x, q)
            query_sum = Add (query_product, b)
            key = FusedMatMul <domain = "com.microsoft", transB = 1> (x, k)
            value_product = MatMul (x, v)
            value_sum = Add (value_product, c)
            query = Relu (query_sum)
            value = Neg (value_sum)
        }}""".replace('FusedMatMul <domain = "com.microsoft", ', "com.microsoft.FusedMatMul <"),
        q=q, k=k, v=v, b=b, c=c,
    )  # fmt: skip
    result = to_int8(model)
    assert operators(result) == ["DynamicQuantizeMatMul", "Split", "Relu", "Neg"]
    assert [value.name for value in result.graph.outputs] == ["query", "key", "value"]
    query, key, value = run(result, x=X)
    np.testing.assert_allclose(query, np.maximum(product(X, q) + b, 0), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(key, product(X, k.T), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(value, -(product(X, v) + c), rtol=1e-5, atol=1e-4)


TIED = {
    "transposed": "t = Transpose <perm = [1, 0]> (w)\n y = MatMul (x, t)",
    "gemm": "y = Gemm <transB = 1> (x, w)",
    "fused": "y = com.microsoft.FusedMatMul <transB = 1> (x, w)",
}


@pytest.mark.parametrize("form", TIED)
def test_tied_weights_are_stored_once(form: str) -> None:
    """The table is one array of int8, whatever looks up or multiplies it."""
    weight = random(400, K)
    model = build(
        f"""(int64[n] i, float[400, {K}] w) => (float[n, {K}] x, float[n, 400] y) {{
            x = Gather (w, i)
            {TIED[form]}
        }}""",
        w=weight,
    )
    result = to_int8(model)
    assert operators(result) == ["Gather", "Cast", "Gather", "Unsqueeze", "Mul", "Transpose", "DynamicQuantizeMatMul"]
    assert bytes_of(result) == {"INT8": 400 * K, "FLOAT": 4 * 400, "INT64": 8}
    x, y = run(result, i=np.array([3, 0, 399]))
    rows = weight[[3, 0, 399]]
    assert np.all(np.abs(x - rows) <= 0.501 / 127 * np.abs(rows).max(axis=1, keepdims=True))
    np.testing.assert_allclose(y, product(x, weight.T), rtol=1e-5, atol=1e-4)


def test_tied_weights_beside_products_of_the_same_input() -> None:
    """A tied weight is not laid beside the others."""
    table, weight = random(400, K), random(K, N)
    model = build(
        f"""(int64[n] i, float[400, {K}] w, float[{K}, {N}] v, float[{K}, {N}] u)
            => (float[n, 400] logits, float[n, {N}] a, float[n, {N}] b) {{
            x = Gather (w, i)
            logits = Gemm <transB = 1> (x, w)
            a = MatMul (x, v)
            b = MatMul (x, u)
        }}""",
        w=table, v=weight, u=-weight,
    )  # fmt: skip
    result = to_int8(model)
    assert operators(result).count("DynamicQuantizeMatMul") == 2
    logits, a, b = run(result, i=np.arange(5))
    numbers, scales = quantize(table[:5], axis=0)
    x = numbers * scales[:, None]
    np.testing.assert_allclose(logits, product(x, table.T), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(a, product(x, weight), rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(b, -a)


def _lookup(table: np.ndarray) -> ir.Model:
    rows, columns = table.shape
    return build(
        f"(int64[n] i, float[{rows}, {columns}] w) => (float[n, {columns}] x) {{ x = Gather (w, i) }}", w=table
    )


def test_large_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedding without a product is rounded where it is large: the encoder's share of a tied weight."""
    table = random(400, K)
    monkeypatch.setattr(dynamic, "_LARGE_TABLE", 400 * K + 1)
    assert operators(to_int8(_lookup(table))) == ["Gather"]
    assert convert(_lookup(table), INT8).left == {"w": f"an embedding of fewer than {400 * K + 1} numbers"}
    monkeypatch.setattr(dynamic, "_LARGE_TABLE", 400 * K)
    result = to_int8(_lookup(table))
    assert convert(_lookup(table), INT8).quantized == {"w": "Gather"}
    assert bytes_of(result) == {"INT8": 400 * K, "FLOAT": 4 * 400, "INT64": 8}
    (x,) = run(result, i=np.array([5, 7]))
    numbers, scales = quantize(table, axis=0)
    np.testing.assert_array_equal(x, (numbers * scales[:, None])[[5, 7]])


def test_layers_that_share_their_weights() -> None:
    """The second layer's products use the arrays of the first."""
    weights = {"q": random(K, K), "k": random(K, K), "b": random(K)}
    model = build(
        f"""(float[b, s, {K}] x, float[{K}, {K}] q, float[{K}, {K}] k, float[{K}] b) => (float[b, s, {K}] z) {{
            q1 = MatMul (x, q)
            s1 = Add (q1, b)
            k1 = MatMul (x, k)
            y = Mul (s1, k1)
            q2 = MatMul (y, q)
            s2 = Add (q2, b)
            k2 = MatMul (y, k)
            z = Mul (s2, k2)
        }}""",
        **weights,
    )
    result = to_int8(model)
    assert operators(result) == ["DynamicQuantizeMatMul", "Split", "Mul"] * 2
    assert bytes_of(result) == {"INT8": 2 * K * K, "FLOAT": 4 * 2 * K * 2, "INT64": 16}
    y = (product(X, weights["q"]) + weights["b"]) * product(X, weights["k"])
    z = (product(y, weights["q"]) + weights["b"]) * product(y, weights["k"])
    (found,) = run(result, x=X)
    # A number of y on the border between two steps may round to either.
    np.testing.assert_allclose(found, z, rtol=0, atol=2e-3 * np.abs(z).max())


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_left_alone(case: str) -> None:
    text, weights = LEFT_ALONE[case]
    model = build(text, **weights)
    result = to_int8(model)
    assert [node.op_type for node in result.graph.all_nodes()] == [node.op_type for node in model.graph.all_nodes()]
    assert bytes_of(result) == bytes_of(model)
    account = convert(model, INT8)
    assert account.quantized == {}
    assert account.left == ({"w": REASONS[case]} if case in REASONS else {})


def test_weight_that_a_caller_may_replace() -> None:
    """An initializer that is an input too is only a default."""
    model = build(f"(float[n, {K}] x, float[{K}, {N}] w) => (float[n, {N}] y) {{ y = MatMul (x, w) }}", w=random(K, N))
    model.graph.inputs.append(model.graph.initializers["w"])
    assert operators(to_int8(model)) == ["MatMul"]
    assert convert(model, INT8).left == {"w": "a caller may replace it"}


def test_branches() -> None:
    """Products and embeddings of subgraphs are quantized too, each branch for itself, over shared weights."""
    weight, bias, table = random(K, N), random(N), random(400, K)
    model = build(BRANCHES, w=weight, a=bias, t=table)
    found = convert(model, INT8)
    assert found.quantized == {"w": "DynamicQuantizeMatMul", "t": "Gather"}
    assert found.left == {}
    counts = Counter(node.op_type for node in found.model.graph.all_nodes())
    assert counts["DynamicQuantizeMatMul"] == 3
    assert counts["MatMul"] == counts["Add"] == 0
    assert bytes_of(found.model) == {"INT8": K * N + 400 * K, "FLOAT": 4 * (N + N + 400), "INT64": 8}
    numbers, scales = quantize(table, axis=0)
    rows, i = numbers * scales[:, None], np.array([7, 3])
    y, e = run(found.model, c=np.array(True), x=X[0], i=i)
    np.testing.assert_allclose(y, product(X[0], weight) + bias, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(e, rows[i])
    y, e = run(found.model, c=np.array(False), x=X[0], i=i)
    np.testing.assert_array_equal(y, np.zeros_like(y))
    np.testing.assert_array_equal(e, rows[-i])


def test_weights_that_are_shared_by_some() -> None:
    """As in DeBERTa: q and k multiply positions too, where v does not; no weight is stored twice."""
    weights = {name: random(K, N) for name in "qkvu"}
    model = build(
        f"""(float[n, {K}] x, float[m, {K}] p,
             float[{K}, {N}] q, float[{K}, {N}] k, float[{K}, {N}] v, float[{K}, {N}] u)
            => (float[n, {N}] a, float[n, {N}] b, float[n, {N}] c, float[n, {N}] d, float[m, {N}] e, float[m, {N}] f) {{
            a = MatMul (x, q)
            b = MatMul (x, k)
            c = MatMul (x, v)
            d = MatMul (x, u)
            e = MatMul (p, q)
            f = MatMul (p, k)
        }}""",
        **weights,
    )
    result = to_int8(model)
    assert bytes_of(result)["INT8"] == 4 * K * N
    assert operators(result).count("DynamicQuantizeMatMul") == 5, "v and u together"
    found = run(result, x=X[0], p=X[1])
    for value, name, x in zip(found, "qkvuqk", [X[0]] * 4 + [X[1]] * 2, strict=True):
        np.testing.assert_allclose(value, product(x, weights[name]), rtol=1e-5, atol=1e-4)


def test_products_of_products() -> None:
    """With nothing between them."""
    weights = {"w": random(K, N), "b": random(N), "v": random(N, K), "u": random(N, K)}
    result = to_int8(build(CHAIN, **weights))
    assert operators(result) == ["DynamicQuantizeMatMul", "DynamicQuantizeMatMul", "Split"]
    found, middle = run(result, x=X[0]), product(X[0], weights["w"]) + weights["b"]
    for value, name in zip(found, "vu", strict=True):
        wanted = product(middle, weights[name])
        np.testing.assert_allclose(value, wanted, rtol=0, atol=2e-3 * np.abs(wanted).max())


@pytest.mark.parametrize("pattern", ["w", "w*", "second_node"])
def test_excluded(pattern: str) -> None:
    """By the weight's name, a pattern, or the name of one of the nodes that use it: then all of its uses stay."""
    model = build(
        f"""(float[n, {K}] x, float[{K}, {N}] w, float[{K}, {N}] v) => (float[n, {N}] y) {{
            a = MatMul (x, w)
            b = MatMul (x, w)
            c = MatMul (x, v)
            y = Sum (a, b, c)
        }}""",
        w=random(K, N), v=random(K, N),
    )  # fmt: skip
    model.graph[1].name = "second_node"
    found = convert(model, Scheme("int8", reduce_range=False, exclude=(pattern,)))
    assert operators(found.model) == ["MatMul", "MatMul", "DynamicQuantizeMatMul", "Sum"]
    assert found.quantized == {"v": "DynamicQuantizeMatMul"}
    assert found.left == {"w": "excluded"}


def test_constants_in_nodes() -> None:
    """A weight that is a node of its own is a weight, in a branch too."""
    weight = random(K, N)
    model = build(f"(float[n, {K}] x, float[{K}, {N}] w) => (float[n, {N}] y) {{ y = MatMul (x, w) }}", w=weight)
    constant = ir.node("Constant", [], {"value": ir.Tensor(weight)})
    model.graph.insert_before(model.graph[0], constant)
    model.graph[1].replace_input_with(1, constant.outputs[0])
    del model.graph.initializers["w"]
    found = convert(model, INT8)
    assert operators(found.model) == ["DynamicQuantizeMatMul"]
    (y,) = run(found.model, x=X[0])
    np.testing.assert_allclose(y, product(X[0], weight), rtol=1e-5, atol=1e-4)


def test_convolutions_and_others_are_accounted_for() -> None:
    model = build(
        f"""(float[1, 4, n] x, float[3, 4, 5] k, float[{K}, {N}] w, float[2] u)
            => (float[1, 3, m] y, float[p, {N}] z) {{
            y = Conv (x, k)
            starts = Constant <value_ints = [0]> ()
            ends = Constant <value_ints = [5]> ()
            z = Slice (w, starts, ends)
        }}""",
        k=random(3, 4, 5), w=random(K, N), u=random(2),
    )  # fmt: skip
    found = convert(model, INT8)
    assert found.quantized == {}
    assert found.left == {"k": "convolutions need calibrated ranges: int8-static", "w": "used by Slice"}


@pytest.mark.parametrize("saturates", [False, True])
def test_range_of_this_machine(saturates: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is said, the processor decides."""
    monkeypatch.setattr("torchless.quantize.hardware.saturates", lambda: saturates)
    model = build(f"(float[n, {K}] x, float[{K}, {N}] w) => (float[n, {N}] y) {{ y = MatMul (x, w) }}", w=random(K, N))
    for scheme, limit in ((Scheme("int8"), 63 if saturates else 127), (INT8, 127)):
        (numbers,) = [
            value.const_value.numpy()
            for value in convert(model, scheme).model.graph.initializers.values()
            if value.dtype == ir.DataType.INT8
        ]
        assert np.abs(numbers.astype(int)).max() == limit


def test_names_that_are_taken() -> None:
    """What is made does not take the place of an initializer that has its name."""
    widths = f"widths_{N}_{N}"
    model = build(
        f"""(float[n, {K}] x, float[{K}, {N}] w, float[{K}, {N}] v, float[{N}] {widths}) => (float[n, {N}] y) {{
            a = MatMul (x, w)
            b = MatMul (x, v)
            y = Sum (a, b, {widths})
        }}""",
        **{"w": random(K, N), "v": random(K, N), widths: random(N)},
    )
    (found,), (wanted,) = run(to_int8(model), x=X[0]), run(model, x=X[0])
    np.testing.assert_allclose(found, wanted, atol=0.05 * np.abs(wanted).max())


@pytest.mark.parametrize("second", ["Add (p, m)", "Add (p, p)", "Sub (p, c)", "Add (p, row)"])
def test_sum_that_is_no_bias(second: str) -> None:
    """What is added is no constant vector over the outputs: the sum stays a node."""
    weights = {"w": random(K, N), "c": random(N), "m": random(3, N), "row": random(1)}
    model = build(
        f"""(float[2, 3, {K}] x, float[{K}, {N}] w, float[{N}] c, float[3, {N}] m, float[1] row)
            => (float[2, 3, {N}] y) {{
            p = MatMul (x, w)
            y = {second}
        }}""",
        **weights,
    )
    result = to_int8(model)
    assert operators(result) == ["DynamicQuantizeMatMul", second.split()[0]]
    p = product(X, weights["w"])
    added = {"Add (p, m)": weights["m"], "Add (p, p)": p, "Sub (p, c)": -weights["c"], "Add (p, row)": weights["row"]}
    (found,) = run(result, x=X)
    np.testing.assert_allclose(found, p + added[second], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("output", [True, False])
def test_product_that_is_used_beside_its_sum(output: bool) -> None:
    """By the caller, or by another node."""
    weight, bias = random(K, N), random(N)
    model = build(
        f"""(float[2, 3, {K}] x, float[{K}, {N}] w, float[{N}] c)
            => (float[2, 3, {N}] y, float[2, 3, {N}] {"p" if output else "z"}) {{
            p = MatMul (x, w)
            y = Add (p, c)
            z = Neg (p)
        }}""",
        w=weight, c=bias,
    )  # fmt: skip
    result = to_int8(model)
    assert operators(result) == ["DynamicQuantizeMatMul", "Add", *([] if output else ["Neg"])]
    y, other = run(result, x=X)
    p = product(X, weight)
    np.testing.assert_allclose(y, p + bias, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(other, p if output else -p, rtol=1e-5, atol=1e-4)
