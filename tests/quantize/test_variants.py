"""Variants that are added to a bundle: whole or not at all, measured, and entered in its manifest."""

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from torchless import Bundle, QuantizationError, QuantizationWarning, pipeline
from torchless.manifest import Manifest
from torchless.quantize import SCHEMES, Scheme, checking, entries, quantize, staging, variants

from .bundles import classifier, contents, texts

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.filterwarnings("ignore::torchless.QuantizationWarning")]


def manifest_of(folder: Path) -> Manifest:
    found = Manifest.read(folder)
    assert found is not None
    return found


# What the product of the bundle's graph becomes by each scheme.
PRODUCT = {
    "int8": "DynamicQuantizeMatMul", "int8-static": "MatMulIntegerToFloat", "q8": "MatMulNBits", "q4": "MatMulNBits",
    "fp16": "MatMul",
}  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_variant_of_each_scheme(bundle: Path, scheme: str) -> None:
    before = contents(bundle)
    (made,) = quantize(bundle, scheme)
    file = f"onnx/model_{scheme}.onnx"
    after = contents(bundle)
    assert set(after) == {*before, file}
    assert {name for name in before if before[name] != after[name]} == {"torchless.json"}

    graph = manifest_of(bundle).graphs["model"][scheme]
    assert graph == made.graph
    assert graph.model.file == file
    assert graph.model.sha256 == hashlib.sha256(after[file]).hexdigest()
    assert graph.model.bytes < len(before["onnx/model.onnx"]) * (0.6 if scheme == "fp16" else 0.5)
    account = graph.quantization or {}
    assert account["scheme"] == scheme
    assert account["quantized"]["inner_weight"] == PRODUCT[scheme]
    assert PRODUCT[scheme] in {node.op_type for node in onnx.load(bundle / file).graph.node}
    assert 0 <= account["drift"]["relative"] < checking.BOUNDS[scheme]
    assert account["speed"]["ratio"] == pytest.approx(account["speed"]["fp32_ms"] / account["speed"]["ms"])
    assert (account["calibration"] is not None) == (scheme == "int8-static")

    assert {name for name, *_ in Bundle.open(bundle).verify()} == {"model fp32", f"model {scheme}"}
    answers = [pipeline("text-classification", bundle, dtype=dtype)("good day") for dtype in ("fp32", scheme)]
    assert answers[0][0]["label"] == answers[1][0]["label"]
    assert answers[0][0]["score"] == pytest.approx(answers[1][0]["score"], abs=0.2)


def test_several_schemes_with_options_of_their_own(bundle: Path) -> None:
    made = quantize(bundle, ["int8", "q4"], block_size=64, exclude="outer*")
    assert [variant.dtype for variant in made] == ["int8", "q4"]
    graphs = manifest_of(bundle).graphs["model"]
    assert list(graphs) == ["fp32", "int8", "q4"]
    assert (graphs["q4"].quantization or {})["options"]["block_size"] == 64
    assert (graphs["int8"].quantization or {})["options"] == {"reduce_range": False, "exclude": ["outer*"]} | {
        "reduce_range": (graphs["int8"].quantization or {})["options"]["reduce_range"]
    }
    assert graphs["int8"].model.sha256 != graphs["q4"].model.sha256


def test_a_ready_made_scheme_by_role(bundle: Path) -> None:
    (made,) = quantize(bundle, {"model": Scheme.checked("q8", symmetric=False)})
    assert (made.graph.quantization or {})["options"]["symmetric"] is False


def test_calibration_data_is_entered(bundle: Path, tmp_path: Path) -> None:
    source = texts(tmp_path / "texts.txt")
    (made,) = quantize(bundle, "int8-static", calibrate=source, limit=18, method="percentile", percentile=99.5)
    account = made.graph.quantization or {}
    assert account["calibration"]["name"] == "texts.txt"
    assert account["calibration"]["count"] == 18
    assert account["options"]["method"] == "percentile"
    assert account["options"]["percentile"] == 99.5
    assert account["drift"]["on"]["sha256"] == account["calibration"]["sha256"]


