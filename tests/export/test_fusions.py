"""Fusions, on graphs written as text: what matches is replaced and computes the same, what almost matches stays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
import onnxruntime as ort
import pytest

from torchless.export import fusions

pytestmark = pytest.mark.export

HEADER = '<ir_version: 10, opset_import: ["": 20, "com.microsoft": 1]>\n'
VECTOR = "float[4] weight = {1, -2, 0.5, 3}"
TABLE = "float[5, 4] table = {1, 2, 3, 4, -1, 0, 2, 1, 3, 3, -2, 0, 1, 1, 1, 5, 2, -4, 0, 1}"


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def run(model: ir.Model, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    proto = ir.serde.serialize_model(model)
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray] = session.run(None, feeds)
    return outputs


def fused(text: str, fuse: Callable[[ir.Model], None], **feeds: np.ndarray) -> list[str]:
    """The operators after a fusion and the removal of what is unused; the outputs are as they were."""
    before, model = ir.from_onnx_text(HEADER + text), ir.from_onnx_text(HEADER + text)
    fuse(model)
    passes.RemoveUnusedNodesPass()(model)
    for old, new in zip(run(before, feeds), run(model, feeds), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-6)
    assert [value.name for value in model.graph.outputs] == [value.name for value in before.graph.outputs]
    return operators(model)


def rms(model: ir.Model) -> None:
    fusions.fuse_rms_norms(model.graph)


def products(model: ir.Model) -> None:
    fusions.unflatten_products(model.graph)


RANDOM = np.random.default_rng(0)
HIDDEN = (RANDOM.standard_normal((2, 3, 4)) * [[[3.0], [1e-3], [50.0]]]).astype(np.float32)
IDS = np.array([[0, 4], [2, 1]])


def norm(
    square: str = "Pow (x, two)",
    mean: str = "ReduceMean <keepdims = 1> (squared, axes)",
    inverse: str = "Reciprocal (root)",
    scaled: str = "Mul (x, inverse)",
    last: str = "Mul (weight, scaled)",
    axes: int = -1,
    extra: str = "",
) -> str:
    return f"""
        main (float[a, b, 4] x) => (float[a, b, 4] y)
        <{VECTOR}, float two = {{2}}, float epsilon = {{0.01}}, int64[1] axes = {{{axes}}}, float[a, b, 4] other> {{
            squared = {square}
            mean = {mean}
            sum = Add (mean, epsilon)
            root = Sqrt (sum)
            inverse = {inverse}
            scaled = {scaled}
            {extra}
            y = {last}
        }}
    """


@pytest.mark.parametrize(
    "text",
    [
        norm(),
        norm(square="Mul (x, x)"),
        norm(scaled="Mul (inverse, x)", last="Mul (scaled, weight)"),
    ],
    ids=["power", "product", "the other way round"],
)
def test_rms_norm(text: str) -> None:
    """An epsilon of 0.01 counts in a row of numbers about 0.001."""
    assert fused(text, rms, x=HIDDEN) == ["SimplifiedLayerNormalization"]


def test_rms_norm_whose_parts_are_used_elsewhere() -> None:
    text = norm(extra="other = Neg (scaled)", last="Add (other, z)").replace(
        "y = Add", "z = Mul (weight, scaled)\n y = Add"
    )
    found = fused(text, rms, x=HIDDEN)
    assert found.count("SimplifiedLayerNormalization") == 1
    assert found.count("ReduceMean") == 1


@pytest.mark.parametrize(
    "text",
    [
        norm(square="Mul (x, two)"),
        norm(square="Pow (x, epsilon)"),
        norm(square="Pow (shifted, two)").replace("squared =", "shifted = Sub (x, two)\n squared ="),
        norm(axes=1),
        norm(mean="ReduceSum <keepdims = 1> (squared, axes)"),
        norm(inverse="Identity (root)"),
        norm(scaled="Div (x, root)"),
        norm(last="Mul (scaled, two)"),
    ],
    ids=["no square", "another power", "another source", "another axis", "a sum", "the root", "a division", "a number"],
)
def test_what_is_no_rms_norm(text: str) -> None:
    before = operators(ir.from_onnx_text(HEADER + text))
    assert "SimplifiedLayerNormalization" not in fused(text, rms, x=np.abs(HIDDEN))
    assert len(fused(text, rms, x=np.abs(HIDDEN))) <= len(before)


def tied(head: str, more: str = "") -> str:
    return f"""
        main (int64[a, b] ids) => (float[a, b, m] y) <{TABLE}{more}> {{
            words = Gather (table, ids)
            {head}
        }}
    """


COPY = ", float[4, 5] copy = {1, -1, 3, 1, 2, 2, 0, 3, 1, -4, 3, 2, -2, 1, 0, 4, 1, 0, 5, 1}"
OTHER = COPY.replace("copy = {1,", "copy = {1.5,")


@pytest.mark.parametrize(
    "text",
    [
        tied("turned = Transpose <perm = [1, 0]> (table)\n y = MatMul (words, turned)"),
        tied("y = MatMul (words, copy)", COPY),
    ],
    ids=["a node", "a copy"],
)
def test_tied_weights(text: str) -> None:
    model = ir.from_onnx_text(HEADER + text)
    assert fused(text, fusions.share_tied_weights, ids=IDS) == ["Gather", "FusedMatMul"]
    fusions.share_tied_weights(model)
    passes.RemoveUnusedNodesPass()(model)
    assert list(model.graph.initializers) == ["table"]


@pytest.mark.parametrize(
    "text",
    [
        tied("y = MatMul (words, copy)", OTHER),
        tied("y = MatMul (words, copy)", ", float[4, 4] copy = {1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 7, 6, 5, 4, 3, 2}"),
        tied("y = Mul (words, words)"),
    ],
    ids=["other values", "another shape", "no product"],
)
def test_what_is_not_tied(text: str) -> None:
    assert "FusedMatMul" not in fused(text, fusions.share_tied_weights, ids=IDS)


def test_a_table_that_no_ids_look_up_is_no_embedding() -> None:
    text = f"""
        main (float[a, 4] x) => (float[a, 5] y) <{TABLE}> {{
            turned = Transpose <perm = [1, 0]> (table)
            y = MatMul (x, turned)
        }}
    """
    assert fused(text, fusions.share_tied_weights, x=HIDDEN[0]) == ["Transpose", "MatMul"]


def flattened(
    gemm: str = "Gemm <alpha = 1.0, beta = 1.0> (flat, kernel, bias)",
    shape: str = "a, b, 2",
    target: str = "0, -1, 2",
    extra: str = "",
) -> str:
    return f"""
        main (float[a, b, 4] x) => (float[{shape}] y)
        <float[4, 2] kernel = {{1, 2, 3, 4, 5, 6, 7, 8}}, float[2] bias = {{-1, 10}}, float[2, 4] turned =
         {{1, 3, 5, 7, 2, 4, 6, 8}}, int64[2] rows = {{-1, 4}}, int64[3] target = {{{target}}},
         float[c, 4] flat, float[c, 2] product> {{
            flat = Reshape (x, rows)
            product = {gemm}
            wide = Shape (x)
            start = Constant <value_ints = [0]> ()
            end = Constant <value_ints = [2]> ()
            sequences = Slice (wide, start, end)
            last = Constant <value_ints = [2]> ()
            sizes = Concat <axis = 0> (sequences, last)
            y = Reshape (product, sizes)
            {extra}
        }}
    """


@pytest.mark.parametrize(
    ("gemm", "wanted"),
    [
        ("Gemm <alpha = 1.0, beta = 1.0> (flat, kernel, bias)", ["MatMul", "Add"]),
        ("Gemm (flat, kernel, bias)", ["MatMul", "Add"]),
        ("Gemm (flat, kernel)", ["MatMul"]),
    ],
)
def test_flattened_products(gemm: str, wanted: list[str]) -> None:
    assert fused(flattened(gemm), products, x=HIDDEN) == wanted


@pytest.mark.parametrize(
    "text",
    [
        flattened("Gemm <transB = 1> (flat, turned, bias)"),
        flattened("Gemm <alpha = 2.0> (flat, kernel, bias)"),
        flattened(shape="a, d, 2"),
        flattened(extra="unused = Neg (product)").replace("=> (", "=> (float[c, 2] unused, "),
    ],
    ids=["transposed", "scaled", "another shape", "used elsewhere"],
)
def test_products_that_stay(text: str) -> None:
    assert "Gemm" in fused(text, products, x=HIDDEN)


def test_everything_at_once() -> None:
    text = f"""
        main (int64[a, b] ids) => (float[a, b, 5] y)
        <{TABLE}, {VECTOR}, float two = {{2}}, float epsilon = {{0.01}}, int64[1] axes = {{-1}}> {{
            x = Gather (table, ids)
            squared = Pow (x, two)
            mean = ReduceMean <keepdims = 1> (squared, axes)
            sum = Add (mean, epsilon)
            root = Sqrt (sum)
            inverse = Reciprocal (root)
            scaled = Mul (x, inverse)
            normal = Mul (weight, scaled)
            turned = Transpose <perm = [1, 0]> (table)
            y = MatMul (normal, turned)
        }}
    """
    assert fused(text, fusions.fuse, ids=IDS) == ["Gather", "SimplifiedLayerNormalization", "FusedMatMul"]
