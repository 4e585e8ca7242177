"""A report of a bundle's variants as a table, as JSON and as a picture."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.quantize.bundles import WORDS, classifier, texts
from torchless import Bundle
from torchless.errors import InputError, MissingDependencyError, OptionError
from torchless.quantize.drift import Drift
from torchless.quantize.evaluation import Scores
from torchless.quantize.measure import STEPS, Measured, answer_ms
from torchless.quantize.plot import plot, quality
from torchless.quantize.report import report
from torchless.quantize.reported import Line, Report, aligned
from torchless.quantize.samples import Feeds, record
from torchless.quantize.variants import quantize

pytestmark = pytest.mark.filterwarnings("ignore::torchless.errors.QuantizationWarning")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = classifier(tmp_path_factory.mktemp("report") / "bundle")
    quantize(folder, ["int8", "q4"], recommend=False)
    return folder


@pytest.fixture(scope="module")
def feeds(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Feeds:
    return record(Bundle.open(bundle, dtype="fp32"), texts(tmp_path_factory.mktemp("texts") / "texts.txt"))


@pytest.fixture(scope="module")
def labelled(bundle: Path) -> Path:
    """Texts with the labels that float32 gives, but for one of four."""
    from torchless import pipeline

    answer = pipeline("text-classification", bundle, dtype="fp32")
    rows = [f"{first} {second}" for first in WORDS for second in WORDS]
    labels = [found["label"] for found in answer(rows)]
    wrong = {"NEG": "POS", "POS": "NEG"}
    lines = [
        {"text": text, "label": wrong[label] if place % 4 == 0 else label}
        for place, (text, label) in enumerate(zip(rows, labels, strict=True))
    ]
    path = bundle.parent / "labelled.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def test_report(bundle: Path, feeds: Feeds, labelled: Path) -> None:
    found = report(bundle, ["int8", "q4"], feeds, labelled, threads=1, seconds=0.05)
    assert [line.name for line in found.lines] == ["fp32", "int8", "q4"]
    first, int8, q4 = found.lines
    assert (first.size, first.speed, first.lost, first.drift.max) == (1, 1, 0, 0)
    assert first.scores is not None
    assert first.scores.values["accuracy"] == 0.75
    assert first.bytes == (bundle / "onnx" / "model.onnx").stat().st_size
    assert int8.size == int8.bytes / first.bytes
    assert q4.bytes < int8.bytes < first.bytes
    assert int8.ms == pytest.approx(first.ms / int8.speed)
    assert 0 < int8.drift.relative < q4.drift.relative
    for line in (int8, q4):
        assert line.scores is not None
        assert line.lost == pytest.approx(100 * (0.75 - line.scores.values["accuracy"]))
    assert (
        found.data == {"name": "labelled.jsonl", "sha256": found.data["sha256"], "examples": 64}
        if found.data
        else False
    )
    assert found.inputs["name"] == "texts.txt"


def test_text(bundle: Path, feeds: Feeds, labelled: Path) -> None:
    text = report(bundle, ["int8"], feeds, labelled, threads=1, seconds=0.05, memory=False).to_text()
    title, heading, first, second, *notes = text.splitlines()
    assert title.startswith("bundle: text-classification; ")
    assert "1 threads, onnxruntime" in title
    assert heading.split() == "variant MiB size load MiB ms speed max mean cosine same accuracy f1 macro lost".split()
    assert first.split()[:4] == ["fp32", f"{(bundle / 'onnx' / 'model.onnx').stat().st_size / 2**20:.1f}", "100%", "-"]
    assert "75.0%" in first
    assert second.startswith("int8")
    assert len({len(line) for line in (heading, first, second)}) == 1
    assert "20 inputs of texts.txt" in notes[0]
    assert "64 rows of labelled.jsonl; lost: points of accuracy" in notes[1]


def test_without_a_file(bundle: Path, feeds: Feeds) -> None:
    found = report(bundle, [{"model": "q4"}], feeds, seconds=0.05, memory=False)
    assert [line.name for line in found.lines] == ["fp32", "model=q4"]
    assert found.lines[1].lost is None
    assert found.data is None
    assert "accuracy" not in found.to_text()
    assert quality(found)[0] == "same answers as fp32, %"


def test_json(bundle: Path, feeds: Feeds, labelled: Path) -> None:
    found = report(bundle, ["int8"], feeds, labelled, seconds=0.05, memory=False, metrics=["f1_macro"])
    content = json.loads(found.to_json())
    assert content["lines"][1]["graphs"]["model"]["dtype"] == "int8"
    assert content["lines"][1]["scores"]["primary"] == "f1_macro"
    assert content["lines"][1]["drift"]["cosine"] == found.lines[1].drift.cosine
    assert content["machine"]["threads"] >= 1
    broken = replace(found.lines[1], drift=replace(found.lines[1].drift, max=float("nan"), mean=float("inf")))
    content = json.loads(replace(found, lines=(broken,)).to_json())
    assert content["lines"][0]["drift"]["max"] is content["lines"][0]["drift"]["mean"] is None


def test_mistakes(bundle: Path, feeds: Feeds, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="has no variant 'q8'"):
        report(bundle, ["q8"], feeds)
    with pytest.raises(OptionError, match="has no variant"):
        report(bundle, [{"decoder_model": "q4"}], feeds)
    with pytest.raises(OptionError, match="give one"):
        report(bundle, ["q4"], feeds, metrics=["accuracy"])
    wrong = tmp_path / "rows.csv"
    wrong.write_text("text\ngood\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2 of .*rows.csv: field 'label' is missing"):
        report(bundle, ["q4"], feeds, wrong)
    wrong.write_text("text,label\ngood,POS\n", encoding="utf-8")
    with pytest.raises(OptionError, match="text-classification has accuracy, f1_macro"):
        report(bundle, ["q4"], feeds, wrong, metrics=["bleu"])


NONE = Drift(0.0, 0.0, 1.0, 0.0, 1.0)


def measured(ms: float, baseline_ms: float) -> Measured:
    return Measured("q8", 1, 2, None, ms, baseline_ms, baseline_ms / ms, NONE)


def test_time_of_an_answer() -> None:
    assert answer_ms({"model": 2.0}) == 2
    assert answer_ms({"encoder_model": 2.0, "decoder_model": 1.0}) == 2 + STEPS * 1
    assert answer_ms({"decoder_model": 1.0, "other": 3.0}) == 4


def test_columns_are_aligned() -> None:
    assert aligned([["a", "bb"], ["ccc", "d"]]) == ["a    bb", "ccc   d"]


def line(name: str, speed: float, value: float, size: int) -> Line:
    scores = Scores({"word_error_rate": value}, "word_error_rate", 5)
    return Line(name, {}, size, None, 1 / speed, size / 10**6, speed, NONE, scores, None)


@pytest.fixture
def several() -> Report:
    lines = [("fp32", 1.0, 0.2, 10**6), ("int8", 2.0, 0.21, 10**5), ("q8", 0.5, 0.2, 10**5), ("q4", 2.1, 0.21, 10**4)]
    machine = {"processor": "x86_64", "threads": 2, "onnxruntime": "1.31"}
    return Report("talk", "asr", tuple(line(*numbers) for numbers in lines), {}, None, machine)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_picture(several: Report, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    path = plot(several, tmp_path / f"plot{suffix}")
    content = path.read_bytes()
    assert content.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])
    assert len(content) > 10_000


def test_picture_names_every_variant_once_and_apart(
    several: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names in the left half do not lie on each other, and what is better is drawn higher."""
    pytest.importorskip("matplotlib")
    from matplotlib import figure

    figures = []
    monkeypatch.setattr(figure.Figure, "savefig", lambda self, path: figures.append(self))
    plot(several, tmp_path / "plot.png")
    figures[0].canvas.draw()
    axes = figures[0].axes[0]
    boxes = {text.get_text().split()[0]: text.get_window_extent() for text in axes.texts}
    assert set(boxes) == {"fp32", "int8", "q8", "q4"}
    pairs = [(a, b) for a in boxes for b in boxes if a < b]
    assert [pair for pair in pairs if boxes[pair[0]].overlaps(boxes[pair[1]])] == []
    bottom, top = axes.get_ylim()
    assert bottom > top  # word errors
    assert [text.get_text() for text in figures[0].axes[1].get_yticklabels()] == ["fp32", "int8", "q8", "q4"]


def test_what_a_picture_needs(several: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match=r"ends in \.png, \.svg, \.pdf"):
        plot(several, tmp_path / "plot.gif")
    with pytest.raises(OptionError, match="no such folder"):
        plot(several, tmp_path / "none" / "plot.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"torchless\[report\]"):
        plot(several, tmp_path / "plot.png")
