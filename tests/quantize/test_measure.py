"""Drift, agreement, size, memory and time of variants, on graphs whose outputs are chosen by hand."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.runtime.factories import PAD, file_spec, graph_spec, make_bundle, save_graph, write_manifest
from tests.runtime.generation_factories import make_causal, make_seq2seq
from torchless import Bundle
from torchless.errors import OptionError
from torchless.files import graph_bytes
from torchless.quantize.drift import Comparison, drift
from torchless.quantize.forced import Forced, continues
from torchless.quantize.measure import compare, outputs_drift
from torchless.quantize.samples import Feeds
from torchless.session import Session


def test_drift_by_hand() -> None:
    comparison = Comparison()
    comparison.add(np.array([[3.0, 4.0], [1.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 2.0]]))
    found = comparison.drift()
    assert (found.max, found.mean) == (2, 3 / 4)
    assert found.cosine == pytest.approx((1 + 0) / 2)
    assert found.relative == pytest.approx(np.sqrt(5 / 26))
    assert found.agreement == 0.5
    assert Comparison().drift().agreement is None


def test_infinities_that_are_equal_are_no_drift_and_nan_is() -> None:
    comparison = Comparison()
    comparison.add(np.array([[1.0, -np.inf]]), np.array([[1.5, -np.inf]]))
    assert comparison.drift().max == 0.5
    comparison.add(np.array([[1.0, 2.0]]), np.array([[np.nan, 2.0]]))
    assert np.isnan(comparison.drift().max)
    assert np.isnan(comparison.drift().relative)


def test_one_number_chooses_nothing() -> None:
    comparison = Comparison()
    comparison.add(np.array([[1.0]]), np.array([[2.0]]))
    assert comparison.drift().agreement is None


def edit_table(source: Path, target: Path, change: np.ndarray) -> None:
    """The same graph with another table: rows of the change are added."""
    model = onnx.load(source)
    (table,) = [value for value in model.graph.initializer if value.name in ("table", "meaning")]
    changed = numpy_helper.to_array(table) + change.astype(np.float32)
    table.CopyFrom(numpy_helper.from_array(changed, table.name))
    onnx.save(model, target)


def sessions(folder: Path, task: str, rows: dict[str, list[float]], change: np.ndarray) -> tuple[Session, Session]:
    make_bundle(folder, task, rows)
    path = folder / "onnx" / "model.onnx"
    edit_table(path, path.with_name("model_q8.onnx"), change)
    return Session(path), Session(path.with_name("model_q8.onnx"))


def test_padded_places_do_not_count(tmp_path: Path) -> None:
    change = np.zeros((6, 3))
    change[PAD] = [0, 0, 9]
    change[5] = [0.5, 0, 0]
    pair = sessions(tmp_path, "token-classification", {"a": [2.0, 1.0, 0.0]}, change)
    feed = {"input_ids": np.array([[5, 5], [5, PAD]]), "attention_mask": np.array([[1, 1], [1, 0]])}
    found = drift(*pair, [feed])
    assert (found.max, found.agreement) == (0.5, 1)
    assert drift(*pair, [feed | {"attention_mask": np.ones((2, 2))}]).max == 9


def test_padded_places_are_no_answer(tmp_path: Path) -> None:
    change = np.zeros((6, 2))
    change[PAD] = 9
    pair = sessions(tmp_path, "question-answering", {"a": [2.0, 1.0]}, change)
    feed = {"input_ids": np.array([[5, 1, 5, PAD]]), "attention_mask": np.array([[1, 1, 1, 0]])}
    found = drift(*pair, [feed])
    assert (found.max, found.agreement) == (0, 1)


def test_frames_of_a_padded_sound_do_not_count(tmp_path: Path) -> None:
    """Half as many frames as samples; those of the padding differ."""
    text = """(
        float[rows, samples] input_values, int64[rows, samples] attention_mask
    ) => (float[rows, frames, 2] logits) {{
        shape = Constant<value_ints = [0, -1, 2]>()
        pairs = Reshape(input_values, shape)
        shift = Constant<value_floats = [{0}, 0.0]>()
        limit = Constant<value_float = 5.0>()
        silent = Greater(pairs, limit)
        noise = Where(silent, shift, zero)
        logits = Add(pairs, noise)
    }}"""
    constants = {"zero": np.zeros(2, np.float32)}
    paths = [save_graph(tmp_path / f"{shift}.onnx", text.format(shift), constants) for shift in ("0.0", "3.0")]
    values = np.array([[1, 2, 3, 4, 9, 9]], np.float32)
    feed = {"input_values": values, "attention_mask": np.array([[1, 1, 1, 1, 0, 0]])}
    assert drift(Session(paths[0]), Session(paths[1]), [feed]).max == 0
    feed["attention_mask"] = np.array([[1, 1, 1, 1, 1, 0]])
    assert drift(Session(paths[0]), Session(paths[1]), [feed]).max == 3


def test_outputs_that_are_no_logits_all_count(tmp_path: Path) -> None:
    pair = sessions(tmp_path, "feature-extraction", {"a": [2.0, 1.0]}, np.full((6, 2), 0.25))
    found = drift(*pair, [{"input_ids": np.array([[5]]), "attention_mask": np.array([[1]])}])
    assert (found.max, found.agreement) == (0.25, None)


@pytest.fixture
def causal(tmp_path: Path) -> Path:
    """Bytes in a circle: a, b, c, a; the variant says d after c."""
    follow = {"a": {"b": 5.0, "c": 1.0}, "b": {"c": 5.0, "a": 1.0}, "c": {"a": 5.0, "d": 4.0}, "d": {"</s>": 1.0}}
    folder = make_causal(tmp_path, follow)
    names = Bundle.open(folder).tokenizer
    (c,), (d,) = names("c")["input_ids"][0], names("d")["input_ids"][0]
    change = np.zeros((len(names), len(names)))
    change[c, d] = 2
    edit_table(folder / "onnx" / "model.onnx", folder / "onnx" / "model_q4.onnx", change)
    return folder


def prompts(folder: Path, *texts: str) -> Feeds:
    batch = Bundle.open(folder).tokenizer(list(texts))
    return Feeds({"model": [{name: batch[name] for name in ("input_ids", "attention_mask")}]}, {})


def test_a_variant_reads_what_the_other_one_wrote(causal: Path) -> None:
    """Greedy continuations of 12 tokens, c in a third of them: after each c the variant would say d, and comes back."""
    base, variant = Bundle.open(causal, dtype="fp32"), Bundle.open(causal, dtype="q4")
    assert continues(base)
    found = outputs_drift(base, variant, prompts(causal, "ab", "b"))
    assert found.agreement == pytest.approx(2 / 3)
    assert found.max == 2
    assert outputs_drift(base, base, prompts(causal, "ab")).agreement == 1


def test_what_follows_an_end_does_not_count(causal: Path) -> None:
    base, variant = Bundle.open(causal, dtype="fp32"), Bundle.open(causal, dtype="q4")
    found = outputs_drift(base, variant, prompts(causal, "d", "ab"))  # d: one token, the end
    assert found.agreement == pytest.approx((1 + 8) / (1 + 12))


def test_an_encoder_is_judged_by_what_is_said_after_it(tmp_path: Path) -> None:
    folder = make_seq2seq(tmp_path, {"eins": {"one": 3.0}, "zwei": {"two": 3.0}})
    names = Bundle.open(folder).tokenizer
    assert names.decode([5]) == "two"
    batch = names(["eins zwei", "zwei"])
    change = np.zeros((len(names), len(names)))
    change[names("zwei")["input_ids"][0, 0], 5] = -9  # of "two", the second word after the special tokens
    edit_table(folder / "onnx" / "encoder_model.onnx", folder / "onnx" / "encoder_model_q8.onnx", change)
    feeds = Feeds({"encoder_model": [{name: batch[name] for name in ("input_ids", "attention_mask")}]}, {})
    base = Bundle.open(folder, dtype="fp32")
    variant = Bundle.open(folder, dtype={"encoder_model": "q8", "decoder_model": "fp32"})
    found = Forced(base, feeds.by_role).drift(variant)
    assert found.max == pytest.approx(9, abs=1e-4)
    assert found.agreement is not None
    assert 0 < found.agreement < 1


def test_nothing_to_continue(causal: Path) -> None:
    with pytest.raises(OptionError, match="no recorded inputs of model"):
        Forced(Bundle.open(causal), {})


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    folder = make_bundle(tmp_path, "text-classification", {"a": [2.0, 0.0], "b": [0.0, 1.0]}, ["A", "B"])
    path = folder / "onnx" / "model.onnx"
    change = np.zeros((7, 2))
    change[6] = [3, 0]
    edit_table(path, path.with_name("model_q8.onnx"), change)
    write_manifest(folder, "text-classification")
    return folder


FEEDS = Feeds({"model": [{"input_ids": np.array([[5], [6]]), "attention_mask": np.ones((2, 1), np.int64)}]}, {})


@pytest.mark.parametrize("manifest", [True, False])
def test_compare(classifier: Path, manifest: bool) -> None:
    if not manifest:
        (classifier / "torchless.json").unlink()
    found = compare(classifier, {"model": "q8"}, FEEDS, threads=1, seconds=0.05)["model"]
    sizes = [(classifier / "onnx" / name).stat().st_size for name in ("model_q8.onnx", "model.onnx")]
    assert [found.bytes, found.baseline_bytes] == sizes
    assert (found.drift.max, found.drift.agreement) == (3, 0.5)
    assert found.ratio == pytest.approx(found.baseline_ms / found.ms)
    assert 0 < found.ms < 1000
    if sys.platform == "linux":
        assert found.load_mib is not None
        assert 0 < found.load_mib < 1000


def test_a_slow_graph_is_told_to_be_slow(tmp_path: Path) -> None:
    """The variant multiplies a large matrix forty times."""
    text = "(float[rows, 400] x) => (float[rows, 400] logits) {{ {} }}"
    once = "logits = MatMul(x, w)"
    often = (
        "y0 = MatMul(x, w) " + " ".join(f"y{n} = MatMul(y{n - 1}, w)" for n in range(1, 40)) + " logits = Identity(y39)"
    )
    for name, body in (("model.onnx", once), ("model_q8.onnx", often)):
        save_graph(tmp_path / "onnx" / name, text.format(body), {"w": np.eye(400, dtype=np.float32)})
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    feeds = Feeds({"model": [{"x": np.ones((64, 400), np.float32)}]}, {})
    found = compare(tmp_path, {"model": "q8"}, feeds, threads=1, seconds=0.2, memory=False)["model"]
    assert found.ratio < 0.3
    assert found.drift.max < 1e-4
    assert found.load_mib is None


def test_weights_beside_a_graph_count(classifier: Path) -> None:
    weights = classifier / "onnx" / "model.onnx.data"
    weights.write_bytes(bytes(1000))
    graph = graph_spec(classifier, "onnx/model.onnx")
    graphs = {
        "fp32": type(graph)(graph.model, (file_spec(classifier, "onnx/model.onnx.data"),), graph.inputs, graph.outputs)
    }
    write_manifest(classifier, "text-classification", graphs={"model": graphs})
    size = (classifier / "onnx" / "model.onnx").stat().st_size
    assert graph_bytes(Bundle.open(classifier), "model") == size + 1000
    (classifier / "torchless.json").unlink()
    assert graph_bytes(Bundle.open(classifier), "model") == size + 1000


def test_mistakes(classifier: Path) -> None:
    with pytest.raises(OptionError, match="no recorded inputs of model"):
        compare(classifier, {"model": "q8"}, Feeds({}, {}))
    with pytest.raises(OptionError, match="no 'q4' variant"):
        compare(classifier, {"model": "q4"}, FEEDS)
