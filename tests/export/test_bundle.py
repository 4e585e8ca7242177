"""What an export writes: files, manifest, references, and nothing of the machine that made it."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from tests.export import models
from tests.export.conftest import read_manifest
from tests.export.test_architectures import compare
from torchless import ExportError, VerificationError
from torchless.export import export

pytestmark = pytest.mark.export


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_layout(classifier_bundle: Path) -> None:
    assert files(classifier_bundle) == {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "torchless.json",
        "onnx/model.onnx",
        "onnx/model_fp16.onnx",
    }


def test_manifest(classifier_bundle: Path) -> None:
    manifest = read_manifest(classifier_bundle)
    assert (manifest["task"], manifest["model_type"], manifest["max_length"]) == ("text-classification", "bert", 64)
    assert manifest["dtype"] == {"cpu": "fp32", "cuda": "fp16"}
    graph = manifest["graphs"]["model"]["fp32"]
    assert [(spec["name"], spec["dtype"], spec["shape"]) for spec in graph["inputs"]] == [
        (name, "int64", ["batch", "length"]) for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    assert graph["outputs"] == [{"name": "logits", "dtype": "float32", "shape": ["batch", 3]}]
    assert manifest["provenance"]["architecture"] == "BertForSequenceClassification"
    assert manifest["provenance"]["attention"] == "MultiHeadAttention"
    assert manifest["provenance"]["opset"] == 20
    assert set(manifest["provenance"]["versions"]) >= {"torchless", "torch", "transformers", "onnxruntime"}


def test_hashes(classifier_bundle: Path) -> None:
    for graph in read_manifest(classifier_bundle)["graphs"]["model"].values():
        content = (classifier_bundle / graph["model"]["file"]).read_bytes()
        assert graph["model"]["bytes"] == len(content)
        assert graph["model"]["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
@pytest.mark.parametrize("bundle", ["classifier_bundle", "masked_lm_bundle"])
def test_references_replay(request: pytest.FixtureRequest, bundle: str, dtype: str) -> None:
    """The recorded outputs come back from the graph with nothing but NumPy and ONNX Runtime."""
    folder = request.getfixturevalue(bundle)
    manifest = read_manifest(folder)
    graph = manifest["graphs"]["model"][dtype]
    session = ort.InferenceSession(folder / graph["model"]["file"], providers=["CPUExecutionProvider"])
    (reference,) = manifest["references"]
    inputs = {
        name: np.array(record["values"], record["dtype"]).reshape(record["shape"])
        for name, record in reference["inputs"].items()
    }
    assert inputs["attention_mask"].sum(axis=1).tolist() != [inputs["input_ids"].shape[1]] * 2, "no padded row"
    for name, record in reference["outputs"].items():
        (actual,) = session.run([name], inputs)
        assert list(actual.shape) == record["shape"]
        wanted = np.array(record["values"], record["dtype"])
        assert wanted.size <= 256
        found = actual.ravel()[record["indices"]] if "indices" in record else actual.ravel()
        tolerance = reference["tolerance"][dtype]
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def test_references_skip_padding(masked_lm_bundle: Path) -> None:
    (reference,) = read_manifest(masked_lm_bundle)["references"]
    record = reference["outputs"]["logits"]
    mask = np.array(reference["inputs"]["attention_mask"]["values"])
    assert set(mask[np.array(record["indices"]) // record["shape"][-1]]) == {1}


def test_graph_is_anonymous(classifier_bundle: Path) -> None:
    """No source lines, no local paths, no leftovers of the exporter."""
    model = onnx.load(classifier_bundle / "onnx" / "model.onnx")
    assert model.producer_name == "torchless"
    assert not model.metadata_props
    assert not model.functions
    assert not model.graph.value_info
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert b"site-packages" not in model.SerializeToString()
    for file in classifier_bundle.rglob("*.json"):
        text = file.read_text(encoding="utf-8")
        assert str(Path.home()) not in text
        assert str(classifier_bundle.parent) not in text


def test_tied_weights_are_stored_once(masked_lm: Path, masked_lm_bundle: Path) -> None:
    weights = (masked_lm / "model.safetensors").stat().st_size
    assert (masked_lm_bundle / "onnx" / "model.onnx").stat().st_size < 1.1 * weights
    assert (masked_lm_bundle / "onnx" / "model_fp16.onnx").stat().st_size < 0.6 * weights


def test_half_precision_agrees(classifier: Path, classifier_bundle: Path) -> None:
    compare(classifier, classifier_bundle, "text-classification", "fp16", tolerance=2e-2)


def test_config_names_labels(tmp_path: Path, classifier_bundle: Path) -> None:
    config = json.loads((classifier_bundle / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["id2label"] == {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}


def test_half_precision_alone(tmp_path: Path, classifier: Path) -> None:
    bundle = export(classifier, tmp_path / "bundle", dtype="fp16")
    assert [name for name in files(bundle) if name.startswith("onnx/")] == ["onnx/model_fp16.onnx"]
    assert read_manifest(bundle)["dtype"] == {"cpu": "fp16", "cuda": "fp16"}


def test_large_weights_go_beside_the_graph(tmp_path: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchless.quantize import saving

    monkeypatch.setattr(saving, "_EXTERNAL_ABOVE", 1000)
    bundle = export(classifier, tmp_path / "bundle")
    spec = read_manifest(bundle)["graphs"]["model"]["fp32"]
    (data,) = spec["data"]
    assert data["file"] == "onnx/model.onnx.data"
    assert data["bytes"] == (bundle / data["file"]).stat().st_size > 10 * spec["model"]["bytes"] // 4
    assert data["sha256"] == hashlib.sha256((bundle / data["file"]).read_bytes()).hexdigest()
    compare(classifier, bundle, "text-classification")


@pytest.mark.parametrize("opset", [18, 23])
def test_opset(tmp_path: Path, classifier: Path, opset: int) -> None:
    bundle = export(classifier, tmp_path / "bundle", opset=opset)
    model = onnx.load(bundle / "onnx" / "model.onnx")
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == opset
    compare(classifier, bundle, "text-classification")


def test_other_task_of_the_checkpoint(tmp_path: Path, masked_lm: Path) -> None:
    """A masked language model has all that feature extraction needs, though not transformers' pooler."""
    bundle = export(masked_lm, tmp_path / "bundle", task="feature-extraction")
    assert read_manifest(bundle)["task"] == "feature-extraction"
    compare(masked_lm, bundle, "feature-extraction")


