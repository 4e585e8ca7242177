"""The package as it is installed: public names, what importing it loads, what a wheel holds, the error tree."""

import inspect
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import torchless
from torchless import errors

DATA_AND_PARTS = {"Batch", "Bundle", "Pipeline", "Session", "Settings", "Tokenizer"}
FUNCTIONS = {"cpu_count", "l2_normalize", "mean_pool", "pipeline", "sigmoid", "softmax", "top_k"}
ERRORS = {
    "BundleError", "BundleNotFoundError", "DeviceError", "ExportError", "InputError", "IntegrityError",
    "MissingDependencyError", "OptionError", "QuantizationError", "QuantizationWarning", "SessionError", "TaskError",
    "TorchlessError", "TruncationWarning", "VerificationError",
}  # fmt: skip


def test_public_names():
    assert set(torchless.__all__) == DATA_AND_PARTS | FUNCTIONS | ERRORS | {"__version__"}
    assert list(torchless.__all__) == sorted(torchless.__all__)


@pytest.mark.parametrize("name", torchless.__all__)
def test_public_name_is_importable_and_documented(name):
    value = getattr(torchless, name)
    assert name == "__version__" or inspect.getdoc(value)


def test_every_pipeline_is_public():
    from torchless import pipelines

    classes = {kind.__name__ for kind in pipelines.PIPELINES.values()}
    assert set(pipelines.__all__) == classes | {"PIPELINES", "Pipeline", "pipeline"}


def test_import_loads_no_heavy_package():
    heavy = ("torch", "transformers", "onnx", "onnxruntime", "huggingface_hub", "PIL", "soundfile", "optimum")
    code = f"import sys, torchless; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_version_is_that_of_the_project(root):
    assert _project(root)["project"]["version"] == torchless.__version__


def test_every_folder_of_modules_is_packaged(root):
    setuptools = _project(root)["tool"]["setuptools"]
    top = {package: folder for package, folder in setuptools["package-dir"].items() if "/" not in folder}
    found = {
        ".".join((package, *path.parent.relative_to(root / folder).parts))
        for package, folder in top.items()
        for path in (root / folder).rglob("*.py")
    }
    assert set(setuptools["packages"]) == found
    assert {package for package in found if package != "torchless"} <= set(setuptools["package-dir"])


def test_wheel_holds_every_module(root, tmp_path):
    pytest.importorskip("setuptools")
    folders = _project(root)["tool"]["setuptools"]["package-dir"]
    source = tmp_path / "source"
    source.mkdir()
    for name in {folder.partition("/")[0] for folder in folders.values()}:
        shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path)], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        f"{package.replace('.', '/')}/{path.name}"
        for package, folder in folders.items()
        for path in (root / folder).glob("*.py")
    }
    graphs = {f"torchless/generation/graphs/{path.name}" for path in (root / "runtime/generation/graphs").iterdir()}
    assert len(graphs) == 4
    assert names == expected | graphs | {"torchless/py.typed"}


TREE = re.compile(r"^(?P<indent>[│ ├└─]*)(?P<name>\w+(Error))\s*(\((?P<builtins>[\w, ]+)\))?", re.MULTILINE)


def _drawn() -> dict[str, tuple[str | None, list[str]]]:
    """Each error of the drawing with the one it hangs from and the builtins in brackets."""
    path: list[tuple[int, str]] = []
    found = {}
    drawing = inspect.getdoc(errors).partition("::")[2].partition("\nEach")[0]
    for line in inspect.cleandoc(drawing).splitlines():
        match = TREE.match(line)
        depth = len(match["indent"])
        path = [(at, name) for at, name in path if at < depth]
        builtins = [name.strip() for name in (match["builtins"] or "").split(",") if name.strip()]
        found[match["name"]] = (path[-1][1] if path else None, builtins)
        path.append((depth, match["name"]))
    return found


def test_error_tree_is_as_drawn():
    drawn = _drawn()
    classes = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and name.endswith("Error")}
    assert set(drawn) == set(classes)
    for name, (parent, builtins) in drawn.items():
        bases = [base.__name__ for base in classes[name].__bases__]
        assert bases == [parent or "Exception", *builtins]


def test_truncation_is_a_warning_and_not_an_error():
    assert issubclass(errors.TruncationWarning, UserWarning)
    assert not issubclass(errors.TruncationWarning, errors.TorchlessError)


def test_types_are_marked():
    assert (Path(torchless.__file__).parent / "py.typed").is_file()


def _project(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
