"""Folders with something missing, damaged, or pointing outside."""

import json
import shutil

import onnx
import pytest

from torchless import Bundle, BundleError, BundleNotFoundError, IntegrityError, Session, TorchlessError
from torchless.manifest import FILE_NAME, TensorSpec

from .factories import make_bundle, write_manifest

TASK = "text-classification"


@pytest.fixture
def folder(tmp_path):
    return make_bundle(tmp_path / "bundle", TASK, {"good": (0, 1), "bad": (1, 0)}, ("NEGATIVE", "POSITIVE"))


def logits(bundle):
    return bundle.session().run(bundle.tokenizer("good"))["logits"].tolist()


def test_missing_configuration(folder):
    (folder / "config.json").unlink()
    with pytest.raises(BundleNotFoundError, match=r"no config\.json"):
        Bundle.open(folder)


@pytest.mark.parametrize("content", [b"{", b"[]", b"3", b"\xff\x00"])
def test_malformed_configuration(folder, content):
    (folder / "config.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"config\.json"):
        Bundle.open(folder)


def test_missing_graphs(folder):
    shutil.rmtree(folder / "onnx")
    with pytest.raises(BundleNotFoundError, match=r"no ONNX graph: expected onnx/model\.onnx or model\.onnx"):
        Bundle.open(folder)


def test_missing_tokenizer(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BundleNotFoundError, match=r"no tokenizer\.json"):
        Bundle.open(folder).tokenizer  # noqa: B018


def test_a_file_in_place_of_a_folder(folder):
    with pytest.raises(BundleNotFoundError, match="is a file"):
        Bundle.open(folder / "config.json")


def test_a_damaged_manifest(folder):
    (folder / FILE_NAME).write_text("{")
    with pytest.raises(BundleError, match="not a torchless manifest"):
        Bundle.open(folder)


@pytest.mark.parametrize(
    "file", ["../model.onnx", "onnx/../../model.onnx", "/model.onnx", "..\\model.onnx", "C:model.onnx"]
)
def test_a_path_that_leaves_the_folder(folder, file):
    shutil.copy(folder / "onnx" / "model.onnx", folder.parent / "model.onnx")
    content = json.loads(write_manifest(folder, TASK).to_json())
    content["graphs"]["model"]["fp32"]["model"]["file"] = file
    (folder / FILE_NAME).write_text(json.dumps(content))
    for use in (Bundle.session, Bundle.verify):
        with pytest.raises(IntegrityError, match="names a file outside it"):
            use(Bundle.open(folder))


def test_external_weights_whose_path_leaves_the_folder(folder):
    content = json.loads(write_manifest(folder, TASK).to_json())
    content["graphs"]["model"]["fp32"]["data"] = [{"file": "../weights", "bytes": 1, "sha256": ""}]
    (folder / FILE_NAME).write_text(json.dumps(content))
    with pytest.raises(IntegrityError, match="names a file outside it"):
        Bundle.open(folder).session()


def with_external_weights(folder, location):
    path = folder / "onnx" / "model.onnx"
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = location if entry.key == "location" else entry.value
    path.write_bytes(model.SerializeToString())
    return path.with_name("model.onnx_data")


def test_external_weights(folder):
    with_external_weights(folder, "model.onnx_data")
    assert logits(Bundle.open(folder)) == [[0, 1]]


def test_a_graph_that_reads_weights_outside_its_folder(folder, tmp_path):
    data = with_external_weights(folder, "../../outside")
    shutil.move(data, tmp_path / "outside")
    assert (folder / "onnx" / ".." / ".." / "outside").is_file()
    with pytest.raises(TorchlessError, match="cannot load"):
        Bundle.open(folder).session()


def test_external_weights_that_are_missing(folder):
    with_external_weights(folder, "model.onnx_data").unlink()
    with pytest.raises(TorchlessError, match="cannot load"):
        Bundle.open(folder).session()


def test_a_declared_graph_that_is_missing(folder):
    write_manifest(folder, TASK)
    (folder / "onnx" / "model.onnx").unlink()
    with pytest.raises(BundleNotFoundError, match="which the manifest lists, is missing"):
        Bundle.open(folder).session()


def test_a_truncated_graph(folder):
    write_manifest(folder, TASK)
    path = folder / "onnx" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="truncated or changed"):
        Bundle.open(folder).session()


def test_a_graph_that_disagrees_with_the_manifest(folder):
    manifest = write_manifest(folder, TASK)
    content = json.loads(manifest.to_json())
    spec = TensorSpec("pixel_values", "float32", ("batch", 3))
    for kind, name in (("inputs", "input"), ("outputs", "output")):
        changed = json.loads(json.dumps(content))
        changed["graphs"]["model"]["fp32"][kind] = [vars(spec)]
        (folder / FILE_NAME).write_text(json.dumps(changed))
        with pytest.raises(IntegrityError, match=f"the {name}s of .* the manifest says .*pixel_values"):
            Bundle.open(folder).session()


def test_a_failed_session_can_be_opened_once_it_is_mended(folder):
    write_manifest(folder, TASK)
    path = folder / "onnx" / "model.onnx"
    whole = path.read_bytes()
    path.write_bytes(whole[:10])
    bundle = Bundle.open(folder)
    with pytest.raises(IntegrityError):
        bundle.session()
    path.write_bytes(whole)
    assert logits(bundle) == [[0, 1]]
    assert isinstance(bundle.session(), Session)
