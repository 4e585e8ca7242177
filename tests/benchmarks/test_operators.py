"""Operators by kind: names and shapes of both libraries, what is made of profiles, and the suite with this project."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the benchmarks are for an environment that has it")

import onnx
from onnx import TensorProto, helper

from benchmarks import operators
from benchmarks.operating import kinds, report, torchless, worker
from benchmarks.operating.kinds import Work


@pytest.fixture
def folder(tmp_path):
    """A graph of a product (rows, 6) x (6, 4), GELU and a norm, as a bundle has it."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((6, 4)), "ones": np.ones(4), "zeros": np.zeros(4)}
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Gelu", ["product"], ["gelu"]),
            helper.make_node("LayerNormalization", ["gelu", "ones", "zeros"], ["y"]),
        ],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("rows", 6))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("rows", 4))],
        [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "onnx").mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, tmp_path / "onnx/model.onnx")
    return tmp_path


def test_a_session_tells_what_its_calls_were_spent_on(folder):
    graph = torchless.Graph(folder, "fp32", timed=True)
    graph.run([np.ones((3, 6), np.float32)])
    graph.turn_over()
    for _ in range(2):
        graph.run([np.ones((5, 6), np.float32)])
        graph.turn_over()
    calls = graph.spent()
    assert len(calls) == 2  # what came before the first turn is left out
    for call in calls:
        assert call["operations"] == {"6x4": 2 * 5 * 6 * 4}
        assert {kind for kind, ms in call["kinds"].items() if ms} <= {"products", "activation", "norms"}
        assert call["products"]["6x4"] == call["kinds"]["products"]


def test_calls_are_told_apart_by_time():
    def event(name, ts, dur, operator=""):
        shapes = {"input_type_shape": [{"float": [2, 3]}], "output_type_shape": [{"float": [2, 5]}]}
        return {"name": name, "ts": ts, "dur": dur, "args": {"op_name": operator, **shapes}}

    events = [
        event("a_kernel_time", 10, 4, "MatMul"), event("b_kernel_time", 15, 2, "Add"), event("model_run", 9, 10),
        event("SequentialExecutor::Execute", 29, 9), event("a_kernel_time", 30, 6, "MatMul"),
        event("model_run", 28, 12), event("b_fence_before", 10, 100, "Add"),
    ]  # fmt: skip
    first, second = torchless.works(events)
    assert first == [Work("products", 0.004, "3x5", 60.0), Work("sums", 0.002)]
    assert second == [Work("products", 0.006, "3x5", 60.0)]


@pytest.mark.parametrize(
    ("operator", "kind"),
    {"MultiHeadAttention": "attention", "DynamicQuantizeLinear": "rounding", "QLinearConv": "convolution",
     "Split": "copies", "Shape": "rest", "Mul": "sums"}.items(),
)  # fmt: skip
def test_kinds_of_onnx_runtime(operator, kind):
    assert kinds.of_onnx(operator, 1.0, [1, 2], [1, 2]) == Work(kind, 1.0)


@pytest.mark.parametrize(
    ("operator", "layers", "made", "kind"),
    [
        ("Subgraph", "self/aten::transpose,self/aten::scaled_dot_product_attention/X", [1, 8, 12, 64], "attention"),
        ("Transpose", "Transpose_11", [1, 12, 64, 8], "attention"),
        ("Transpose", "patch_embeddings/aten::transpose", [1, 196, 768], "copies"),
        ("Add", "encoder.layer.0.output.LayerNorm/aten::layer_norm/Add", [1, 8, 768], "norms"),
        ("Multiply", "aten::gelu/Gelu_0_0/nncf_smooth_quant", [1, 8, 768], "activation"),
        ("Multiply", "aten::reshape/Reshape_0_0/nncf_smooth_quant,x/fq_output_0", [1, 8, 768], "rounding"),
        ("Add", "encoder.layer.0/aten::add/Add", [1, 8, 768], "sums"),
        ("GroupConvolution", "pos_conv/aten::_convolution,aten::gelu/Gelu", [1, 768, 500], "convolution"),
        ("ShapeOf", "ShapeOf_1", [2], "rest"),
    ],
)
def test_kinds_of_openvino(operator, layers, made, kind):
    assert kinds.of_openvino(operator, layers, 1.0, [1, 8, 768], made) == Work(kind, 1.0)


def test_a_product_of_openvino_has_its_operations():
    found = kinds.of_openvino("FullyConnected", "x/aten::gelu/Gelu,x/fq_output_0", 2.0, [1, 16, 768], [1, 16, 3072])
    assert found == Work("products", 2.0, "768x3072", 2.0 * 16 * 768 * 3072)


def call(products, attention):
    """A call of 1e6 operations."""
    return kinds.summed([Work("products", products, "8x8", 1e6), Work("attention", attention)])


def test_a_row_holds_medians_and_what_is_left():
    found = operators.row("torchless fp32", 2, [0.004, 0.010, 0.005], [call(1, 2), call(9, 9), call(2, 1)])
    assert found == {
        **{"contender": "torchless fp32", "threads": 2, "turns": 3, "ms": 5.0},
        **{"kinds": {"products": 2, "attention": 2}, "between": 1.0},
        **{"products": {"8x8": 2}, "gops": {"8x8": 0.5, "all": 0.5}},
    }


def test_the_section_compares_groups_of_kinds():
    def rows(contender, *pairs):
        stamp = {"model": "bert", "input": "16 tokens", "batch": 1, "machine": "Mill", "date": "2026-01-01"}
        made = (operators.row(contender, n + 1, [sum(pair) / 1e3], [call(*pair)]) for n, pair in enumerate(pairs))
        return [{**stamp, **row} for row in made]

    text = report.section(rows("torchless int8-static", (8, 4), (5, 2)) + rows("openvino int8", (6, 3), (2.5, 2)))
    assert "| 1 x 16 tokens, torchless int8-static | **12.0 → 7.0 (1.71)** | 8.0 → 5.0 (1.60) |" in text
    assert "| bert 1 x 16 tokens, torchless int8-static, 2 threads | **+2.5** of 4.5 | +2.5 | +0.0 |" in text
    assert "Measured on Mill, 2026-01-01" in text


def test_what_graphs_are_given(tmp_path):
    for name, array in {
        "tags-3-1": np.array([[5, 6, 7]]),
        "speech-1-1": np.arange(8.0),
        "logits-0-1": np.arange(4.0),
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
    ids, mask, types = worker.inputs(tmp_path / "tags-3-1.npy")
    assert ids.tolist() == [[5, 6, 7]]
    assert mask.tolist() == [[1, 1, 1]]
    assert types.tolist() == [[0, 0, 0]]
    (sound,) = worker.inputs(tmp_path / "speech-1-1.npy")
    assert (sound.mean(), sound.std()) == pytest.approx((0, 1), abs=1e-6)
    (pixels,) = worker.inputs(tmp_path / "logits-0-1.npy")
    assert pixels.tolist() == [0, 1, 2, 3]


def test_every_model_has_cells():
    inputs = {
        model: [(cell.input, cell.batch) for cell in operators.cells(model, small=False)] for model in operators.MODELS
    }
    assert inputs["bert"] == [("16 tokens", 1), ("128 tokens", 1), ("384 tokens", 1), ("128 tokens", 8)]
    assert [batch for _, batch in inputs["vit"]] == [1, 8]
    assert inputs["wav2vec2"] == [("10 s", 1)]
