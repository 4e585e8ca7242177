"""Bundles with several graphs: a scheme for each, and variants that are made while a bundle is exported."""

import json
import shutil
from pathlib import Path

import onnx
import pytest

from torchless import Bundle, OptionError, pipeline
from torchless.manifest import Manifest
from torchless.progress import silent
from torchless.quantize import checking, measure, quantize
from torchless.quantize.hunt import Hunt
from torchless.quantize.samples import record
from torchless.quantize.schemes import Scheme
from torchless.quantize.search import search
from torchless.quantize.staging import staged
from torchless.quantize.trials import Trials

pytest.importorskip("torch")

from torchless.export import export

pytestmark = [
    pytest.mark.export, pytest.mark.usefixtures("quick"),
    pytest.mark.filterwarnings("ignore::torchless.QuantizationWarning"),
]  # fmt: skip

TEXTS = ["the cat sees a dog .", "a small house", "the old man reads the book .", "she likes the red car ."]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    return export(root / "examples" / "checkpoints" / "translate", tmp_path_factory.mktemp("roles") / "translate")


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "translate"))


def operators(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}


def answers(bundle: Path, dtype: str | dict[str, str]) -> list[str]:
    translate = pipeline("translation_en_to_de", bundle, dtype=dtype, max_new_tokens=12)
    return [answer["translation_text"] for answer in translate(TEXTS)]


def test_a_scheme_for_each_graph(bundle: Path) -> None:
    made = quantize(bundle, {"encoder_model": "int8", "decoder_model": "q4"}, block_size=64)
    assert [(variant.role, variant.dtype) for variant in made] == [("encoder_model", "int8"), ("decoder_model", "q4")]
    opened = Bundle.open(bundle, dtype={"encoder_model": "int8", "decoder_model": "q4"})
    assert opened.dtypes == {"decoder_model": ["fp32", "q4"], "encoder_model": ["fp32", "int8"]}
    assert "DynamicQuantizeMatMul" in operators(bundle / "onnx" / "encoder_model_int8.onnx")
    assert "MatMulNBits" in operators(bundle / "onnx" / "decoder_model_q4.onnx")
    assert len(answers(bundle, {"encoder_model": "int8", "decoder_model": "q4"})) == len(TEXTS)
    names = {name for name, *_ in Bundle.open(bundle).verify()}
    assert names == {"decoder_model fp32", "decoder_model int8", "decoder_model q4"}
    with pytest.raises(OptionError, match="no 'int8' variant of 'decoder_model'"):
        Bundle.open(bundle, dtype="int8")


def test_one_graph_alone(bundle: Path) -> None:
    (made,) = quantize(bundle, {"decoder_model": "q8"})
    assert made.measured is not None
    assert made.measured.drift.agreement is not None
    assert Bundle.open(bundle, dtype={"decoder_model": "q8"}).dtype("encoder_model") == "fp32"
    assert not (bundle / "onnx" / "encoder_model_q8.onnx").exists()


def test_half_precision_hands_over_caches(bundle: Path) -> None:
    made = quantize(bundle, "fp16")
    assert [variant.dtype for variant in made] == ["fp16", "fp16"]
    graphs = Manifest.read(bundle)
    assert graphs is not None
    present = [value for value in graphs.graphs["encoder_model"]["fp16"].outputs if value.name.startswith("present.")]
    past = [value for value in graphs.graphs["decoder_model"]["fp16"].inputs if value.name.startswith("past_key")]
    assert {value.dtype for value in (*present, *past)} == {"float16"}
    assert answers(bundle, "fp16") == answers(bundle, "fp32")
    assert graphs.dtype == {"cpu": "fp32", "cuda": "fp16"}


