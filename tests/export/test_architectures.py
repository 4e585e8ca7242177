"""Every architecture and head: the bundle's graph against transformers, which is loaded here anew."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import transformers

from tests.export import models
from tests.export.conftest import read_manifest
from torchless.export import export

pytestmark = pytest.mark.export

OUTPUTS = {
    "text-classification": ["logits"],
    "token-classification": ["logits"],
    "question-answering": ["start_logits", "end_logits"],
    "fill-mask": ["logits"],
    "feature-extraction": ["last_hidden_state"],
}
FUSED = ["bert", "distilbert", "roberta"]
ALSO_FUSED = ["albert", "electra", "xlm-roberta", "modernbert"]
TRACED = ["mpnet", "deberta", "deberta-v2", "rembert", "xlm", "xlnet"]
MORE_FUSED = ["camembert", "mobilebert", "ernie", "data2vec-text", "roberta-prelayernorm", "xmod", "esm"]
MORE_TRACED = ["convbert", "squeezebert", "roformer", "flaubert", "big_bird", "megatron-bert", "layoutlm", "ibert"]

# Not the shapes that the export itself verifies: batch, length, number of padded tokens in the last row.
SHAPES = [(2, 7, 3), (1, 33, 0), (4, 64, 50)]


def check(folder: Path, model_type: str, task: str) -> Counter[str]:
    """Export a random checkpoint, compare it with transformers, and count the graph's operators."""
    source = models.checkpoint(folder / "checkpoint", model_type, task)
    bundle = export(source, folder / "bundle", task=task)
    compare(source, bundle, task)
    graph = onnx.load(bundle / "onnx" / "model.onnx").graph
    return Counter(node.op_type for node in graph.node)


def compare(source: Path, bundle: Path, task: str, dtype: str = "fp32", tolerance: float = 1e-4) -> None:
    spec = read_manifest(bundle)["graphs"]["model"][dtype]
    session = ort.InferenceSession(bundle / spec["model"]["file"], providers=["CPUExecutionProvider"])
    model = getattr(transformers, models.HEADS[task]).from_pretrained(source, dtype=torch.float32)
    for batch, length, padded in SHAPES:
        inputs = random_inputs(model, [spec["name"] for spec in spec["inputs"]], batch, length, padded)
        with torch.inference_mode():
            wanted = model(**{name: torch.from_numpy(array) for name, array in inputs.items()})
        found = session.run(OUTPUTS[task], inputs)
        for name, array in zip(OUTPUTS[task], found, strict=True):
            attended = inputs["attention_mask"] == 1 if task != "text-classification" else slice(None)
            np.testing.assert_allclose(
                array[attended], wanted[name].numpy()[attended], rtol=tolerance, atol=tolerance, err_msg=name
            )


def random_inputs(
    model: torch.nn.Module, names: list[str], batch: int, length: int, padded: int
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(length)
    mask = np.ones((batch, length), dtype=np.int64)
    mask[-1, length - padded :] = 0
    ids = rng.integers(5, models.VOCABULARY, (batch, length))
    inputs = {
        "input_ids": np.where(mask == 1, ids, model.config.pad_token_id or 0),
        "attention_mask": mask,
        "token_type_ids": rng.integers(0, 2, (batch, length)) * mask,
    }
    return {name: inputs[name] for name in names}


@pytest.mark.parametrize("task", OUTPUTS)
@pytest.mark.parametrize("model_type", FUSED)
def test_every_head(tmp_path: Path, model_type: str, task: str) -> None:
    operators = check(tmp_path, model_type, task)
    assert operators["MultiHeadAttention"] == 2
    assert operators["Softmax"] == 0
    assert operators["Transpose"] <= (task == "fill-mask"), "attention needs no transpose; a tied decoder may"
    assert operators["Reshape"] == 0


@pytest.mark.parametrize("model_type", ALSO_FUSED)
def test_fused(tmp_path: Path, model_type: str) -> None:
    assert check(tmp_path, model_type, "text-classification")["MultiHeadAttention"] == 2
    assert read_manifest(tmp_path / "bundle")["provenance"]["attention"] == "MultiHeadAttention"


@pytest.mark.parametrize("model_type", TRACED)
def test_traced(tmp_path: Path, model_type: str) -> None:
    assert check(tmp_path, model_type, "text-classification")["MultiHeadAttention"] == 0
    assert read_manifest(tmp_path / "bundle")["provenance"]["attention"] == "traced"


@pytest.mark.slow
@pytest.mark.parametrize("model_type", MORE_FUSED)
def test_more_fused(tmp_path: Path, model_type: str) -> None:
    assert check(tmp_path, model_type, "text-classification")["MultiHeadAttention"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("model_type", MORE_TRACED)
def test_more_traced(tmp_path: Path, model_type: str) -> None:
    assert check(tmp_path, model_type, "text-classification")["MultiHeadAttention"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("task", list(OUTPUTS)[1:])
@pytest.mark.parametrize("model_type", [*ALSO_FUSED, "mpnet", "deberta-v2"])
def test_every_other_head(tmp_path: Path, model_type: str, task: str) -> None:
    check(tmp_path, model_type, task)


def test_weights_beside_float32(tmp_path: Path, classifier: Path) -> None:
    """A float16 checkpoint is widened, not computed in float16."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(classifier).half()
    model.save_pretrained(tmp_path / "half")
    models.tokenizer_for("bert").save_pretrained(tmp_path / "half")
    bundle = export(tmp_path / "half", tmp_path / "bundle")
    compare(tmp_path / "half", bundle, "text-classification")


def test_scaled_attention(tmp_path: Path) -> None:
    """Longer heads than 1/sqrt(head) scales for: the operator is given the model's own factor."""
    from torchless.export import attention

    seen = {}

    def record(operator: str, inputs: tuple, attributes: dict, **options: object) -> list[torch.Tensor]:
        seen.update(attributes)
        return [inputs[0]]

    query = torch.zeros(2, 4, 5, 16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx.ops, "symbolic_multi_out", record)
        attention.attention(torch.nn.Module(), query, query, query, None, scaling=0.5)
        assert seen == {"num_heads": 4, "scale": 0.5}
        seen.clear()
        attention.attention(torch.nn.Module(), query, query, query, None, scaling=0.25)
        assert seen == {"num_heads": 4}


def test_falls_back_to_tracing(tmp_path: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where fused attention cannot be captured, the model is traced as it is."""
    from torchless.export import attention

    def refuse(*arguments: object, **options: object) -> None:
        raise attention.UnsupportedAttentionError("not this one")

    monkeypatch.setattr(attention, "_check", refuse)
    bundle = export(classifier, tmp_path / "bundle")
    assert read_manifest(bundle)["provenance"]["attention"] == "traced"
    compare(classifier, bundle, "text-classification")


@pytest.mark.parametrize("model_type", [pytest.param("funnel", marks=pytest.mark.slow), "nystromformer"])
def test_fixed_length_is_refused(tmp_path: Path, model_type: str) -> None:
    """Architectures that torch can only run or trace at one length."""
    from torchless import ExportError

    source = models.checkpoint(tmp_path / "checkpoint", model_type, "text-classification")
    with pytest.raises(ExportError, match="length"):
        export(source, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.slow
@pytest.mark.parametrize("task", OUTPUTS)
@pytest.mark.parametrize("model_type", models.BASE_SIZES)
def test_base_size(tmp_path: Path, model_type: str, task: str) -> None:
    sizes = models.BASE_SIZES[model_type]
    source = models.checkpoint(tmp_path / "checkpoint", model_type, task, scale=0.03, **sizes)
    compare(source, export(source, tmp_path / "bundle"), task)
