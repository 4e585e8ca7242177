"""A last layer computes the positions that are read alone; what others need stays whole."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from tests.export import media, models
from torchless.export import export
from torchless.export.early_selection import select_early

pytestmark = pytest.mark.export


def shapes(path: Path, feeds: dict[str, np.ndarray], operator: str) -> list[tuple[int, ...]]:
    """What the nodes of an operator give, in the graph's order."""
    graph = onnx.load(path)
    names = [node.output[0] for node in graph.graph.node if node.op_type == operator]
    graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in _outputs(graph))
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return [array.shape for array in session.run(names, feeds)]


def _outputs(graph: onnx.ModelProto) -> set[str]:
    return {output.name for output in graph.graph.output}


def text(batch: int, length: int) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(0).integers(5, 40, (batch, length))
    mask = (np.arange(length) < np.array([[length]] * (batch - 1) + [[2]])).astype(np.int64)
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "roberta"])
def test_text_classifier(tmp_path: Path, model_type: str) -> None:
    source = models.checkpoint(tmp_path / "checkpoint", model_type, "text-classification")
    path = export(source, tmp_path / "bundle") / "onnx" / "model.onnx"
    feeds = text(3, 7) | ({"token_type_ids": np.zeros((3, 7), np.int64)} if model_type == "bert" else {})
    assert [shape[1] for shape in shapes(path, feeds, "MultiHeadAttention")] == [7, 1]
    *whole, attended, last = [shape[1] for shape in shapes(path, feeds, "LayerNormalization")]
    assert whole == [7] * 3
    assert (attended, last) == (1, 1)
    assert {shape[1] for shape in shapes(path, feeds, "Gelu")[1:]} == {1}


def test_image_classifier(tmp_path: Path) -> None:
    source = media.images(tmp_path / "checkpoint", "vit")
    path = export(source, tmp_path / "bundle") / "onnx" / "model.onnx"
    size = onnx.load(path).graph.input[0].type.tensor_type.shape.dim[2].dim_value
    pixels = {"pixel_values": np.random.default_rng(0).standard_normal((2, 3, size, size)).astype(np.float32)}
    *_, before, last = shapes(path, pixels, "MultiHeadAttention")
    assert before[1] > 1
    assert last[1] == 1


@pytest.mark.parametrize("task", ["question-answering", "token-classification", "fill-mask", "feature-extraction"])
def test_every_position_is_asked_for(tmp_path: Path, task: str) -> None:
    source = models.checkpoint(tmp_path / "checkpoint", "bert", task)
    path = export(source, tmp_path / "bundle", task=task) / "onnx" / "model.onnx"
    feeds = text(3, 7) | {"token_type_ids": np.zeros((3, 7), np.int64)}
    assert {shape[1] for shape in shapes(path, feeds, "MultiHeadAttention")} == {7}


@pytest.mark.parametrize(("model_type", "operator"), [("gpt2", "Tanh"), ("llama", "Sigmoid"), ("gemma2", "Gelu")])
def test_decoder_behind_its_last_attention(tmp_path: Path, model_type: str, operator: str) -> None:
    source = models.checkpoint(tmp_path / "checkpoint", model_type, "text-generation")
    path = export(source, tmp_path / "bundle") / "onnx" / "model.onnx"
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {
        "input_ids": np.random.default_rng(0).integers(5, 40, (2, 7)),
        "attention_mask": (np.arange(7) < [[7], [3]]).astype(np.int64),
        "position_ids": np.tile(np.arange(7), (2, 1)),
        "num_logits_to_keep": np.array(2),
    }
    caches = [node for node in session.get_inputs() if node.name.startswith("past_key_values")]
    feeds |= {node.name: np.zeros((2, node.shape[1], 7, node.shape[3]), np.float32) for node in caches}
    attended = shapes(path, feeds, "GroupQueryAttention")
    assert {shape[1] for shape in attended} == {7}
    *whole, last = [shape[1] for shape in shapes(path, feeds, operator) if len(shape) == 3]
    assert whole
    assert set(whole) == {7}
    assert last == 2


def test_what_leads_to_the_last_attention_stays_whole() -> None:
    model = ir.from_onnx_text(f"""<ir_version: 10, opset_import: ["": 20, "com.microsoft": 1]>
    g (float[b, l, 8] x, float[b, k, 8] keys, int64[b, n, 1] places) => (float[b, n, 8] y)
    <float[8, 8] w = {{{", ".join(map(str, range(64)))}}},
     float[b, l, 8] query, float[b, l, 8] attended, float[b, l, 8] product, float[b, n, 8] kept> {{
        query = MatMul (x, w)
        attended = com.microsoft.MultiHeadAttention <num_heads = 2> (query, keys, keys)
        product = MatMul (attended, w)
        kept = GatherND <batch_dims = 1> (product, places)
        y = Neg (kept)
    }}""")
    select_early(model.graph)
    assert [node.op_type for node in model.graph] == ["MatMul", "MultiHeadAttention", "GatherND", "MatMul", "Neg"]
