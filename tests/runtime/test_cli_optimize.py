"""``torchless optimize``: what counts as a failure, and removing what was kept."""

import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from torchless import Session, Settings, optimized
from torchless.environment import onnxruntime

from .factories import make_bundle, save_graph, write_manifest


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("TORCHLESS_CACHE", str(folder))
    return folder


def classifier(folder, **rows):
    """A classifier in two variants, which are the same."""
    made = make_bundle(folder, "text-classification", rows or {"good": (0, 1)}, ("NEG", "POS"))
    shutil.copy(made / "onnx" / "model.onnx", made / "onnx" / "model_int8.onnx")
    return made


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def counted(paths):
    return f"{len(paths)} files, {sum(path.stat().st_size for path in paths) / 2**20:.1f} MiB"


def test_a_session_tells_which_graph_it_opened(tmp_path, cache):
    graph = save_graph(tmp_path / "double.onnx", "(float[n] x) => (float[n] y) { y = Add(x, x) }")
    assert not Session(graph).optimized
    assert Session(graph, Settings(optimized=True)).optimized
    assert Session(graph).optimized, "what was kept is used"
    assert not Session(graph, Settings(optimized=False)).optimized
    cache.joinpath("file").write_text("")
    with pytest.warns(UserWarning, match="could be kept"):
        assert not Session(graph, Settings(optimized=cache / "file")).optimized


def test_a_warning_is_shown_and_no_failure(run, tmp_path, cache, monkeypatch):
    """Only a graph that is not kept is."""
    real = onnxruntime().InferenceSession

    def warn(*arguments, **named):
        warnings.warn("something of the graph", UserWarning, stacklevel=1)
        return real(*arguments, **named)

    monkeypatch.setattr(onnxruntime(), "InferenceSession", warn)
    status, out, err = run("optimize", classifier(tmp_path / "bundle"))
    assert status == 0
    assert f"kept in {cache}" in out
    assert err.splitlines() == ["torchless: warning: something of the graph"]
    assert any(cache.iterdir())


