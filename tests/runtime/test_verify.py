"""``Bundle.verify``: hashes, and recorded outputs played back."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from torchless import Bundle, BundleError, IntegrityError
from torchless.manifest import FileSpec

from .factories import make_bundle, reference, save_graph, task_graph, write_manifest

TASK = "text-classification"
ROWS = {"good": (0, 1), "bad": (1, 0)}
IDS = [[2, 5, 3], [2, 6, 3]]


@pytest.fixture
def folder(tmp_path):
    return make_bundle(tmp_path / "bundle", TASK, ROWS, ("NEGATIVE", "POSITIVE"))


def opened(folder, *references):
    write_manifest(folder, TASK, references=references)
    return Bundle.open(folder)


def test_without_a_manifest(folder):
    with pytest.raises(BundleError, match=r"no torchless\.json to verify against"):
        Bundle.open(folder).verify()


def test_an_untouched_bundle(folder):
    assert opened(folder, reference(folder, IDS)).verify() == [("model fp32", 0.0, 1e-3)]


def test_without_references(folder):
    assert opened(folder).verify() == []


def test_every_variant_is_replayed(folder):
    table = np.zeros((7, 2))
    table[5], table[6] = (0, 1), (1, 0)
    task_graph(folder / "onnx" / "model_fp16.onnx", TASK, table, dtype="float16")
    found = opened(folder, reference(folder, IDS)).verify()
    assert found == [("model fp16", 0.0, 1e-2), ("model fp32", 0.0, 1e-3)]


def test_the_difference_is_counted_against_the_value(folder):
    # Recorded 1.0005 and found 1: 0.0005 / 2.0005; recorded 0.0005 and found 0: 0.0005 / 1.0005, the larger.
    ((_, difference, _),) = opened(folder, reference(folder, IDS, shift=5e-4)).verify()
    assert difference == pytest.approx(5e-4 / 1.0005, rel=1e-6)


def test_some_elements_may_have_been_recorded(folder):
    kept = reference(folder, IDS, indices=[1, 2])
    assert kept.outputs["logits"]["values"] == [1, 1]
    assert opened(folder, kept).verify() == [("model fp32", 0.0, 1e-3)]


@pytest.mark.parametrize("indices", [None, [3]])
@pytest.mark.parametrize("shift", [0.01, -0.01, 1e6, float("nan"), float("inf")])
def test_another_output(folder, shift, indices):
    bundle = opened(folder, reference(folder, IDS, shift=shift, indices=indices))
    with pytest.raises(IntegrityError, match=r"differs from the recorded outputs by .* the tolerance is 0\.001"):
        bundle.verify()


def test_a_graph_that_answers_nan(folder):
    recorded = reference(folder, IDS)
    graph = """(int64[batch, length] input_ids, int64[batch, length] attention_mask) => (float[batch, width] logits) {
        logits = Gather(table, place)
    }"""
    content = {"table": np.full((1, 2), np.nan, dtype=np.float32), "place": np.array([0, 0])}
    save_graph(folder / "onnx" / "model.onnx", graph, content)
    with pytest.raises(IntegrityError, match="differs from the recorded outputs by nan"):
        opened(folder, recorded).verify()


def test_another_shape(folder):
    recorded = reference(folder, IDS)
    recorded.outputs["logits"]["shape"] = [2, 3]
    with pytest.raises(IntegrityError, match=r"logits has shape \(2, 2\); \[2, 3\] was recorded"):
        opened(folder, recorded).verify()


def test_a_changed_file_of_the_same_size(folder):
    bundle = opened(folder, reference(folder, IDS))
    path = folder / "onnx" / "model.onnx"
    content = bytearray(path.read_bytes())
    place = content.rindex(np.float32(1).tobytes())
    content[place : place + 4] = np.float32(2).tobytes()
    path.write_bytes(content)
    assert bundle.session().run({"input_ids": np.array(IDS)})["logits"].max() == 2
    with pytest.raises(IntegrityError, match="was changed: its SHA-256"):
        bundle.verify()


@pytest.mark.parametrize(
    "broken",
    [
        {"role": "decoder"},
        {"tolerance": {}},
        {"outputs": {"loss": {"dtype": "float32", "shape": [1], "values": [1]}}},
        {"outputs": {"logits": {"shape": [2, 2]}}},
        {"outputs": {"logits": {"dtype": "float32", "shape": [2, 2], "values": [1]}}},
        {"outputs": {"logits": {"dtype": "float32", "shape": [2, 2], "values": [1], "indices": [99]}}},
        {"inputs": {"input_ids": {"dtype": "int64", "shape": [9], "values": [1]}}},
        {"inputs": {"input_ids": {"dtype": "no", "shape": [1], "values": [1]}}},
    ],
)
def test_malformed_references(folder, broken):
    bundle = opened(folder, replace(reference(folder, IDS), **broken))
    with pytest.raises(BundleError, match=r"malformed reference of|no graph 'decoder'"):
        bundle.verify()


def test_progress_names_every_step(folder):
    lines = []
    opened(folder, reference(folder, IDS)).verify(lines.append)
    assert lines == ["hashing onnx/model.onnx", "replaying model fp32"]


def test_a_changed_configuration(folder):
    content = (folder / "config.json").read_bytes()
    listed = FileSpec("config.json", len(content), hashlib.sha256(content).hexdigest())
    write_manifest(folder, TASK, files=(listed,))
    Bundle.open(folder).verify()
    (folder / "config.json").write_bytes(content.replace(b"NEGATIVE", b"POSITIVE"))
    with pytest.raises(IntegrityError, match=r"config\.json was changed"):
        Bundle.open(folder).verify()


def test_one_variant_by_name(folder):
    (folder / "onnx" / "model_fp16.onnx").write_bytes((folder / "onnx" / "model.onnx").read_bytes())
    write_manifest(folder, TASK)
    (folder / "onnx" / "model_fp16.onnx").unlink()
    Bundle.open(folder, dtype="fp32").verify()
    with pytest.raises(BundleError, match="missing"):
        Bundle.open(folder).verify()
