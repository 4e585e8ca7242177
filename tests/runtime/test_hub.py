"""Model ids: the local cache, no network, and which files are asked for."""

import os
import subprocess
import sys
import time
from fnmatch import fnmatch

import huggingface_hub
import numpy as np
import onnx
import pytest

from torchless import Bundle, BundleNotFoundError, hub

from .factories import make_bundle, task_graph, write_manifest

TASK = "text-classification"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cached(cache, name="org/name", **bundle):
    """A bundle in the layout of the hub's cache."""
    base = cache / f"models--{name.replace('/', '--')}"
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text(COMMIT)
    return make_bundle(base / "snapshots" / COMMIT, TASK, {"good": (0, 1)}, ("N", "P"), **bundle)


def offline(cache, code, **environment):
    """Run Python with its hub cache there and the network switched off."""
    settings = {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"} | environment
    return subprocess.run(
        [sys.executable, "-c", f"from torchless import *\n{code}"],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("manifest", [False, True])
def test_a_cached_id_opens_without_a_network(tmp_path, manifest):
    cached(tmp_path, manifest=manifest)
    code = "print(pipeline('text-classification', 'org/name')('good')[0]['label'])"
    found = offline(tmp_path, code)
    assert (found.stdout, found.stderr) == ("P\n", "")


def test_what_is_only_to_be_found_is_not_downloaded(downloads, monkeypatch):
    """Removing optimized graphs needs the bundle's files if they are there, and no others."""
    asked = []

    def snapshot(name, **options):
        asked.append(options)
        raise OSError("not in the cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(BundleNotFoundError, match="no such model in the hub's cache"):
        hub.resolve("org/name", download=False)
    assert asked == [{"revision": None, "local_files_only": True}]


def test_a_cache_of_links_with_external_weights(tmp_path):
    # The cache keeps every file under its hash, outside of the folder with the names.
    folder = cached(tmp_path, manifest=False)
    graph = folder / "onnx" / "model.onnx"
    onnx.save(onnx.load(graph), graph, save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    write_manifest(folder, TASK)
    blobs = tmp_path / "models--org--name" / "blobs"
    blobs.mkdir()
    for number, path in enumerate(path for path in sorted(folder.rglob("*")) if path.is_file()):
        path.rename(blobs / str(number))
        path.symlink_to(os.path.relpath(blobs / str(number), path.parent))
    assert (folder / "onnx" / "model.onnx_data").is_symlink()
    found = offline(tmp_path, "print(pipeline('text-classification', 'org/name')('good')[0]['label'])")
    assert (found.stdout, found.stderr) == ("P\n", "")


def test_a_cached_revision(tmp_path):
    cached(tmp_path)
    (tmp_path / "models--org--name" / "refs" / "v1").write_text(COMMIT)
    code = "print(Bundle.open('org/name', revision={!r}).task)"
    assert offline(tmp_path, code.format("v1")).stdout == f"{TASK}\n"
    assert offline(tmp_path, code.format(COMMIT)).stdout == f"{TASK}\n"
    assert "BundleNotFoundError" in offline(tmp_path, code.format("v2")).stderr


CATCH = """
try:
    Bundle.open({!r})
except BundleNotFoundError as error:
    print(error)
"""


def test_an_unknown_id_without_a_network(tmp_path):
    found = offline(tmp_path, CATCH.format("org/other"))
    assert found.stderr == ""
    assert found.stdout.startswith("no folder 'org/other', and the hub did not give a model of that name")
    assert found.stdout.count("\n") == 1


def test_a_hub_that_cannot_be_reached(tmp_path):
    begin = time.monotonic()
    found = offline(tmp_path, CATCH.format("org/other"), HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9")
    assert found.stdout.startswith("no folder 'org/other'"), found.stderr
    assert time.monotonic() - begin < 30


def test_the_cache_serves_where_the_hub_cannot_be_reached(tmp_path):
    cached(tmp_path)
    code = "print(Bundle.open('org/name').task)"
    found = offline(tmp_path, code, HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9")
    assert found.stdout == f"{TASK}\n", found.stderr


@pytest.mark.parametrize(
    "name",
    ["no such folder", "a/b/c", "./nowhere/model", "/nowhere/model", "org/name/", "", "..x/", "a\nb", "org\\name"],
)
def test_a_name_that_is_no_id(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleNotFoundError):
        Bundle.open(name)


@pytest.mark.parametrize("name", ["x" * 5000, "~nosuchuser/model", "a\0b"])
def test_a_name_that_no_file_can_have(name):
    with pytest.raises(BundleNotFoundError, match="no folder"):
        Bundle.open(name)


@pytest.mark.parametrize("name", ["a/..", "org/na--me", "-org/name", "org/name.git", "org/" + "x" * 200])
def test_ids_that_the_client_refuses(monkeypatch, name):
    with pytest.raises(BundleNotFoundError, match="no folder"):
        Bundle.open(name)


def test_a_folder_comes_before_an_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_bundle(tmp_path / "org" / "name", TASK, {"good": (0, 1)}, ("N", "P"))
    assert Bundle.open("org/name").folder == tmp_path / "org" / "name"


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    make_bundle(tmp_path / "model", TASK, {"good": (0, 1)}, ("N", "P"))
    assert hub.resolve("~/model") == tmp_path / "model"


REPOSITORY = [
    "config.json", "tokenizer.json", "pytorch_model.bin", "model.safetensors", "onnx/model.onnx",
    "onnx/model.onnx_data", "onnx/model_fp16.onnx", "onnx/model_fp16.onnx_data", "onnx/model_int8.onnx",
    "onnx/model_quantized.onnx", "onnx/model_q4f16.onnx", "spiece.model", "vocab.txt",
    "chat_template.jinja", "README.md",
]  # fmt: skip
METADATA = ["config.json", "tokenizer.json", "spiece.model", "vocab.txt", "chat_template.jinja"]


@pytest.fixture
def downloads(monkeypatch, tmp_path):
    """What is asked of the hub, answered from a repository in ``tmp_path``."""
    asked = []

    def snapshot(name, *, revision=None, allow_patterns=(), ignore_patterns=()):
        taken = [
            file
            for file in REPOSITORY
            if any(fnmatch(file, pattern) for pattern in allow_patterns)
            and not any(fnmatch(file, pattern) for pattern in ignore_patterns)
        ]
        asked.append((name, revision, taken))
        for file in taken:
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).touch()
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    return asked


@pytest.mark.parametrize(
    ("dtype", "graphs"),
    [
        ("auto", ["onnx/model.onnx", "onnx/model.onnx_data"]),
        ("fp32", ["onnx/model.onnx", "onnx/model.onnx_data"]),
        ("fp16", ["onnx/model_fp16.onnx", "onnx/model_fp16.onnx_data"]),
        ("int8", ["onnx/model_int8.onnx"]),
        ("q4f16", ["onnx/model_q4f16.onnx"]),
        ({"model": "fp16"}, [file for file in REPOSITORY if "onnx/" in file]),
    ],
)
def test_only_the_wanted_variant_is_asked_for(downloads, tmp_path, dtype, graphs):
    assert hub.resolve("org/name", revision="v1", dtype=dtype) == tmp_path
    assert downloads[0] == ("org/name", "v1", METADATA)
    name, revision, files = downloads[-1]
    assert (name, revision, sorted(files)) == ("org/name", "v1", sorted([*METADATA, *graphs]))


def test_a_repository_of_quantized_graphs_alone(downloads, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "REPOSITORY", ["config.json", "onnx/model_quantized.onnx"])
    hub.resolve("org/name")
    assert downloads[-1][2] == ["config.json", "onnx/model_quantized.onnx"]


@pytest.mark.parametrize(
    ("dtype", "device", "graph"),
    [
        ("auto", "cpu", "onnx/model.onnx"),
        ("auto", "cuda", "onnx/model_fp16.onnx"),
        ("fp16", "cpu", "onnx/model_fp16.onnx"),
        ("fp32", "cuda", "onnx/model.onnx"),
    ],
)
def test_a_manifest_tells_which_files(downloads, tmp_path, dtype, device, graph):
    make_bundle(tmp_path, TASK, {"good": (0, 1)}, ("N", "P"))
    task_graph(tmp_path / "onnx" / "model_fp16.onnx", TASK, np.zeros((6, 2)))
    write_manifest(tmp_path, TASK, dtype={"cpu": "fp32", "cuda": "fp16"})
    hub.resolve("org/name", dtype=dtype, device=device)
    assert [file for file in downloads[-1][2] if file.endswith(".onnx")] == [graph]


def test_a_manifest_whose_recommended_variant_is_not_there(downloads, tmp_path):
    make_bundle(tmp_path, TASK, {"good": (0, 1)}, ("N", "P"))
    write_manifest(tmp_path, TASK, dtype={"cpu": "int8"})
    hub.resolve("org/name")
    assert [file for file in downloads[-1][2] if file.endswith(".onnx")] == ["onnx/model.onnx"]
