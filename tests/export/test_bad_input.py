"""Mistakes of a user, each answered by one clear error and no output folder."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.export import models
from torchless import DeviceError, ExportError, MissingDependencyError, OptionError, TaskError
from torchless.export import export

pytestmark = pytest.mark.export


@pytest.fixture
def copy(tmp_path: Path, classifier: Path) -> Path:
    """A checkpoint to be damaged."""
    return Path(shutil.copytree(classifier, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "fp64"}, "fp32, fp16"),
        ({"dtype": ()}, "one or more"),
        ({"dtype": ("fp32", "int3")}, "one or more"),
        ({"attention": "flash"}, "fused, traced"),
        ({"opset": 12}, "from 18 to 23"),
        ({"opset": 99}, "from 18 to 23"),
        ({"opset": True}, "from 18 to 23"),
        ({"opset": "20"}, "from 18 to 23"),
        ({"device": "gpu"}, "'cpu', 'cuda'"),
        ({"revision": "main"}, "local folder"),
    ],
)
def test_options(tmp_path: Path, classifier: Path, options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        export(classifier, tmp_path / "bundle", **options)
    assert list(tmp_path.iterdir()) == []


def test_unknown_task(tmp_path: Path, classifier: Path) -> None:
    with pytest.raises(TaskError, match="unknown task 'poetry'"):
        export(classifier, tmp_path / "bundle", task="poetry")


def test_task_cannot_be_told(tmp_path: Path, copy: Path) -> None:
    edit_config(copy, architectures=None)
    with pytest.raises(TaskError, match="name one of"):
        export(copy, tmp_path / "bundle")


def test_head_is_missing(tmp_path: Path, masked_lm: Path) -> None:
    with pytest.raises(ExportError, match=r"classifier.*RobertaForMaskedLM.*does not serve task 'text-classification'"):
        export(masked_lm, tmp_path / "bundle", task="text-classification")


def test_task_of_no_such_architecture(tmp_path: Path) -> None:
    source = models.checkpoint(tmp_path / "gpt2", "gpt2", "text-classification")
    with pytest.raises(ExportError, match="'gpt2' does not serve task 'fill-mask'"):
        export(source, tmp_path / "bundle", task="fill-mask")


def test_encoder_decoder(tmp_path: Path, copy: Path) -> None:
    (copy / "config.json").write_text('{"model_type": "bart"}')
    with pytest.raises(ExportError, match="bart is an encoder-decoder architecture"):
        export(copy, tmp_path / "bundle", task="text-classification")


def test_config_with_a_wrong_type(tmp_path: Path, copy: Path) -> None:
    edit_config(copy, hidden_size="large")
    with pytest.raises(ExportError, match=r"configuration.*hidden_size"):
        export(copy, tmp_path / "bundle")


def test_unknown_architecture(tmp_path: Path, copy: Path) -> None:
    edit_config(copy, model_type="quantum-bert")
    with pytest.raises(ExportError, match="quantum-bert"):
        export(copy, tmp_path / "bundle")


def test_image_model(tmp_path: Path) -> None:
    import transformers

    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=16, patch_size=8
    )
    transformers.ViTModel(config).save_pretrained(tmp_path / "vit")
    models.tokenizer_for("bert").save_pretrained(tmp_path / "vit")
    with pytest.raises(ExportError, match="pixel_values"):
        export(tmp_path / "vit", tmp_path / "bundle", task="feature-extraction")


@pytest.mark.parametrize("name", ["./nowhere", "a/b/c", "no such model", ""])
def test_no_such_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match=r"neither a folder nor a model id|no config\.json"):
        export(tmp_path / name if name == "" else name, tmp_path / "bundle")


def test_no_config(tmp_path: Path, copy: Path) -> None:
    (copy / "config.json").unlink()
    with pytest.raises(ExportError, match=r"no config\.json"):
        export(copy, tmp_path / "bundle")


def test_config_is_not_json(tmp_path: Path, copy: Path) -> None:
    (copy / "config.json").write_text("{")
    with pytest.raises(ExportError, match="configuration"):
        export(copy, tmp_path / "bundle")


def test_no_weights(tmp_path: Path, copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(ExportError, match="weights"):
        export(copy, tmp_path / "bundle")


@pytest.mark.parametrize("kept", [0, 4, 2000])
def test_truncated_weights(tmp_path: Path, copy: Path, kept: int) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(ExportError, match="cannot load the weights"):
        export(copy, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_weights_of_another_size(tmp_path: Path, copy: Path) -> None:
    edit_config(copy, intermediate_size=48)
    with pytest.raises(ExportError, match="cannot load the weights"):
        export(copy, tmp_path / "bundle")


def test_no_tokenizer(tmp_path: Path, copy: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    with pytest.raises(ExportError, match="tokenizer"):
        export(copy, tmp_path / "bundle")


def test_output_is_a_file(tmp_path: Path, classifier: Path) -> None:
    (tmp_path / "bundle").write_text("mine")
    with pytest.raises(ExportError, match="is a file"):
        export(classifier, tmp_path / "bundle", overwrite=True)


def test_output_is_someone_elses_folder(tmp_path: Path, classifier: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ExportError, match="not a torchless bundle"):
        export(classifier, tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_output_cannot_be_written(tmp_path: Path, classifier: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExportError, match="cannot write"):
        export(classifier, tmp_path / "file" / "bundle")


def test_no_such_device(tmp_path: Path, classifier: Path) -> None:
    with pytest.raises(DeviceError, match="cuda:99"):
        export(classifier, tmp_path / "bundle", device="cuda:99")
    assert list(tmp_path.iterdir()) == []


def test_import_is_cheap() -> None:
    code = "import sys, torchless.export; print({'torch', 'transformers', 'onnx', 'optimum'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_torch_is_not_installed(tmp_path: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'torchless\[export\]'"):
        export(classifier, tmp_path / "bundle")


def edit_config(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, **fields}), encoding="utf-8")
