"""What users get wrong: errors that name what was asked, what was found and what would work, the bundle untouched."""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from torchless import BundleNotFoundError, IntegrityError, OptionError, QuantizationError, TorchlessError
from torchless.quantize import Scheme, quantize
from torchless.quantize.conversion import convert_role
from torchless.quantize.plans import Plan, load

from .bundles import classifier, contents, texts

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.filterwarnings("ignore::torchless.QuantizationWarning")]


OPTIONS: list[tuple[Any, dict[str, Any], str]] = [
    ("int7", {}, "scheme 'int7': expected one of int8, int8-static, q8, q4, fp16"),
    ("", {}, "scheme ''"),
    (None, {}, "scheme must be"),
    (8, {}, "scheme must be"),
    ([], {}, "no scheme"),
    ({}, {}, "no scheme"),
    (["int8", 4], {}, "scheme 4"),
    (["int8", "int8"], {}, "chosen twice"),
    (["int8", {"model": "int8"}], {}, "chosen twice"),
    ({"decoder_model": "int8"}, {}, r"scheme by role \['decoder_model'\]: the graphs are \['model'\]"),
    ({"model": "int7"}, {}, "scheme 'int7'"),
    ("int8", {"block_size": 32}, "option 'block_size' with int8: it belongs to q8, q4"),
    ("q4", {"method": "entropy"}, "option 'method' with q4: it belongs to int8-static"),
    ("fp16", {"symmetric": False}, "option 'symmetric' with fp16"),
    ("int8", {"colour": "red"}, "option 'colour' with int8: no scheme has it"),
    (Scheme.checked("q4"), {"block_size": 64}, "option 'block_size' with a ready-made scheme"),
    (Scheme("int7"), {}, "scheme 'int7'"),
    (Scheme("q4", block_size=5), {}, "block_size=5 of q4"),
    (Scheme("int8", block_size=32), {}, "int8 has no option 'block_size'"),
    (Scheme("q4", exclude=("a",), rest=Scheme("q8", block_size=5)), {}, "block_size=5 of q8"),
    ("q4", {"block_size": 33}, "block_size=33"),
    ("q4", {"block_size": True}, "block_size=True"),
    ("q8", {"symmetric": 1}, "symmetric=1"),
    ("q8", {"accuracy_level": 9}, "accuracy_level=9"),
    ("int8", {"reduce_range": "yes"}, "reduce_range='yes'"),
    ("int8", {"exclude": 3}, "exclude=3"),
    ("int8", {"exclude": ["a", 3]}, "exclude="),
    ("int8-static", {"method": "guess"}, "method='guess'"),
    ("int8-static", {"method": "minmax", "percentile": 99.0}, "percentile is read by method='percentile' only"),
    ("int8-static", {"method": "percentile", "percentile": 101}, "percentile=101"),
    ("int8-static", {"method": "percentile", "percentile": float("nan")}, "percentile=nan"),
    ("int8", {"limit": 0}, "limit must be a positive integer"),
    ("int8", {"threads": 0}, "threads must be"),
]


@pytest.mark.parametrize(("scheme", "options", "message"), OPTIONS)
def test_options(bundle: Path, scheme: Any, options: dict[str, Any], message: str) -> None:
    before = contents(bundle)
    with pytest.raises(OptionError, match=message):
        quantize(bundle, scheme, **options)
    assert contents(bundle) == before


def test_a_variant_that_is_there(bundle: Path) -> None:
    quantize(bundle, "int8")
    before = contents(bundle)
    with pytest.raises(OptionError, match="model already has a variant int8: overwrite=True"):
        quantize(bundle, "int8")
    assert contents(bundle) == before


def test_a_bundle_without_float32(bundle: Path) -> None:
    quantize(bundle, "int8")
    content = json.loads((bundle / "torchless.json").read_text())
    del content["graphs"]["model"]["fp32"]
    (bundle / "torchless.json").write_text(json.dumps(content))
    with pytest.raises(QuantizationError, match=r"already quantized or half precision: it has \['int8'\] and no fp32"):
        quantize(bundle, "q8")


@pytest.mark.parametrize("scheme", ["int8", "int8-static", "q8", "q4", "fp16"])
def test_a_graph_that_is_quantized_under_another_name(bundle: Path, scheme: str) -> None:
    quantize(bundle, scheme)
    (bundle / "torchless.json").unlink()
    shutil.move(bundle / "onnx" / f"model_{scheme}.onnx", bundle / "onnx" / "model.onnx")
    before = contents(bundle)
    words = "has weights in float16" if scheme == "fp16" else "is already quantized: it has"
    with pytest.raises(QuantizationError, match=words):
        quantize(bundle, "int8")
    assert contents(bundle) == before


def test_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFoundError, match="not a hub id"):
        quantize("organisation/name", "int8")
    with pytest.raises(BundleNotFoundError, match="no folder"):
        quantize(tmp_path / "nothing", "int8")
    with pytest.raises(BundleNotFoundError, match="no folder"):
        quantize(texts(tmp_path / "file"), "int8")
    with pytest.raises(BundleNotFoundError, match=r"no config.json"):
        quantize(tmp_path, "int8")


def test_a_truncated_graph(bundle: Path) -> None:
    path = bundle / "onnx" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-100])
    before = contents(bundle)
    with pytest.raises(IntegrityError, match="truncated or changed"):
        quantize(bundle, "int8")
    assert contents(bundle) == before


