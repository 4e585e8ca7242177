"""Models by id: found in a local cache, or a clear error; nothing here reaches a network."""

import shutil
from pathlib import Path

import huggingface_hub
import pytest

from tests.export.conftest import read_manifest
from torchless import ExportError
from torchless.export import export

pytestmark = pytest.mark.export

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, with the hub out of reach."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return folder


def populate(cache: Path, checkpoint: Path, name: str, revision: str = "main") -> None:
    """Lay a checkpoint out as huggingface_hub keeps its downloads."""
    repository = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(checkpoint, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / revision).write_text(COMMIT)


def test_cached(tmp_path: Path, cache: Path, classifier: Path) -> None:
    populate(cache, classifier, "someone/sentiment")
    provenance = read_manifest(export("someone/sentiment", tmp_path / "bundle"))["provenance"]
    assert provenance["checkpoint"] == "someone/sentiment"
    assert provenance["revision"] == COMMIT


def test_cached_revision(tmp_path: Path, cache: Path, classifier: Path) -> None:
    populate(cache, classifier, "sentiment", revision="v2")
    with pytest.raises(ExportError, match="neither in the local cache"):
        export("sentiment", tmp_path / "bundle")
    assert export("sentiment", tmp_path / "bundle", revision="v2").is_dir()


@pytest.mark.parametrize("name", ["distilbert-base-uncased", "someone/nothing"])
def test_not_there(tmp_path: Path, cache: Path, name: str) -> None:
    with pytest.raises(ExportError, match=f"there is no folder {name}.*neither in the local cache") as error:
        export(name, tmp_path / "bundle")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "bundle").exists()
