"""The fastest variant inside a budget: what is tried, what is excluded, and when nothing will do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.quantize.bundles import WORDS, contents, texts
from tests.runtime.factories import make_bundle, reference, save_graph, write_manifest
from torchless import Bundle
from torchless.errors import BundleError, OptionError, QuantizationError
from torchless.quantize import hunt as module
from torchless.quantize import measure
from torchless.quantize.hunt import Choice
from torchless.quantize.samples import Feeds, record
from torchless.quantize.schemes import Scheme
from torchless.quantize.search import points, search
from torchless.quantize.staging import staged
from torchless.quantize.trials import Trials
from torchless.quantize.variants import quantize

pytestmark = pytest.mark.filterwarnings("ignore::torchless.errors.QuantizationWarning")


GRAPH = """(int64[batch, length] input_ids, int64[batch, length] attention_mask) => (float[batch, 2] logits) {
    rows = Gather(table, input_ids)
    axis = Constant<value_ints = [1]>()
    sums = ReduceSum<keepdims = 0>(rows, axis)
    a = MatMul(sums, first_weight)
    b = Relu(a)
    c = MatMul(b, inner_weight)
    d = Relu(c)
    e = MatMul(d, last_weight)
    f = Relu(e)
    logits = MatMul(f, small_weight)
}"""
WIDTH = 128


def write_graph(bundle: Path, spread: float = 1.0) -> None:
    """Three products; the rows of the second one's weights differ by a factor, one in sixteen from the others."""
    chance = np.random.default_rng(0)
    weights = {"table": chance.normal(size=(len(WORDS) + 5, WIDTH)).astype(np.float32)}
    for name in ("first", "inner", "last"):
        weights[f"{name}_weight"] = (chance.normal(size=(WIDTH, WIDTH)) / np.sqrt(WIDTH)).astype(np.float32)
    weights["small_weight"] = chance.normal(size=(WIDTH, 2)).astype(np.float32)
    weights["inner_weight"][::16] *= spread
    save_graph(bundle / "onnx" / "model.onnx", GRAPH, weights)
    write_manifest(bundle, "text-classification", references=(reference(bundle, [[2, 5, 6, 3], [2, 7, 8, 3]]),))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = make_bundle(tmp_path / "bundle", "text-classification", dict.fromkeys(WORDS, (0.0, 0.0)), ("NEG", "POS"))
    write_graph(folder)
    return folder


@pytest.fixture
def feeds(bundle: Path, tmp_path: Path) -> Feeds:
    return record(Bundle.open(bundle, dtype="fp32"), texts(tmp_path / "texts.txt"))


@pytest.mark.parametrize(("drop", "value"), [("0.5%", 0.5), ("2", 2.0), (" 1.5 %", 1.5), (0, 0.0), (0.25, 0.25)])
def test_budgets(drop: str | float, value: float) -> None:
    assert points(drop) == value


@pytest.mark.parametrize("drop", ["", "half", "-1%", "nan", "inf", None, True, -0.1])
def test_wrong_budgets(drop: object) -> None:
    with pytest.raises(OptionError, match=r"such as 0\.5%"):
        points(drop)  # type: ignore[arg-type]


def test_least_number_that_fits() -> None:
    for most in range(0, 20):
        for least in range(1, 25):
            asked: list[int] = []

            def fits(count: int, asked: list[int] = asked, least: int = least) -> bool:
                asked.append(count)
                return count >= least

            assert module._least(most, fits) == (least if least <= most else None)
            assert len(asked) == len(set(asked)) <= 12


def test_groups_follow_the_graph() -> None:
    names = [str(number) for number in range(40)]
    groups = module._grouped(names)
    assert len(groups) == 16
    assert [name for group in groups for name in group] == names
    assert {len(group) for group in groups} == {2, 3}
    assert module._grouped(names[:3]) == [("0",), ("1",), ("2",)]