def test_zero_shot_is_classification(tmp_path: Path, classifier: Path) -> None:
    bundle = export(classifier, tmp_path / "bundle", task="zero-shot-classification")
    assert read_manifest(bundle)["task"] == "text-classification"


def test_failure_leaves_nothing(tmp_path: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchless.export import capture, verify

    def fail(*arguments: object) -> None:
        raise VerificationError("differs")

    monkeypatch.setattr(verify, "verify", fail)
    monkeypatch.setattr(capture, "implementations", lambda model, wanted: ("eager",))
    with pytest.raises(VerificationError, match="with eager attention: differs"):
        export(classifier, tmp_path / "new" / "folders" / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_interrupt_leaves_nothing(tmp_path: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchless.export import capture

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(capture, "capture", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export(classifier, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_overwrite(tmp_path: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle is replaced when asked for, and only once the new one is complete."""
    from torchless.export import verify

    output = tmp_path / "bundle"
    output.mkdir()
    (output / "torchless.json").write_text("{}")
    (output / "old").write_text("old")
    with pytest.raises(ExportError, match="already a bundle"):
        export(classifier, output)
    with monkeypatch.context() as patch:
        patch.setattr(verify, "reference", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            export(classifier, output, overwrite=True)
    assert files(output) == {"torchless.json", "old"}
    export(classifier, output, overwrite=True)
    assert "old" not in files(output)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_progress(tmp_path: Path, classifier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps: list[tuple[str, float | None]] = []
    export(classifier, tmp_path / "bundle", progress=lambda step, seconds: steps.append((step, seconds)))
    assert [step for step, seconds in steps if seconds is None] == [step for step, seconds in steps if seconds]
    assert {"load", "verify", "write"} <= {step for step, _ in steps}
    assert capsys.readouterr() == ("", ""), "an export says nothing by itself where nobody looks"


def test_progress_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from torchless import progress

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.timed(progress.default_report(), "load"):
        pass
    assert capsys.readouterr().err == "load ...\rload 0.0 s\n"


def test_shipped_checkpoint(tmp_path: Path, shared_data: Path) -> None:
    """A real checkpoint folder, saved by an older transformers."""
    source = shared_data / "weights" / "distilbert-tiny-random"
    bundle = export(source, tmp_path / "bundle")
    assert read_manifest(bundle)["task"] == "feature-extraction"
    assert read_manifest(bundle)["provenance"]["checkpoint"] == "distilbert-tiny-random"
    compare(source, bundle, "feature-extraction")


def test_vocabulary_file_alone(tmp_path: Path, shared_data: Path) -> None:
    """A checkpoint from before tokenizer.json: config.json, weights and vocab.txt."""
    source = models.checkpoint(tmp_path / "checkpoint", "distilbert", "text-classification", vocab_size=28996)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (source / name).unlink()
    vocabulary = shared_data / "tokenizers" / "bert-base-cased" / "vocab.txt"
    (source / "vocab.txt").write_bytes(vocabulary.read_bytes())
    assert "tokenizer.json" in files(export(source, tmp_path / "bundle"))
