"""``torchless quantize``, and what ``torchless info`` says of variants."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.quantize.bundles import WORDS, classifier, contents, texts
from tests.runtime.factories import make_bundle
from torchless import Bundle, QuantizationError, cli_quantize
from torchless.quantize import checking

pytestmark = pytest.mark.filterwarnings("ignore::torchless.QuantizationWarning")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(checking, "_TIMED_SECONDS", 0.01)
    show = warnings.showwarning  # which the command replaces
    yield
    warnings.showwarning = show


@pytest.fixture
def folder(tmp_path):
    return classifier(tmp_path / "bundle")


def test_the_default_scheme(run, folder):
    status, out, _ = run("quantize", folder)
    assert status == 0
    head, row, *rest = out.splitlines()
    assert head.split() == ["graph", "variant", "size", "speed", "drift", "same", "weights"]
    assert row.split()[:2] == ["model", "int8"]
    assert row.endswith("1 quantized, 2 left")
    assert rest[0] == "dtype=auto picks fp32 for model on the CPU"
    assert "--calibrate" in rest[1]
    assert Bundle.open(folder).dtypes == {"model": ["fp32", "int8"]}


def test_several_schemes_as_json(run, folder, tmp_path):
    arguments = ["--scheme", "int8-static", "model=q4", "--block-size", "64", "--asymmetric", "--method", "entropy"]
    source = texts(tmp_path / "texts.txt")
    status, out, _ = run("quantize", folder, *arguments, "--calibrate", source, "--limit", "17", "--json")
    assert status == 0
    static, blocks = json.loads(out)
    assert (static["role"], static["dtype"], blocks["dtype"]) == ("model", "int8-static", "q4")
    assert static["options"]["method"] == "entropy"
    assert static["calibration"]["count"] == 17
    assert (blocks["options"]["block_size"], blocks["options"]["symmetric"]) == (64, False)
    assert blocks["bytes"] == (folder / blocks["files"][0]).stat().st_size
    assert blocks["quantized"] == {"inner_weight": "MatMulNBits"}


def test_every_option_reaches_its_scheme(run, folder):
    flags = [
        ("int8", ["--no-reduce-range"], {"reduce_range": False}),
        ("int8", ["--reduce-range", "--exclude", "a", "b*"], {"reduce_range": True, "exclude": ["a", "b*"]}),
        ("q8", ["--accuracy-level", "1"], {"accuracy_level": 1}),
        ("int8-static", ["--method", "percentile", "--percentile", "99"], {"method": "percentile", "percentile": 99.0}),
    ]  # fmt: skip
    for scheme, words, expected in flags:
        status, out, err = run("quantize", folder, "--scheme", scheme, *words, "--overwrite", "--json")
        assert status == 0, err
        (found,) = json.loads(out)
        assert expected.items() <= found["options"].items()


def test_a_report(run, folder, tmp_path):
    rows = [{"text": word, "label": label} for word in WORDS for label in ("POS",)]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    report = tmp_path / "report.json"
    words = ["--scheme", "int8", "q8", "--report", report, "--metric-file", tmp_path / "rows.jsonl"]
    status, out, err = run("quantize", folder, *words)
    assert status == 0, err
    assert [line.split()[0] for line in out.splitlines()[2:5]] == ["fp32", "int8", "q8"]
    lines = json.loads(report.read_text(encoding="utf-8"))["lines"]
    assert [line["name"] for line in lines] == ["fp32", "int8", "q8"]
    assert lines[1]["bytes"] < lines[0]["bytes"] / 2
    assert "accuracy" in json.dumps(lines[0]["scores"])


def test_a_plot(run, folder, tmp_path):
    pytest.importorskip("matplotlib")
    status, _, err = run("quantize", folder, "--plot", tmp_path / "plot.png")
    assert status == 0, err
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_budget(run, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("torchless.quantize.measure._times", lambda *arguments: [2.0, 1.0])
    source = texts(tmp_path / "texts.txt")
    status, out, err = run("quantize", folder, "--max-drop", "50%", "--calibrate", source, "--scheme", "int8", "q8")
    assert status == 0, err
    assert "within 50 points" in err
    (made,) = set(Bundle.open(folder).dtypes["model"]) - {"fp32"}
    assert out.splitlines()[1].split()[:2] == ["model", made]


def test_info_tells_of_variants(run, folder):
    run("quantize", folder, "--scheme", "int8", "q4")
    status, out, _ = run("info", folder)
    assert status == 0
    assert "auto         {'cpu': 'fp32', 'cuda': 'fp32'}" in out
    int8, q4 = out.splitlines()[-2:]
    assert int8.startswith("model int8: ")
    assert "1 weights quantized, 2 left" in q4
    assert "times as fast as fp32 on" in q4
    assert "the same on 1 references" in q4
    found = json.loads(run("info", folder, "--json")[1])
    assert found["quantized"]["model"]["q4"]["options"]["block_size"] == 32
    assert found["quantized"]["model"]["q4"]["quantized"] == 1
    assert found["graphs"]["model"]["int8"] == (folder / "onnx" / "model_int8.onnx").stat().st_size


def test_a_variant_answers_on_the_command_line(run, folder):
    run("quantize", folder, "--scheme", "q8")
    full, small = (
        run("run", "text-classification", folder, "good day", "--dtype", dtype, "--json")[1] for dtype in ("fp32", "q8")
    )
    assert json.loads(full)["label"] == json.loads(small)["label"]
    assert "model q8: files intact" in run("verify", folder)[1]


MISTAKES = [
    (["--scheme", "int7"], "scheme 'int7': expected one of"),
    (["--scheme", "decoder_model=int8"], "the graphs are ['model']"),
    (["--scheme", "model=int8", "model=q4"], "two schemes for model: int8 and q4"),
    (["--scheme", "int8", "--block-size", "32"], "option 'block_size' with int8"),
    (["--block-size", "33", "--scheme", "q4"], "block_size=33"),
    (["--calibrate", "{}/nothing.txt"], "no file or folder at"),
    (["--limit", "0"], "limit must be a positive integer"),
    (["--threads", "0"], "threads must be"),
    (["--metric-file", "{}/nothing.jsonl"], "no labelled file at"),
    (["--report", "{}/nowhere/report.json"], "there is no such folder"),
    (["--plot", "{}/plot.jpg"], "a plot is a file that ends in"),
    (["--max-drop", "much"], "a budget is a number of points"),
    (["--max-drop", "1%", "--scheme", "model=int8"], "without roles"),
    (["--max-drop", "1%", "--block-size", "32"], "leave out --block-size"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_status_2(run, folder, arguments, message):
    before = contents(folder)
    status, out, err = run("quantize", folder, *(word.replace("{}", str(folder)) for word in arguments))
    assert (status, out) == (2, "")
    assert err.startswith("torchless: ")
    assert message in err
    assert err.count("\n") == 1
    assert contents(folder) == before


def test_a_wrong_row_is_told_before_anything_is_made(run, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("torchless.quantize.variants.convert_role", lambda *arguments: pytest.fail("converted"))
    monkeypatch.setattr("torchless.quantize.samples.record", lambda *arguments, **options: pytest.fail("recorded"))
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\ngood,POS\nbad,MAYBE\n", encoding="utf-8")
    for words in (["--report"], ["--max-drop", "1%"]):
        status, _, err = run("quantize", folder, "--metric-file", rows, *words)
        assert (status, "line 3 of" in err) == (2, True), err
    rows.write_text("text,label\ngood,POS\n", encoding="utf-8")
    monkeypatch.setattr("torchless.quantize.evaluation.evaluate", lambda *arguments: pytest.fail("answered"))
    for words, message in ((["--scheme", "int7"], "scheme 'int7'"), (["--block-size", "32"], "option 'block_size'")):
        assert message in run("quantize", folder, "--metric-file", rows, *words)[2]


def test_a_row_that_cannot_be_answered_is_told_before_anything_is_made(run, tmp_path, monkeypatch):
    monkeypatch.setattr("torchless.quantize.variants.convert_role", lambda *arguments: pytest.fail("converted"))
    folder = make_bundle(tmp_path / "bundle", "fill-mask", {"[MASK]": [0.0] * 9}, [])
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"text": "{text}", "target": "a"}}\n' for text in ("a [MASK]", "[MASK] [MASK]")))
    status, _, err = run("quantize", folder, "--metric-file", rows)
    assert (status, "one mask, and not 2" in err) == (2, True), err


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--max-drop", "much"], "a budget is a number"), (["--max-drop", "1%", "--scheme", "int7"], "scheme 'int7'")],
)
def test_a_malformed_budget_is_told_before_inputs_are_recorded(run, folder, monkeypatch, words, message):
    monkeypatch.setattr("torchless.quantize.samples.record", lambda *arguments, **options: pytest.fail("recorded"))
    status, _, err = run("quantize", folder, *words)
    assert (status, message in err) == (2, True), err


def test_a_variant_that_is_there(run, folder):
    run("quantize", folder)
    assert "--overwrite" in run("quantize", folder)[2]
    assert "--overwrite" in run("quantize", folder, "--max-drop", "1%")[2]
    assert run("quantize", folder, "--overwrite", "--no-recommend")[0] == 0


def test_no_bundle(run, tmp_path):
    status, _, err = run("quantize", "organisation/name")
    assert (status, "not a hub id" in err) == (2, True)


def test_a_variant_that_drifts(run, folder, monkeypatch):
    monkeypatch.setitem(checking.BOUNDS, "int8", 1e-6)
    status, _, err = run("quantize", folder)
    assert status == 2
    assert "the bound is 1e-06" in err
    with pytest.raises(QuantizationError):
        checking._check("int8 of model", "int8", checking.Drift(1.0, 1.0, 1.0, 1.0, 1.0))


def test_without_onnx_the_extra_is_named(folder):
    code = (
        "import sys; sys.modules['onnx_ir'] = None; from torchless.cli import main;"
        f"sys.exit(main(['quantize', {str(folder)!r}]))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode == 2
    assert "pip install 'torchless[quantize]'" in found.stderr


def test_the_words_of_a_choice():
    assert cli_quantize.choices(["int8", "a=q4", "b=q8"]) == ["int8", {"a": "q4", "b": "q8"}]
    assert cli_quantize.choices([]) == []


def test_a_report_that_cannot_be_written(folder, tmp_path, run, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cli_quantize.Path, "write_text", refuse)
    status, _, err = run("quantize", folder, "--report", tmp_path / "report.json")
    assert status == 2
    assert "cannot write" in err
    assert isinstance(tmp_path, Path)
