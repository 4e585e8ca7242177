"""Reading and writing ``torchless.json``."""

import json
from dataclasses import replace

import pytest

from torchless import BundleError
from torchless.manifest import FILE_NAME, FORMAT, FileSpec, GraphSpec, Manifest, Reference, TensorSpec

GRAPH = GraphSpec(
    model=FileSpec("onnx/model.onnx", 12, "ab" * 32),
    data=(FileSpec("onnx/model.onnx_data", 34, "cd" * 32),),
    inputs=(TensorSpec("input_ids", "int64", ("batch", "length")),),
    outputs=(TensorSpec("logits", "float32", ("batch", 2)),),
)
TENSOR = {"dtype": "float32", "shape": [1, 2], "values": [0.5, -0.25]}
MANIFEST = Manifest(
    task="text-classification",
    model_type="bert",
    graphs={"model": {"fp32": GRAPH, "fp16": GRAPH}},
    dtype={"cpu": "fp32", "cuda": "fp16"},
    max_length=512,
    references=(Reference("model", {"input_ids": TENSOR}, {"logits": TENSOR}, {"fp32": 1e-4}),),
    provenance={"checkpoint": "día/☕"},
)


def test_round_trip():
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST


def test_round_trip_of_a_file(tmp_path):
    (tmp_path / FILE_NAME).write_text(MANIFEST.to_json(), encoding="utf-8")
    assert Manifest.read(tmp_path) == MANIFEST


def test_optional_fields_may_be_missing():
    content = json.loads(MANIFEST.to_json())
    for name in ("max_length", "references", "provenance"):
        del content[name]
    found = Manifest.from_json(json.dumps(content))
    assert (found.max_length, found.references, found.provenance) == (None, (), {})


def test_the_automatic_variant():
    graphs = {"encoder_model": {"fp32": GRAPH, "int8": GRAPH}, "decoder_model": {"fp32": GRAPH, "q4": GRAPH}}
    manifest = replace(MANIFEST, graphs=graphs, dtype={"cpu": {"encoder_model": "int8", "decoder_model": "q4"}})
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert manifest.automatic("encoder_model", "cpu") == "int8"
    assert manifest.automatic("decoder_model", "cpu") == "q4"
    assert manifest.automatic("decoder_model", "cuda") == "fp32"
    manifest = replace(MANIFEST, graphs=graphs, dtype={"cpu": {"encoder_model": "q4"}, "cuda": "int8"})
    assert manifest.automatic("encoder_model", "cpu") == "fp32", "it has no q4"
    assert manifest.automatic("decoder_model", "cpu") == "fp32"
    assert manifest.automatic("encoder_model", "cuda") == "int8"


@pytest.mark.parametrize("dtype", [3, ["cpu"], {"cpu": 3}, {"cpu": ["int8"]}, {"cpu": {"model": 3}}])
def test_a_malformed_automatic_variant(dtype):
    with pytest.raises(BundleError, match="dtype must not be"):
        Manifest.from_json(json.dumps(json.loads(MANIFEST.to_json()) | {"dtype": dtype}))


def test_text_is_written_as_it_is():
    assert "día/☕" in MANIFEST.to_json()


def test_folder_without_one(tmp_path):
    assert Manifest.read(tmp_path) is None


@pytest.mark.parametrize("version", [FORMAT + 1, 0, "1", None])
def test_another_format_is_named(version):
    content = json.loads(MANIFEST.to_json()) | {"format": version}
    with pytest.raises(BundleError, match=f"format {version!r}; this torchless reads format {FORMAT}"):
        Manifest.from_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"format"', "{}", '[{"format": 1}]'])
def test_not_a_manifest(text):
    with pytest.raises(BundleError, match="not a torchless manifest"):
        Manifest.from_json(text)


@pytest.mark.parametrize("name", ["task", "model_type", "graphs", "dtype"])
def test_missing_field(name):
    content = json.loads(MANIFEST.to_json())
    del content[name]
    with pytest.raises(BundleError, match=f"malformed.*{name}"):
        Manifest.from_json(json.dumps(content))


@pytest.mark.parametrize("name", ["model", "data", "inputs", "outputs"])
def test_missing_field_of_a_graph(name):
    content = json.loads(MANIFEST.to_json())
    del content["graphs"]["model"]["fp16"][name]
    with pytest.raises(BundleError, match=f"malformed.*{name}"):
        Manifest.from_json(json.dumps(content))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("future",), 1),
        (("graphs",), []),
        (("graphs", "model"), 3),
        (("graphs", "model"), {}),
        (("dtype",), None),
        (("dtype",), "fp32"),
        (("graphs", "model", "fp32"), None),
        (("graphs", "model", "fp32", "model", "future"), 1),
        (("graphs", "model", "fp32", "data"), 1),
        (("graphs", "model", "fp32", "inputs"), [{"name": "input_ids"}]),
        (("references",), [{"role": "model"}]),
        (("references",), None),
    ],
)
def test_malformed_field(place, value):
    content = json.loads(MANIFEST.to_json())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(BundleError, match="malformed"):
        Manifest.from_json(json.dumps(content))


@pytest.mark.parametrize("content", [b"\xff\xfe{}", b"\x80"])
def test_file_that_is_not_text(tmp_path, content):
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(BundleError, match="cannot read"):
        Manifest.read(tmp_path)


def test_folder_in_place_of_the_file(tmp_path):
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(BundleError, match="cannot read"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize(
    "change", [{"max_length": "512"}, {"task": ["x"]}, {"dtype": {"cpu": ["a"]}}, {"dtype": None}, {"files": [{}]}]
)
def test_a_field_of_another_type(change):
    content = json.loads(Manifest("fill-mask", "bert", {}, {"cpu": "fp32"}).to_json()) | change
    with pytest.raises(BundleError, match="malformed"):
        Manifest.from_json(json.dumps(content))