def test_what_half_precision_leaves_is_recorded_by_the_export(bundle: Path) -> None:
    """T5 keeps its residual stream in float32: the exporter knows by which weights, and tells by which nodes."""
    manifest = Manifest.read(bundle)
    assert manifest is not None
    kept = manifest.provenance["float32"]
    assert set(kept) == {"encoder_model", "decoder_model"}
    quantize(bundle, "fp16")
    for role, names in kept.items():
        model = onnx.load(bundle / "onnx" / f"{role}_fp16.onnx")
        nodes = {node.name: node for node in model.graph.node}
        halves = {part.name for part in model.graph.initializer if part.data_type == onnx.TensorProto.FLOAT16}
        assert names
        assert set(names) <= set(nodes)
        assert not any(halves & set(nodes[name].input) for name in names)
        assert halves


def test_variants_of_an_export(tmp_path: Path, root: Path) -> None:
    source = root / "examples" / "checkpoints" / "sentiment"
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"a film of {count} good ideas\n" for count in range(20)), encoding="utf-8")
    folder = export(source, tmp_path / "bundle", quantize=["int8-static", "q4"], calibrate=texts)
    graphs = json.loads((folder / "torchless.json").read_text(encoding="utf-8"))["graphs"]["model"]
    assert list(graphs) == ["fp32", "int8-static", "q4"]
    assert graphs["int8-static"]["quantization"]["calibration"]["name"] == "texts.txt"
    assert {name for name, *_ in Bundle.open(folder).verify()} == {"model fp32", "model int8-static", "model q4"}
    assert not list(folder.glob(".*"))


def test_an_export_whose_variant_fails_leaves_nothing(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchless import QuantizationError

    monkeypatch.setitem(checking.BOUNDS, "int8", 1e-9)
    with pytest.raises(QuantizationError, match="the bound is"):
        export(root / "examples" / "checkpoints" / "sentiment", tmp_path / "bundle", quantize="int8")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantize": "int7"}, "scheme 'int7'"),
        ({"quantize": ["int8", {"model": "int7"}]}, "scheme 'int7'"),
        ({"quantize": {"model": "int7"}}, "scheme 'int7'"),
        ({"quantize": "int8", "dtype": "fp16"}, "starts from float32"),
        ({"quantize": "int8", "dtype": ("fp32", "int8")}, "int8 is asked for both"),
        ({"calibrate": "nothing.txt"}, "calibrate is for quantize="),
        ({"quantize": "int8", "calibrate": "nothing.txt"}, "no file or folder at nothing.txt"),
    ],
)
def test_mistakes_are_found_before_the_export(
    tmp_path: Path, root: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        export(root / "examples" / "checkpoints" / "sentiment", tmp_path / "bundle", **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_budget_takes_half_precision_of_all_graphs_or_none(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS), encoding="utf-8")
    feeds = record(Bundle.open(bundle), texts)
    monkeypatch.setattr(measure, "_times", lambda *arguments: [2.0, 1.0])
    found = search(bundle, "1%", feeds, schemes=["fp16"], seconds=0.01)
    assert {role: scheme.name for role, scheme in found.choice.schemes.items()} == {
        "decoder_model": "fp16", "encoder_model": "fp16",
    }  # fmt: skip
    assert (len(found.tried), found.choice.lost) == (1, 0)
    quantize(bundle, found.choice.schemes)
    assert answers(bundle, "fp16") == answers(bundle, "fp32")
    with staged(bundle) as staging:
        hunt = Hunt(Trials(staging, feeds, None, None, 1, 0.01), 0.0, silent)
        combinations, halves = hunt._combinations(["encoder_model", "decoder_model"], [Scheme("fp16"), Scheme("q8")])
    assert halves is not None
    names = [sorted(f"{role} {trial.scheme.name}" for role, trial in parts.items()) for parts in combinations]
    assert sorted(names) == [
        ["decoder_model fp16", "encoder_model fp16"],
        ["decoder_model q8"],
        ["decoder_model q8", "encoder_model q8"],
        ["encoder_model q8"],
    ]