def test_a_graph_that_is_none(tmp_path: Path) -> None:
    folder = classifier(tmp_path / "bundle", manifest=False)
    (folder / "onnx" / "model.onnx").write_bytes(b"this is no graph")
    before = contents(folder)
    with pytest.raises(QuantizationError, match="is not an ONNX graph"):
        quantize(folder, "int8")
    assert contents(folder) == before


@pytest.mark.parametrize("scheme", ["int8", "int8-static"])
def test_operators_that_are_too_old(tmp_path: Path, scheme: str) -> None:
    folder = classifier(tmp_path / "bundle", manifest=False)
    model = onnx.load(folder / "onnx" / "model.onnx")
    for opset in model.opset_import:
        opset.version = 11 if opset.domain == "" else opset.version
    onnx.save(model, folder / "onnx" / "model.onnx")
    with pytest.raises(QuantizationError, match=f"is of operator set 11, and {scheme} needs 13: export it again"):
        load(Plan("model", Scheme(scheme), folder / "onnx" / "model.onnx"))


def test_a_graph_with_nothing_to_quantize(tmp_path: Path) -> None:
    folder = classifier(tmp_path / "bundle")
    before = contents(folder)
    with pytest.raises(QuantizationError, match=r"int8 finds nothing to quantize in model .*excluded"):
        quantize(folder, "int8", exclude="*")
    assert contents(folder) == before


def test_static_without_inputs(tmp_path: Path) -> None:
    folder = classifier(tmp_path / "bundle", manifest=False)
    with pytest.raises(OptionError, match="int8-static needs inputs to calibrate with"):
        quantize(folder, "int8-static")
    model = load(Plan("model", Scheme("int8-static"), folder / "onnx" / "model.onnx"))
    with pytest.raises(OptionError, match="needs inputs"):
        convert_role(model, Scheme("int8-static"), [])


@pytest.mark.parametrize("scheme", ["int8", "int8-static"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("missing.txt", None),
        ("empty.txt", b""),
        ("blank.txt", b"\n\n  \n"),
        ("binary.txt", b"\xff\xfe\x00\x01"),
        ("sound.wav", b"RIFF\x24\x00\x00\x00WAVEfmt "),
        ("picture.png", b"\x89PNG\r\n\x1a\n"),
        ("rows.jsonl", b'{"colour": "red"}\n'),
        ("rows.json", b"{"),
        ("rows.csv", b"colour\nred\n"),
    ],
)
def test_calibration_data(bundle: Path, tmp_path: Path, scheme: str, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    before = contents(bundle)
    with pytest.raises((OptionError, TorchlessError)) as caught:
        quantize(bundle, scheme, calibrate=path)
    assert name.partition(".")[0] in str(caught.value) or "calibration" in str(caught.value)
    assert contents(bundle) == before


def test_a_folder_as_texts(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OptionError, match="folder"):
        quantize(bundle, "int8-static", calibrate=tmp_path / "folder")


@pytest.mark.parametrize(
    "failure",
    [PermissionError(errno.EACCES, "Permission denied"), OSError(errno.EROFS, "Read-only file system"),
     OSError(errno.ENOSPC, "No space left on device")],
)  # fmt: skip
def test_a_folder_that_cannot_be_written(bundle: Path, monkeypatch: pytest.MonkeyPatch, failure: OSError) -> None:
    """The tests may run as root, to whom every folder can be written: refuse in the system's place."""

    def refuse(path: Path, *arguments: Any, **options: Any) -> None:
        raise failure

    before = contents(bundle)
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(QuantizationError, match=r"cannot write to .*left as it was"):
        quantize(bundle, "int8")
    assert contents(bundle) == before


def test_a_disk_that_fills_up_while_the_graph_is_written(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchless.quantize import saving

    def half(model: Any, path: Path) -> Any:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    before = contents(bundle)
    monkeypatch.setattr(saving, "save", half)
    with pytest.raises(QuantizationError, match="No space left on device"):
        quantize(bundle, "int8")
    assert contents(bundle) == before


def test_half_precision_of_some_graphs(bundle: Path) -> None:
    shutil.copy(bundle / "onnx" / "model.onnx", bundle / "onnx" / "encoder_model.onnx")
    (bundle / "torchless.json").unlink()
    with pytest.raises(OptionError, match=r"fp16 is for all of \['encoder_model', 'model'\] or none"):
        quantize(bundle, {"model": "fp16"})


def test_a_graph_that_does_not_run(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchless.quantize import variants

    def broken(model: Any, *arguments: Any) -> Any:
        converted = convert_role(model, *arguments)
        next(iter(converted.model.graph)).op_type = "Nonsense"
        return converted

    before = contents(bundle)
    monkeypatch.setattr(variants, "convert_role", broken)
    with pytest.raises(QuantizationError, match="the quantized graph does not run"):
        quantize(bundle, "int8")
    assert contents(bundle) == before


def test_a_graph_of_half_weights(bundle: Path) -> None:
    path = bundle / "onnx" / "model.onnx"
    model = onnx.load(path)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(2, np.float16), "half"))
    onnx.save(model, path)
    with pytest.raises(QuantizationError, match="weights in float16"):
        load(Plan("model", Scheme("int8"), path))
