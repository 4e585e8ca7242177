"""Variants in dynamic int8 beside float32, of a model of one pass and of one that generates."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.export import models
from tests.export.conftest import read_manifest
from torchless import Bundle, VerificationError
from torchless.export import export, verify

pytestmark = pytest.mark.export

# Wide enough for products that are worth it.
WIDE = {"hidden_size": 128, "intermediate_size": 256}


def test_classifier(tmp_path: Path) -> None:
    source = models.checkpoint(tmp_path / "checkpoint", "bert", "text-classification", scale=0.05, **WIDE)
    folder = export(source, tmp_path / "bundle", dtype=("int8", "fp32"))
    graph = onnx.load(folder / "onnx" / "model_int8.onnx").graph
    products = [node.op_type for node in graph.node if node.op_type == "DynamicQuantizeMatMul"]
    layers = "q, k and v together, its output, its feed-forward; q of the last layer alone, of one position; the pooler"
    assert len(products) == 2 * 4 + 1 + 1, layers
    files = {dtype: spec["model"]["bytes"] for dtype, spec in read_manifest(folder)["graphs"]["model"].items()}
    assert files["int8"] < 0.45 * files["fp32"]
    assert Bundle.open(folder).dtype() == "fp32"
    assert [row[0] for row in Bundle.open(folder).verify()] == ["model fp32", "model int8"]
    texts = ["the film was good", "a very bad dog"]
    logits = {}
    for dtype in ("fp32", "int8"):
        bundle = Bundle.open(folder, dtype=dtype)
        logits[dtype] = bundle.session().run(bundle.tokenizer(texts))["logits"]
    assert 0 < np.abs(logits["int8"] - logits["fp32"]).max() < 0.2 * np.abs(logits["fp32"]).max()


def test_a_graph_that_drifts_too_far() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.standard_normal((3, 50)).astype(np.float32)
    near = wanted + 0.1 * rng.standard_normal(wanted.shape).astype(np.float32)
    assert 0.1 < verify.share(near, wanted, "int8", "logits", "here") < 0.3
    far = wanted + rng.standard_normal(wanted.shape).astype(np.float32)
    for bad in (far, np.full_like(wanted, np.nan)):
        with pytest.raises(VerificationError, match="logits differs from torch"):
            verify.share(bad, wanted, "int8", "logits", "here")
    with pytest.raises(VerificationError, match="has shape"):
        verify.share(wanted[:2], wanted, "int8", "logits", "here")