def test_overwriting(bundle: Path) -> None:
    quantize(bundle, "q4", block_size=32)
    first = manifest_of(bundle).graphs["model"]["q4"]
    quantize(bundle, "q4", block_size=128, overwrite=True)
    second = manifest_of(bundle).graphs["model"]["q4"]
    assert second.model.bytes < first.model.bytes
    assert Bundle.open(bundle, dtype="q4").verify()


def test_weights_beside_a_large_graph(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchless.quantize.saving._EXTERNAL_ABOVE", 1000)
    (made,) = quantize(bundle, "int8")
    (data,) = made.graph.data
    assert data.file == "onnx/model_int8.onnx.data"
    assert Bundle.open(bundle, dtype="int8").verify()
    monkeypatch.undo()
    (made,) = quantize(bundle, "int8", overwrite=True)
    assert made.graph.data == ()
    assert not (bundle / data.file).exists()
    assert Bundle.open(bundle, dtype="int8").verify()


def test_weights_beside_the_original(bundle: Path) -> None:
    """A small variant of a graph with external weights holds all of its own."""
    path = bundle / "onnx" / "model.onnx"
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    (bundle / "torchless.json").unlink()
    quantize(bundle, "q8", exclude="outer*", calibrate=texts(bundle.parent / "texts.txt"))
    path.unlink()
    (bundle / "onnx" / "model.onnx.data").unlink()
    assert Bundle.open(bundle, dtype="q8").session().run({"input_ids": [[5]], "attention_mask": [[1]]})


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    folder = classifier(tmp_path / "bundle", manifest=False)
    with pytest.warns(QuantizationWarning, match="nothing is recorded"):
        (made,) = quantize(folder, "int8")
    assert made.measured is None
    assert not (folder / "torchless.json").exists()
    assert Bundle.open(folder).dtypes == {"model": ["fp32", "int8"]}
    (static,) = quantize(folder, "int8-static", calibrate=texts(tmp_path / "texts.txt"))
    assert static.measured is not None
    assert Bundle.open(folder, dtype="int8-static").dtype() == "int8-static"


def test_ranges_of_recorded_inputs_are_doubtful(bundle: Path, tmp_path: Path) -> None:
    """They are few and random; what the user names is not."""
    with pytest.warns(QuantizationWarning, match="int8-static of model come from a few recorded inputs"):
        quantize(bundle, "int8-static")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quantize(bundle, "int8-static", calibrate=texts(tmp_path / "texts.txt"), overwrite=True)
        quantize(bundle, "q8")
    assert not any("recorded inputs" in str(warning.message) for warning in caught)


def test_another_process_added_a_variant_meanwhile(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = checking.measured

    def slow(*arguments: Any) -> Any:
        monkeypatch.undo()
        quantize(bundle, "q8")
        return measured(*arguments)

    monkeypatch.setattr(variants, "measured", slow)
    quantize(bundle, "int8")
    assert set(manifest_of(bundle).graphs["model"]) == {"fp32", "int8", "q8"}


# Where a quantization can break off, and what breaks it off there.
STEPS: dict[str, tuple[Any, str]] = {
    "convert": (variants, "convert_role"),
    "save": (variants.saving, "save"),
    "measure": (checking, "compare"),
    "tolerate": (entries, "difference"),
    "recommend": (entries, "recommended"),
    "publish": (staging.Staging, "publish"),
}
FAILURES = [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device"), MemoryError()]


@pytest.mark.parametrize("failure", FAILURES, ids=["interrupted", "disk full", "no memory"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_breaks_off_leaves_the_bundle(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, step: str, failure: BaseException, overwrite: bool
) -> None:
    if overwrite:
        quantize(bundle, "int8")
    before = contents(bundle)

    def fail(*arguments: Any, **options: Any) -> Any:
        raise failure

    monkeypatch.setattr(*STEPS[step], fail)
    expected = QuantizationError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected):
        quantize(bundle, "int8", overwrite=overwrite, exclude="outer*")
    assert contents(bundle) == before


@pytest.mark.parametrize("moved", range(3))
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("failure", FAILURES, ids=["interrupted", "disk full", "no memory"])
def test_files_are_moved_all_or_none(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, moved: int, late: bool, failure: BaseException
) -> None:
    """A failure before or after each move into the bundle: two graphs, of which one is replaced, and the manifest."""
    quantize(bundle, "int8")
    before = contents(bundle)
    replace: Callable[[Path, Path], Path] = Path.replace
    calls: list[Path] = []

    def fail(source: Path, target: Path) -> Path:
        if ".kept" not in str(source):
            calls.append(target)
            if len(calls) == moved + 1:
                if late:
                    replace(source, target)
                raise failure
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(QuantizationError if isinstance(failure, OSError) else type(failure)):
        quantize(bundle, ["int8", "q4"], overwrite=True, exclude="outer*")
    assert contents(bundle) == before
    assert len(calls) == moved + 1
    assert calls[-1].name == ("model_int8.onnx", "model_q4.onnx", "torchless.json")[moved]


def test_links_of_a_cache_survive_a_failure(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the hub's cache a snapshot's files are relative links to others."""
    quantize(bundle, "int8")
    blobs = bundle.parent / "blobs"
    blobs.mkdir()
    shutil.move(bundle / "onnx" / "model_int8.onnx", blobs / "a")
    shutil.move(bundle / "torchless.json", blobs / "b")
    (bundle / "onnx" / "model_int8.onnx").symlink_to("../../blobs/a")
    (bundle / "torchless.json").symlink_to("../blobs/b")
    before = contents(bundle)
    working = staging.Staging(bundle)
    working.fill()
    working.claim("onnx/model_int8.onnx").write_bytes(b"new")
    working.claim("torchless.json").write_bytes(b"new")
    replace: Callable[[Path, Path], Path] = Path.replace

    def fail(source: Path, target: Path) -> Path:
        if target.name == "torchless.json" and ".kept" not in str(source):
            raise OSError(errno.ENOSPC, "full")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="full"):
        working.publish()
    working.remove()
    assert contents(bundle) == before


def test_names_of_a_ready_made_scheme(bundle: Path) -> None:
    (made,) = quantize(bundle, Scheme("q8", exclude="outer*"))  # type: ignore[arg-type]  # as many will write it
    assert (made.graph.quantization or {})["options"]["exclude"] == ["outer*"]


def test_a_file_system_without_links(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Path, "symlink_to", refuse)
    before = contents(bundle)
    quantize(bundle, "int8")
    quantize(bundle, "int8", overwrite=True)
    after = contents(bundle)
    assert after["onnx/model.onnx"] == before["onnx/model.onnx"]
    assert Bundle.open(bundle, dtype="int8").verify()


def test_a_variant_that_drifts_is_refused(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checking.BOUNDS, "q4", 1e-4)
    before = contents(bundle)
    with pytest.raises(QuantizationError, match=r"q4 of model drifts from float32 by 0\.\d+ .* the bound is 0.0001"):
        quantize(bundle, "q4")
    assert contents(bundle) == before


def test_a_variant_of_nonsense_is_refused(bundle: Path) -> None:
    """A calibration that saw next to nothing cuts what the references hold: the outputs drift."""
    model = onnx.load(bundle / "onnx" / "model.onnx")
    table = next(part for part in model.graph.initializer if part.name == "table")
    values = onnx.numpy_helper.to_array(table).copy()
    values[5] = np.nan
    table.CopyFrom(onnx.numpy_helper.from_array(values, "table"))
    onnx.save(model, bundle / "onnx" / "model.onnx")
    (bundle / "torchless.json").unlink()
    with pytest.raises(QuantizationError, match="drifts from float32 by nan"):
        quantize(bundle, "q8", calibrate=texts(bundle.parent / "texts.txt"))


def measures(monkeypatch: pytest.MonkeyPatch, speeds: dict[str, float], agreement: dict[str, float]) -> list[str]:
    """Let variants have these speeds, and choose the same so often; returns what was measured, as it is."""
    compare, found = checking.compare, []

    def measured(folder: Path, dtypes: dict[str, str], *arguments: Any, **options: Any) -> Any:
        found.extend(dtypes.values())
        return {
            role: dataclasses.replace(
                one,
                ratio=speeds[one.dtype],
                drift=dataclasses.replace(one.drift, agreement=agreement.get(one.dtype, 1.0)),
            )
            for role, one in compare(folder, dtypes, *arguments, **options).items()
        }

    monkeypatch.setattr(checking, "compare", measured)
    return found


def test_auto_picks_what_was_measured(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = texts(tmp_path / "texts.txt")
    speeds = {"int8": 1.5, "q8": 1.2, "q4": 3.0}
    found = measures(monkeypatch, speeds, {"q4": 0.9})
    quantize(bundle, "int8")
    assert Bundle.open(bundle).dtype() == "fp32", "recorded inputs are few and arbitrary"
    quantize(bundle, "int8", calibrate=source, overwrite=True, recommend=False)
    assert Bundle.open(bundle).dtype() == "fp32"
    quantize(bundle, ["int8", "q8"], calibrate=source, overwrite=True)
    assert Bundle.open(bundle).dtype() == "int8"
    found.clear()
    quantize(bundle, "q4", calibrate=source)
    assert found == ["q4", "int8"], "what was picked is measured again"
    assert Bundle.open(bundle).dtype() == "int8", "the fastest of those that agree"
    graphs = manifest_of(bundle).graphs["model"]
    runs = {dtype: (graphs[dtype].quantization or {})["speed"]["run"] for dtype in ("int8", "q8", "q4")}
    assert runs["int8"] == runs["q4"] != runs["q8"]
    speeds["int8"] = 1.1
    quantize(bundle, "q8", calibrate=source, overwrite=True)
    assert Bundle.open(bundle).dtype() == "q8", "int8 is slower by now"
    quantize(bundle, "int8", overwrite=True)
    assert Bundle.open(bundle).dtype() == "q8", "it was measured on recorded inputs"
    quantize(bundle, "q8", overwrite=True)
    assert Bundle.open(bundle).dtype() == "fp32", "as what was picked has gone"
    speeds["q8"] = 1.04
    quantize(bundle, "q8", calibrate=source, overwrite=True)
    assert Bundle.open(bundle).dtype() == "fp32"
    assert Bundle.open(bundle, dtype="q4").dtype() == "q4"


def test_what_was_picked_and_does_not_run_is_not_picked_again(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = texts(tmp_path / "texts.txt")
    measures(monkeypatch, {"int8": 2.0, "q8": 1.5}, {})
    quantize(bundle, "int8", calibrate=source)
    assert Bundle.open(bundle).dtype() == "int8"
    (bundle / "onnx" / "model_int8.onnx").unlink()
    quantize(bundle, "q8", calibrate=source)
    assert Bundle.open(bundle).dtype() == "q8"


def test_warnings(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking.hardware, "features", lambda: frozenset({"AVX2"}))
    monkeypatch.setattr(checking.hardware, "is_x86", lambda: True)
    with pytest.warns(QuantizationWarning, match="no instructions for 8-bit products"):
        (made,) = quantize(bundle, "int8")
    assert (made.graph.quantization or {})["options"]["reduce_range"] is True
    numbers = onnx.load(bundle / made.graph.model.file).graph.initializer
    (weights,) = (onnx.numpy_helper.to_array(part) for part in numbers if part.name.startswith("inner_weight_int8"))
    assert np.abs(weights).max() == 63


def test_no_warning_where_there_is_nothing_to_say(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measures(monkeypatch, {"int8": 1.5}, {})
    monkeypatch.setattr(checking.hardware, "doubts", lambda scheme: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quantize(bundle, "int8")


def test_progress(bundle: Path) -> None:
    steps: list[tuple[str, float | None]] = []
    quantize(bundle, "int8", progress=lambda step, seconds: steps.append((step, seconds)))
    names = ["references", "quantize model to int8", "measure"]
    assert [step for step, seconds in steps if seconds is None] == names
    assert [step for step, seconds in steps if seconds is not None] == names


def test_the_working_copy_takes_no_space(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "copy2", lambda *arguments: pytest.fail("copied"))
    quantize(bundle, "q8")
    assert json.loads((bundle / "torchless.json").read_text(encoding="utf-8"))["graphs"]["model"]["q8"]
    assert not any(path.is_symlink() for path in bundle.rglob("*"))
