"""Opening folders, with a manifest and without one: variants, task, labels, limits."""

import json
import pickle
import shutil

import numpy as np
import pytest

from torchless import Bundle, BundleError, BundleNotFoundError, OptionError

from .factories import edit_json, make_bundle, reference, save_graph, task_graph, write_manifest

TASK = "text-classification"
ROWS = {"good": (0, 1), "bad": (1, 0)}
LABELS = ("NEGATIVE", "POSITIVE")
GOOD = [[2, 5, 3]]


@pytest.fixture
def folder(tmp_path):
    """A bundle as another tool makes it: no manifest."""
    return make_bundle(tmp_path / "bundle", TASK, ROWS, LABELS)


def variant(folder, name, scale, dtype="float32"):
    """One more graph, whose outputs are ``scale`` times as large."""
    table = np.zeros((7, 2), dtype=np.float32)
    table[5], table[6] = (0, scale), (scale, 0)
    return task_graph(folder / name, TASK, table, dtype=dtype)


def logits(bundle, role="model"):
    return bundle.session(role).run(bundle.tokenizer("good"))["logits"].tolist()


def test_direct_use(folder):
    bundle = Bundle.open(folder)
    batch = bundle.tokenizer(["good good", "bad"])
    assert bundle.session("model").run(batch)["logits"].tolist() == [[0, 2], [1, 0]]
    assert bundle.labels == ["NEGATIVE", "POSITIVE"]
    assert (bundle.folder, bundle.task, bundle.manifest) == (folder, TASK, None)


def test_with_a_manifest(folder):
    manifest = write_manifest(folder, TASK, max_length=9)
    bundle = Bundle.open(str(folder))
    assert bundle.manifest == manifest
    assert (bundle.task, bundle.tokenizer.max_length) == (TASK, 9)
    assert logits(bundle) == [[0, 1]]


def test_a_session_is_kept(folder):
    bundle = Bundle.open(folder)
    assert bundle.session() is bundle.session("model")
    assert bundle.tokenizer is bundle.tokenizer


def test_settings_reach_the_sessions(folder):
    bundle = Bundle.open(folder, threads=1, session_options={"inter_op_num_threads": 1})
    assert bundle.session().settings == bundle.settings
    assert bundle.settings.threads == 1


def test_graphs_beside_the_configuration(folder):
    shutil.move(folder / "onnx" / "model.onnx", folder / "model.onnx")
    assert logits(Bundle.open(folder)) == [[0, 1]]


def test_variants_by_suffix(folder):
    for number, suffix in enumerate(("fp16", "int8", "quantized", "q4f16", "optimized"), start=2):
        variant(folder, f"onnx/model_{suffix}.onnx", number)
    assert Bundle.open(folder).dtypes == {"model": ["fp16", "fp32", "int8", "optimized", "q4f16", "quantized"]}
    assert logits(Bundle.open(folder)) == [[0, 1]]
    assert logits(Bundle.open(folder, dtype="int8")) == [[0, 3]]
    assert logits(Bundle.open(folder, dtype={"model": "quantized"})) == [[0, 4]]
    assert logits(Bundle.open(folder, dtype={})) == [[0, 1]]


def test_graphs_by_role(folder):
    for name in ("decoder_model", "decoder_model_int8", "decoder_with_past_model"):
        save_graph(folder / "onnx" / f"{name}.onnx", "(float[n] x) => (float[n] y) { y = Identity(x) }")
    bundle = Bundle.open(folder, dtype={"decoder_model": "int8"})
    assert bundle.dtypes == {
        "model": ["fp32"], "decoder_model": ["fp32", "int8"], "decoder_with_past_model": ["fp32"]
    }  # fmt: skip
    assert {role: bundle.dtype(role) for role in bundle.dtypes} == {
        "model": "fp32", "decoder_model": "int8", "decoder_with_past_model": "fp32"
    }  # fmt: skip
    with pytest.raises(OptionError, match="no 'int8' variant of 'decoder_with_past_model'"):
        Bundle.open(folder, dtype="int8")


def test_a_folder_with_one_variant_only(folder):
    shutil.move(folder / "onnx" / "model.onnx", folder / "onnx" / "model_fp16.onnx")
    bundle = Bundle.open(folder)
    assert (bundle.dtype(), logits(bundle)) == ("fp16", [[0, 1]])


@pytest.mark.parametrize("dtype", ["fp64", {"model": "fp64"}])
def test_a_variant_that_is_not_there(folder, dtype):
    with pytest.raises(OptionError, match=r"no 'fp64' variant of 'model'; it has \['fp32'\]"):
        Bundle.open(folder, dtype=dtype)


@pytest.mark.parametrize("dtype", [None, 16, {"encoder": "fp32"}])
def test_a_malformed_dtype(folder, dtype):
    with pytest.raises(OptionError, match="dtype"):
        Bundle.open(folder, dtype=dtype)


def test_the_manifest_chooses_the_variant_by_device(folder):
    variant(folder, "onnx/model_fp16.onnx", 5, "float16")
    write_manifest(folder, TASK, dtype={"cpu": "fp32", "cuda": "fp16"})
    assert Bundle.open(folder).dtype() == "fp32"
    assert Bundle.open(folder, device="cuda").dtype() == "fp16"
    assert Bundle.open(folder, device="cuda", dtype="fp32").dtype() == "fp32"
    assert logits(Bundle.open(folder, dtype="fp16")) == [[0, 5]]