def test_the_bundle_stays_as_it_is(bundle: Path, feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_times", lambda *arguments: [2.0, 1.0])
    before = contents(bundle)
    found = search(bundle, "50%", feeds, threads=1, seconds=0.02)
    assert contents(bundle) == before
    assert found.choice.schemes.keys() == {"model"}
    assert found.choice.lost is not None
    assert found.choice.lost <= 50
    assert found.metric == "the same answers"
    made = quantize(bundle, found.choice.schemes, recommend=False)
    assert [variant.role for variant in made] == ["model"]


def speeds(monkeypatch: pytest.MonkeyPatch, **chosen: float) -> None:
    """Let schemes have these speeds, as measured ones differ from run to run."""
    make = Trials.make

    def made(self: Trials, role: str, scheme: Scheme):  # type: ignore[no-untyped-def]
        trial = make(self, role, scheme)
        if trial is None:
            return None
        ratio = chosen[scheme.name] - 0.1 * len(scheme.exclude) + (0.05 if scheme.rest is not None else 0)
        return replace(trial, measured=replace(trial.measured, ratio=ratio, baseline_ms=1.0, ms=1 / ratio))

    monkeypatch.setattr(Trials, "make", made)


def losses(monkeypatch: pytest.MonkeyPatch, rule: "dict[str, float]", cured_by: str = "", gentle: float = 0.0) -> None:
    """Let schemes lose these points, but what excludes a weight: nothing, or ``gentle`` where the rest has a scheme."""

    def lost(self: Trials, trials):  # type: ignore[no-untyped-def]
        (trial,) = trials.values()
        if cured_by and cured_by in trial.scheme.exclude:
            return gentle if trial.scheme.rest is not None else 0.0
        return rule[trial.scheme.name]

    monkeypatch.setattr(Trials, "lost", lost)


def test_the_fastest_inside_is_taken(bundle: Path, feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    speeds(monkeypatch, int8=3.0, q8=2.0, q4=1.5)
    losses(monkeypatch, {"int8": 5.0, "q8": 0.5, "q4": 0.1})
    found = search(bundle, "0.5%", feeds, schemes=["q4", "int8", "q8"], seconds=0.01)
    assert found.choice.schemes["model"].name == "q8"
    assert (found.choice.speed, found.choice.lost) == (pytest.approx(2), 0.5)
    names = [choice.schemes["model"].name for choice in found.tried]
    assert names == ["int8", "q8", "int8", "int8"]  # from the fastest on, which is then repaired in vain
    assert [len(choice.schemes["model"].exclude) for choice in found.tried] == [0, 0, 1, 2]


def test_a_sensitive_weight_is_excluded(bundle: Path, feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    write_graph(bundle, spread=40.0)
    speeds(monkeypatch, int8=3.0, q8=2.0)
    losses(monkeypatch, {"int8": 5.0, "q8": 0.0}, cured_by="inner_weight", gentle=1.0)
    found = search(bundle, 0.5, feeds, schemes=["int8", "q8"], seconds=0.01)
    scheme = found.choice.schemes["model"]
    assert (scheme.name, scheme.exclude, scheme.rest) == ("int8", ("inner_weight",), None)
    assert found.choice.lost == 0


def test_or_goes_through_a_gentler_scheme(bundle: Path, feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    write_graph(bundle, spread=40.0)
    speeds(monkeypatch, q4=3.0)
    losses(monkeypatch, {"q4": 5.0}, cured_by="inner_weight", gentle=0.2)
    found = search(bundle, 0.5, feeds, schemes=["q4"], seconds=0.01)
    scheme = found.choice.schemes["model"]
    assert scheme.exclude == ("inner_weight",)
    assert scheme.rest is not None
    assert scheme.rest.name == "q8"
    (made,) = quantize(bundle, {"model": scheme}, recommend=False)
    account = made.graph.quantization or {}
    assert set(account["quantized"]) == {"first_weight", "inner_weight", "last_weight"}
    graph = onnx.load(bundle / made.graph.model.file).graph
    bits = [attribute.i for node in graph.node for attribute in node.attribute if attribute.name == "bits"]
    assert sorted(bits) == [4, 4, 8]
    assert account["options"]["rest"]["scheme"] == "q8"


def test_the_weight_whose_rounding_costs_most_comes_first(bundle: Path, feeds: Feeds) -> None:
    write_graph(bundle, spread=40.0)
    with staged(bundle) as staging:
        trials = Trials(staging, feeds, None, None, 1, 0.01)
        whole = trials.make("model", Scheme("q4"))
        assert whole is not None
        hunt = module.Hunt(trials, 0.0, lambda step, seconds: None)
        order = [group for _, group in hunt._sensitive({"model": whole})]
        without = {name: trials.drift("model", Scheme("q4", exclude=(name,))).relative for name in whole.weights}
    assert set(without) == {"first_weight", "inner_weight", "last_weight"}
    assert [name for group in order for name in group] == sorted(without, key=lambda name: without[name])
    assert order[0] == ("inner_weight",)


def test_nothing_is_inside(bundle: Path, feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(bundle)
    speeds(monkeypatch, int8=3.0, q4=2.0)
    losses(monkeypatch, {"int8": 5.0, "q4": 2.5})
    with pytest.raises(
        QuantizationError, match=r"within 0\.5 points of the same answers; nearest came model q4.*2\.50 points"
    ):
        search(bundle, "0.5%", feeds, schemes=["int8", "q4"], seconds=0.01)
    assert contents(bundle) == before


def test_equal_speeds_are_decided_by_size() -> None:
    large, small = Choice({}, 2.0, None, 200), Choice({}, 1.99, None, 100)
    assert module._order(small) < module._order(large)
    assert module._order(Choice({}, 3.0, None, 300)) < module._order(small)


def test_what_is_slower_than_float32_is_refused(bundle: Path, feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    speeds(monkeypatch, int8=0.9, q8=0.8)
    losses(monkeypatch, {"int8": 0.0, "q8": 0.0})
    with pytest.raises(QuantizationError, match=r"nothing is as fast as float32 here; nearest came model int8: 0\.90 "):
        search(bundle, "0.5%", feeds, schemes=["q8", "int8"], seconds=0.01)
    speeds(monkeypatch, int8=3.0, q8=0.8)
    losses(monkeypatch, {"int8": 5.0, "q8": 0.0})
    with pytest.raises(QuantizationError, match=r"nearest came model int8.*5\.00 points.*slower than float32 here"):
        search(bundle, "0.5%", feeds, schemes=["q8", "int8"], seconds=0.01)
    speeds(monkeypatch, q8=0.99)
    found = search(bundle, "0.5%", feeds, schemes=["q8"], seconds=0.01)
    assert found.choice.schemes["model"].name == "q8", "as fast, and smaller"


def test_nothing_to_quantize(bundle: Path, feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trials, "make", lambda *arguments: None)
    with pytest.raises(QuantizationError, match="no scheme finds anything to quantize"):
        search(bundle, 1, feeds, seconds=0.01)


def test_a_labelled_file_counts(bundle: Path, feeds: Feeds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_times", lambda *arguments: [2.0, 1.0])
    table = tmp_path / "rows.tsv"
    table.write_text("text\tlabel\n" + "".join(f"{word}\tPOS\n" for word in WORDS), encoding="utf-8")
    found = search(bundle, "100%", feeds, metric_file=table, metrics=["f1_macro"], seconds=0.01, schemes=["q8"])
    assert found.metric == "f1 macro"
    assert len(found.tried) == 1


def test_mistakes(bundle: Path, feeds: Feeds, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="expected one of int8"):
        search(bundle, 1, feeds, schemes=["int4"])
    with pytest.raises(OptionError, match="no recorded inputs of model"):
        search(bundle, 1, Feeds({}, {}))
    with pytest.raises(OptionError, match="give one"):
        search(bundle, 1, feeds, metrics=["accuracy"])
    with pytest.raises(OptionError, match="no file at"):
        search(bundle, 1, feeds, metric_file=tmp_path / "none.csv")
    (bundle / "torchless.json").unlink()
    with pytest.raises(BundleError, match=r"needs a bundle with torchless\.json"):
        search(bundle, 1, feeds)
