"""Rotary positions: the pattern becomes one operator and turns the same; what only almost matches stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
import onnxruntime as ort
import pytest

from tests.export import models
from torchless.export import export
from torchless.export.rotary import fuse_rotary

pytestmark = pytest.mark.export

BATCH, LENGTH, HEADS, HEAD = 2, 3, 2, 4
ANGLES = np.random.default_rng(0).standard_normal((BATCH, LENGTH, HEAD // 2)).astype(np.float32)
X = np.random.default_rng(1).standard_normal((BATCH, LENGTH, HEADS * HEAD)).astype(np.float32)


def graph(
    joined: str = "angles, angles",
    half: str = "negative, lower",
    middle: str = "2",
    permutation: str = "0, 2, 1, 3",
    rows: str = "b",
) -> ir.Model:
    model = ir.from_onnx_text(f"""<ir_version: 10, opset_import: ["": 20, "com.microsoft": 1]>
    g (float[b, l, 8] x, float[b, l, 2] angles, float[b, l, 2] others) => (float[b, l, 8] y)
    <int64[4] split = {{0, 0, 2, 4}}, int64[3] flat = {{0, 0, 8}}, int64[1] zero = {{0}},
     int64[1] middle = {{{middle}}}, int64[1] end = {{9223372036854775807}}, int64[1] three = {{3}},
     int64[1] one = {{1}}, float scale = {{2}},
     float[b, l, 2, 4] heads, float[b, 2, l, 4] first, float[b, 2, l, 4] turned, float[b, l, 2, 4] back,
     float[{rows}, l, 4] cos, float[{rows}, l, 4] sin, float[{rows}, l, 4] scaled> {{
        heads = Reshape (x, split)
        first = Transpose <perm = [0, 2, 1, 3]> (heads)
        both = Concat <axis = -1> ({joined})
        cos = Cos (both)
        scaled = Mul (cos, scale)
        sin = Sin (both)
        spread_cos = Unsqueeze (scaled, one)
        spread_sin = Unsqueeze (sin, one)
        plain = Mul (first, spread_cos)
        lower = Slice (first, zero, middle, three, one)
        upper = Slice (first, middle, end, three, one)
        negative = Neg (upper)
        half = Concat <axis = -1> ({half})
        crossed = Mul (half, spread_sin)
        turned = Add (plain, crossed)
        back = Transpose <perm = [{permutation}]> (turned)
        rotated = Reshape (back, flat)
        y = Mul (rotated, scale)
    }}""")
    rotated = next(node.outputs[0] for node in model.graph if node.outputs[0].name == "rotated")
    rotated.shape = ir.Shape(["b", "l", 8])
    return model


def run(model: ir.Model) -> np.ndarray:
    proto = ir.serde.serialize_model(model)
    proto.graph.value_info.clear()
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {"x": X, "angles": ANGLES, "others": 2 * ANGLES}
    wanted = {node.name for node in session.get_inputs()}
    output: np.ndarray = session.run(None, {name: array for name, array in feeds.items() if name in wanted})[0]
    return output


def operators(model: ir.Model) -> list[str]:
    passes.RemoveUnusedNodesPass()(model)
    return [node.op_type for node in model.graph]


def test_heads_are_turned_as_before() -> None:
    before, model = graph(), graph()
    fuse_rotary(model.graph)
    found = operators(model)
    assert found.count("RotaryEmbedding") == 1
    assert not {"Neg", "Transpose", "Add"} & set(found)
    np.testing.assert_allclose(run(model), run(before), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "changed",
    [
        {"joined": "angles, others"},  # each half of a head by its own angles
        {"half": "lower, negative"},
        {"half": "upper, lower"},
        {"half": "negative, negative"},
        {"middle": "1"},
        {"permutation": "0, 2, 3, 1"},
        {"rows": "1"},  # the same angles for all rows
    ],
)
def test_something_else_stays(changed: dict[str, str]) -> None:
    model = graph(**changed)
    fuse_rotary(model.graph)
    assert "RotaryEmbedding" not in operators(model)


@pytest.mark.parametrize("model_type", ["llama", "qwen2", "qwen3"])
def test_every_layer_of_a_decoder(tmp_path: Path, model_type: str) -> None:
    source = models.checkpoint(tmp_path / "checkpoint", model_type, "text-generation")
    path = export(source, tmp_path / "bundle") / "onnx" / "model.onnx"
    found = [node.op_type for node in onnx.load(path, load_external_data=False).graph.node]
    assert found.count("RotaryEmbedding") == 2 * found.count("GroupQueryAttention") > 0
    assert "Neg" not in found
    assert "Transpose" not in found


@pytest.mark.parametrize("model_type", ["esm", "modernbert"])
def test_encoders_whose_rows_share_their_angles(
    tmp_path: Path, model_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They attend with ONNX Runtime's operator as others do, which a graph that does not run would end."""
    monkeypatch.setitem(models.ARCHITECTURES["esm"], "position_embedding_type", "rotary")
    source = models.checkpoint(tmp_path / "checkpoint", model_type, "text-classification")
    path = export(source, tmp_path / "bundle") / "onnx" / "model.onnx"
    assert "MultiHeadAttention" in {node.op_type for node in onnx.load(path, load_external_data=False).graph.node}