def test_a_recommended_variant_that_is_not_there(folder):
    write_manifest(folder, TASK, dtype={"cpu": "int8"})
    assert Bundle.open(folder).dtype() == "fp32"


@pytest.mark.parametrize(
    ("asked", "decoder"),
    [({}, "q4"), ({"encoder": "int8"}, "q4"), ({"encoder": "auto"}, "q4"), ({"encoder": "fp32"}, "fp32"),
     ({"encoder": "q8"}, "fp32"), ({"encoder": "q8", "decoder": "q4"}, "q4"), ("auto", "q4")],
)  # fmt: skip
def test_graphs_that_are_not_named_are_those_that_were_measured_beside_the_others(folder, asked, decoder):
    write_manifest(folder, TASK, dtype={"cpu": {"encoder": "int8", "decoder": "q4"}})
    content = json.loads((folder / "torchless.json").read_text(encoding="utf-8"))
    graph = content["graphs"]["model"]["fp32"]
    names = {"encoder": ("fp32", "int8", "q8"), "decoder": ("fp32", "q4")}
    content["graphs"] = {role: dict.fromkeys(variants, graph) for role, variants in names.items()}
    (folder / "torchless.json").write_text(json.dumps(content), encoding="utf-8")
    assert Bundle.open(folder, dtype=asked).dtype("decoder") == decoder


def test_an_unknown_role(folder):
    with pytest.raises(BundleNotFoundError, match=r"no graph 'decoder'; it has \['model'\]"):
        Bundle.open(folder).session("decoder")


@pytest.mark.parametrize(
    ("architectures", "task"),
    [
        (["RobertaForMaskedLM"], "fill-mask"),
        (["DistilBertForQuestionAnswering"], "question-answering"),
        (["BertForTokenClassification"], "token-classification"),
        (["Unknown", "BertModel"], "feature-extraction"),
        (["GPT2LMHeadModel"], "text-generation"),
        (["MarianMTModel"], "text2text-generation"),
        (["BartForConditionalGeneration"], "text2text-generation"),
        (["LlamaForCausalLM"], "text-generation"),
        (["XLMWithLMHeadModel"], None),
        (["GPT2DoubleHeadsModel"], None),
        (["BertForNextSentencePrediction"], None),
        ([], None),
        ("BertModel", None),
        (None, None),
        ([5], None),
    ],
)
def test_the_task_is_read_from_the_architecture(folder, architectures, task):
    edit_json(folder / "config.json", architectures=architectures)
    assert Bundle.open(folder).task == task


@pytest.mark.parametrize(
    "labels", [[], "x", {"a": "b"}, {"1": "b", "2": "c"}, {"0": "a", "2": "c"}, {"0": "a", "00": "b"}]
)
def test_malformed_labels(folder, labels):
    edit_json(folder / "config.json", id2label=labels)
    with pytest.raises(BundleError, match="id2label"):
        Bundle.open(folder).labels  # noqa: B018


def test_labels_are_ordered_by_number(folder):
    edit_json(
        folder / "config.json", id2label={str(index): f"L{index}" for index in (10, 2, 0, 1, 9, 3, 8, 4, 7, 5, 6)}
    )
    assert Bundle.open(folder).labels == [f"L{index}" for index in range(11)]


@pytest.mark.parametrize(
    ("config", "tokenizer", "expected"),
    [
        ({"max_position_embeddings": 512}, {}, 512),
        ({"max_position_embeddings": 512}, {"model_max_length": 128}, 128),
        ({"max_position_embeddings": 64}, {"model_max_length": 128}, 64),
        ({"max_position_embeddings": 514, "model_type": "roberta", "pad_token_id": 1}, {}, 512),
        ({"max_position_embeddings": 514, "model_type": "xlm-roberta", "pad_token_id": 1}, {}, 512),
        ({"max_position_embeddings": 514, "model_type": "mpnet", "pad_token_id": 1}, {}, 512),
        ({"max_position_embeddings": -1}, {"model_max_length": 1e30}, None),
        ({}, {}, None),
        ({}, {"model_max_length": 7}, 7),
    ],
)
def test_length_limit_of_an_adopted_folder(folder, config, tokenizer, expected):
    edit_json(folder / "config.json", **config)
    edit_json(folder / "tokenizer_config.json", **tokenizer)
    assert Bundle.open(folder).tokenizer.max_length == expected


def test_pickling_opens_the_bundle_again(folder):
    variant(folder, "onnx/model_fp16.onnx", 2)
    bundle = Bundle.open(folder, dtype="fp16", threads=1)
    assert logits(bundle) == [[0, 2]]
    copy = pickle.loads(pickle.dumps(bundle))
    assert (logits(copy), copy.dtype(), copy.settings) == ([[0, 2]], "fp16", bundle.settings)


def test_replayed_inputs_are_those_recorded(folder):
    assert reference(folder, GOOD).outputs["logits"]["values"] == [0, 1]


def test_another_working_directory_does_not_move_a_bundle(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder.parent)
    bundle = Bundle.open(folder.name)
    monkeypatch.chdir(tmp_path.parent)
    assert bundle.session().inputs