def test_what_is_not_kept_is_one_line_with_the_reason(run, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TORCHLESS_CACHE", str(tmp_path / "file"))
    status, out, err = run("optimize", classifier(tmp_path / "bundle"))
    assert (status, out) == (2, "")
    assert err.startswith("torchless: no optimized graph of model.onnx could be kept (")
    assert err.count("\n") == 1


def test_all_are_removed_and_nothing_else(run, tmp_path, cache):
    for name, rows in (("one", {"good": (0, 1)}), ("two", {"bad": (1, 0)})):
        assert run("optimize", classifier(tmp_path / name, **rows))[0] == 0
    kept = [path for path in cache.rglob("*") if path.is_file()]
    assert len(kept) >= 4
    said = counted(kept)
    own = (
        *("notes.txt", "pictures-0123abcd/a.png", "model-0123abc/graph.onnx", "resnet-20240101/graph.onnx"),
        *(".writing-drafts/entry.json", ".writing-drafts0/entry.json"),
    )
    for name in own:
        (cache / name).parent.mkdir(exist_ok=True)
        (cache / name).write_text("mine")
    (cache / "model-89abcdef").symlink_to(tmp_path / "one")
    (cache / ".writing-89abcdef").symlink_to(cache / ".writing-drafts")
    (cache / "backup-20240101").mkdir()
    assert run("optimize", "--clear") == (0, f"removed {said} from {cache}\n", "")
    assert files(cache) == sorted(own)
    assert (cache / "backup-20240101").is_dir()
    assert (tmp_path / "one" / "config.json").exists()
    assert run("optimize", "--clear")[1] == f"removed 0 files, 0.0 MiB from {cache}\n"


def test_what_a_killed_process_left_is_removed(run, cache):
    entry = cache / ".writing-killed_0" / "entry"
    entry.mkdir(parents=True)
    (entry / "weights.bin").write_bytes(bytes(3 << 20))
    (cache / "model-01234567").mkdir()
    (cache / "model-01234567" / "entry.json").write_text("garbled")
    assert run("optimize", "--clear")[1] == f"removed 2 files, 3.0 MiB from {cache}\n"
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("manifest", [True, False])
def test_those_of_a_bundle_are_removed(run, tmp_path, cache, monkeypatch, manifest):
    """In all variants, for all builds of ONNX Runtime; those of other bundles stay."""
    one, two = classifier(tmp_path / "one"), classifier(tmp_path / "two", bad=(1, 0))
    if manifest:
        for folder in (one, two):
            write_manifest(folder, "text-classification")
    assert run("optimize", two)[0] == 0
    others = files(cache)
    assert run("optimize", one)[0] == 0
    assert run("optimize", one, *(() if manifest else ("--dtype", "int8")))[0] == 0
    with monkeypatch.context() as patch:
        patch.setattr(onnxruntime(), "__version__", "0.1")
        assert run("optimize", one)[0] == 0
    kept = [cache / name for name in files(cache) if name not in others]
    assert len({path.parent for path in kept}) == (2 if manifest else 3)
    said = f"{one}: removed {counted(kept)} from {cache}\n"
    assert run("optimize", "--clear", one) == (0, said, "")
    assert files(cache) == others


def test_those_of_an_earlier_export_of_a_bundle_are_removed(run, tmp_path, cache):
    folder = classifier(tmp_path / "one")
    write_manifest(folder, "text-classification")
    assert run("optimize", folder)[0] == 0
    shutil.rmtree(folder)
    classifier(folder, bad=(1, 0))
    write_manifest(folder, "text-classification")
    assert run("optimize", folder)[0] == 0
    assert len(list(cache.iterdir())) == 2
    assert run("optimize", "--clear", folder)[0] == 0
    assert list(cache.iterdir()) == []


def test_a_copy_of_a_bundle_clears_what_they_share(run, tmp_path, cache):
    folder = classifier(tmp_path / "one")
    write_manifest(folder, "text-classification")
    copy = shutil.copytree(folder, tmp_path / "two")
    assert run("optimize", folder)[0] == 0
    assert run("optimize", "--clear", copy)[0] == 0
    assert list(cache.iterdir()) == []


def test_an_open_session_goes_on(run, tmp_path, cache):
    if os.name == "nt":
        pytest.skip("files that are mapped cannot be removed")
    weights = {"w": np.random.default_rng(0).standard_normal((64, 64), dtype=np.float32)}
    graph = save_graph(tmp_path / "one.onnx", "(float[n, 64] x) => (float[n, 64] y) { y = MatMul(x, w) }", weights)
    session = Session(graph, Settings(optimized=True))
    feeds = {"x": np.ones((2, 64), np.float32)}
    before = session.run(feeds)["y"]
    assert run("optimize", "--clear")[0] == 0
    assert np.array_equal(session.run(feeds)["y"], before)


def test_what_cannot_be_removed_is_told(run, tmp_path, cache, monkeypatch):
    assert run("optimize", classifier(tmp_path / "one"))[0] == 0

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rmdir", refuse)
        status, out, err = run("optimize", "--clear")
    assert (status, out) == (2, "")
    assert "cannot remove optimized graphs" in err
    assert "Permission denied" in err
    (entry,) = cache.iterdir()
    assert not (entry / optimized.GRAPH).exists(), "half an entry is not used"


def test_what_could_not_be_removed_is_found_again(run, tmp_path, cache, monkeypatch):
    assert run("optimize", classifier(tmp_path / "one"))[0] == 0
    real, failing = Path.unlink, [optimized.ENTRY]

    def unlink(path, missing_ok=False):
        if path.name in failing:
            failing.pop()
            raise PermissionError(13, "Permission denied", str(path))
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    assert run("optimize", "--clear")[0] == 2
    assert run("optimize", "--clear")[0] == 0
    assert list(cache.iterdir()) == []


def test_without_a_home_the_folder_is_to_be_named(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHLESS_CACHE", "~nosuchuser/kept")
    for words in ((classifier(tmp_path / "one"),), ("--clear",)):
        status, out, err = run("optimize", *words)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "name one by TORCHLESS_CACHE" in err


def test_mistakes(run, tmp_path, cache):
    folder = classifier(tmp_path / "one")
    for words, message in (
        ((), "needs a BUNDLE"),
        (("--clear", "--dtype", "int8"), "--clear removes every variant: --dtype int8"),
        ((folder, "--clear", "--dtype", "int8"), "--clear removes every variant"),
        (("--clear", Path("nowhere/at/all")), "no folder nowhere/at/all"),
        ((folder, "--dtype", "q4"), "has no 'q4' variant"),
    ):
        status, out, err = run("optimize", *words)
        assert (status, out) == (2, ""), words
        assert message in err
        assert err.count("\n") == 1
    assert not cache.exists()
