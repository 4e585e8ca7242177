"""Optimized graphs kept on the disk: the same answers, found only where they fit, made again where they do not."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from torchless import Bundle, OptionError, Session, SessionError, Settings, optimized, pipeline, processor
from torchless.environment import onnxruntime

from .factories import make_bundle, save_graph, write_manifest

RNG = np.random.default_rng(0)
WEIGHTS = {name: RNG.standard_normal((64, 64), dtype=np.float32) for name in ("w", "other")}
FEEDS = {"x": RNG.standard_normal((3, 64), dtype=np.float32)}
GRAPHS = {
    "products": "(float[n, 64] x) => (float[n, 64] y) { a = MatMul(x, w) b = Relu(a) y = MatMul(b, other) }",
    "subgraph": """(float[n, 64] x, bool first) => (float[n, 64] y) {
        y = If(first) <
            then_branch = one () => (float[n, 64] p) { p = MatMul(x, w) },
            else_branch = two () => (float[n, 64] q) { q = MatMul(x, other) }
        >
    }""",
    "convolution": """(float[n, 64] x) => (float[n, 8, 8, 8] y) {
        shape = Constant<value_ints = [-1, 1, 8, 8]>()
        one = Reshape(x, shape)
        a = Conv<pads = [1, 1, 1, 1]>(one, kernel)
        y = Conv<pads = [1, 1, 1, 1]>(a, kernels)
    }""",
}
KERNELS = {
    "kernel": RNG.standard_normal((8, 1, 3, 3), dtype=np.float32),
    "kernels": RNG.standard_normal((8, 8, 3, 3), dtype=np.float32),
}


@pytest.fixture
def graph(tmp_path):
    return save_graph(tmp_path / "model.onnx", GRAPHS["products"], WEIGHTS)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def opened(monkeypatch):
    """The graphs that ONNX Runtime opened, in order."""
    paths = []
    real = onnxruntime().InferenceSession

    def record(path, *arguments, **named):
        paths.append(Path(path))
        return real(path, *arguments, **named)

    monkeypatch.setattr(onnxruntime(), "InferenceSession", record)
    return paths


def keep(graph, cache, **settings):
    return Session(graph, Settings(optimized=cache, **settings))


def entries(cache):
    return sorted(path for path in cache.iterdir() if path.is_dir())


@pytest.mark.parametrize("name", GRAPHS)
def test_answers_are_the_same_bit_by_bit(tmp_path, cache, opened, name):
    path = save_graph(tmp_path / "model.onnx", GRAPHS[name], KERNELS if name == "convolution" else WEIGHTS)
    choices = [True, False] if name == "subgraph" else [None]
    plain, first, again = (Session(path, Settings(optimized=choice)) for choice in (False, cache, cache))
    (entry,) = entries(cache)
    assert opened == [path, path, entry / "graph.onnx", entry / "graph.onnx"]
    assert [again.inputs, [spec.name for spec in again.outputs]] == [plain.inputs, ["y"]]
    for choice in choices:
        feeds = FEEDS if choice is None else {**FEEDS, "first": np.array(choice)}
        expected = plain.run(feeds)["y"]
        assert np.abs(expected).max() > 1
        assert np.array_equal(first.run(feeds)["y"], expected)
        assert np.array_equal(again.run(feeds)["y"], expected)


def test_inputs_with_defaults_stay_inputs(tmp_path, cache):
    text = "(float[n, 64] x, float[1] scale) => (float[n, 64] y) { a = MatMul(x, w) y = Mul(a, scale) }"
    scale = np.array([2], dtype=np.float32)
    path = save_graph(tmp_path / "model.onnx", text, {"w": WEIGHTS["w"], "scale": scale})
    plain, kept = Session(path, Settings(optimized=False)), keep(path, cache)
    assert kept.optional == plain.optional == {"scale"}
    for more in ({}, {"scale": np.array([5], dtype=np.float32)}):
        found = [session._session.run(["y"], {**FEEDS, **more})[0] for session in (plain, kept)]
        assert np.array_equal(*found)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux tells what a process maps")
def test_weights_are_mapped_from_the_file_and_not_copied(graph, cache):
    session = keep(graph, cache)
    session.run(FEEDS)
    (entry,) = entries(cache)
    maps = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(entry / "weights.bin") in line]
    # Packed and not: for either, what is mapped is as large as the two weights at least.
    assert len(maps) >= 2
    assert (entry / "weights.bin").stat().st_size >= 2 * sum(weight.nbytes for weight in WEIGHTS.values())


def test_auto_uses_what_was_kept_and_writes_nothing(monkeypatch, graph, cache, opened):
    monkeypatch.setenv("TORCHLESS_CACHE", str(cache))
    Session(graph)
    assert opened == [graph]
    assert not cache.exists()
    Session(graph, Settings(optimized=True))
    opened.clear()
    Session(graph)
    assert opened == [entries(cache)[0] / "graph.onnx"]
    opened.clear()
    Session(graph, Settings(optimized=False))
    Session(graph, Settings(session_options={"optimized_model_filepath": str(cache / "mine.onnx")}))
    assert opened == [graph, graph]


def test_the_users_cache_is_the_default(monkeypatch, tmp_path, graph):
    monkeypatch.delenv("TORCHLESS_CACHE", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    Session(graph, Settings(optimized=True))
    assert len(entries(tmp_path / "xdg/torchless/optimized")) == 1
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert optimized.folder() == Path.home() / ".cache/torchless/optimized"


def test_what_does_not_change_a_graph_finds_it_again(graph, cache, opened):
    keep(graph, cache, threads=1)
    opened.clear()
    keep(graph, cache, threads=2, session_options={"session.intra_op.allow_spinning": 0})
    keep(graph, cache, session_options={"session.intra_op.spin_duration_us": 100})
    assert opened == 2 * [entries(cache)[0] / "graph.onnx"]


@pytest.mark.parametrize("change", ["graph", "options", "fusions", "onnxruntime", "processor"])
def test_what_changes_a_graph_makes_another(monkeypatch, graph, cache, change):
    keep(graph, cache)
    options = None
    if change == "graph":
        save_graph(graph, GRAPHS["products"], {**WEIGHTS, "w": WEIGHTS["other"]})
    elif change == "options":
        options = {"graph_optimization_level": onnxruntime().GraphOptimizationLevel.ORT_ENABLE_BASIC}
    elif change == "fusions":
        monkeypatch.setattr("torchless.session._SLOWER_ON_CPU", [])
    elif change == "onnxruntime":
        monkeypatch.setattr(onnxruntime(), "__version__", "0.1")
    else:
        monkeypatch.setattr(processor, "features", lambda: frozenset({"another"}))
    session = keep(graph, cache, session_options=options)
    assert len(entries(cache)) == 2
    expected = Session(graph, Settings(optimized=False, session_options=options)).run(FEEDS)["y"]
    assert np.array_equal(session.run(FEEDS)["y"], expected)


@pytest.mark.parametrize("name", ["model.onnx_data", "model.onnx.data"])
def test_other_weights_beside_the_same_graph_make_another(graph, cache, name):
    onnx.save(onnx.load(graph), graph, save_as_external_data=True, location=name, size_threshold=0)
    first = keep(graph, cache).run(FEEDS)["y"]
    data = graph.with_name(name)
    data.write_bytes((2 * np.frombuffer(data.read_bytes(), np.float32)).tobytes())
    assert np.array_equal(keep(graph, cache).run(FEEDS)["y"], 4 * first)


def test_a_manifest_tells_copies_of_a_bundle_to_be_the_same(tmp_path, cache, opened):
    folder = make_bundle(tmp_path / "one", "text-classification", {"good": (0, 1)}, ("NEG", "POS"))
    write_manifest(folder, "text-classification")
    Bundle.open(folder, optimized=cache).session()
    copy = shutil.copytree(folder, tmp_path / "two")
    opened.clear()
    classify = pipeline("text-classification", copy, optimized=str(cache))
    assert classify("good")[0]["label"] == "POS"
    assert opened == [entries(cache)[0] / "graph.onnx"]
    (copy / "torchless.json").unlink()
    Bundle.open(copy, optimized=cache).session()
    assert len(entries(cache)) == 2


@pytest.mark.parametrize(
    "damage", ["short weights", "no weights", "garbled graph", "short graph", "garbled entry", "no entry", "foreign"]
)
def test_damage_is_noticed_and_made_good(graph, cache, opened, damage):
    expected = keep(graph, cache).run(FEEDS)["y"]
    (entry,) = entries(cache)
    file = entry / {"weights": "weights.bin", "graph": "graph.onnx"}.get(damage.split()[-1], "entry.json")
    content = file.read_bytes()
    if damage.startswith("no "):
        file.unlink()
    elif damage == "foreign":
        file.write_text(json.dumps(json.loads(content) | {"description": {"graph": "of somebody else"}}))
    else:
        file.write_bytes(content[:-1] if "short" in damage else content[:-1] + bytes([content[-1] ^ 255]))
    opened.clear()
    assert np.array_equal(Session(graph, Settings(optimized=False)).run(FEEDS)["y"], expected)
    session = keep(graph, cache)
    assert np.array_equal(session.run(FEEDS)["y"], expected)
    assert opened == [graph, graph, entry / "graph.onnx"]
    keep(graph, cache)
    assert opened[3:] == [entry / "graph.onnx"]


def test_damage_is_passed_over_where_nothing_is_to_be_written(monkeypatch, graph, cache, opened):
    monkeypatch.setenv("TORCHLESS_CACHE", str(cache))
    expected = keep(graph, cache).run(FEEDS)["y"]
    (entry,) = entries(cache)
    os.truncate(entry / "weights.bin", 100)
    opened.clear()
    assert np.array_equal(Session(graph).run(FEEDS)["y"], expected)
    assert opened == [graph]


def test_what_a_killed_process_left_is_removed(graph, cache):
    (cache / ".writing-killed" / "entry").mkdir(parents=True)
    keep(graph, cache)
    assert [path.name.startswith("model-") for path in cache.iterdir()] == [True]


def test_a_folder_that_cannot_be_written_is_told_and_the_graph_runs(graph, tmp_path, opened):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match=r"no optimized graph of model\.onnx could be kept \(.*optimized=False"):
        session = keep(graph, tmp_path / "file")
    assert opened == [graph]
    assert session.run(FEEDS)["y"].shape == (3, 64)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told_and_the_graph_runs(graph, cache):
    cache.mkdir(mode=0o500)
    with pytest.warns(UserWarning, match="could be kept"):
        assert keep(graph, cache).run(FEEDS)["y"].shape == (3, 64)


_RUN = """
import sys, time, warnings
import numpy as np
from torchless import Session, Settings
path, cache, limit = sys.argv[1:]
if int(limit):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
print("ready", flush=True)
sys.stdin.readline()
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    session = Session(path, Settings(optimized=cache, threads=1))
print(len(told), float(session.run({"x": np.ones((1, 64))})["y"].sum()))
"""


def together(graph, cache, count, limit=0):
    """Answers of processes that open the graph at once: how many warnings, and the sum of the outputs."""
    words = [sys.executable, "-c", _RUN, str(graph), str(cache), str(limit)]
    processes = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.communicate()[0].split() for process in processes]


def test_two_processes_at_once_write_one_entry(graph, cache):
    expected = Session(graph, Settings(optimized=False, threads=1)).run({"x": np.ones((1, 64))})["y"].sum()
    assert together(graph, cache, 2) == [["0", str(float(expected))]] * 2
    assert len(list(cache.iterdir())) == 1
    assert sorted(path.name for path in entries(cache)[0].iterdir()) == ["entry.json", "graph.onnx", "weights.bin"]


_FORKED = """
import os, sys
from pathlib import Path
from torchless import optimized
reading, writing = os.pipe()
with optimized.alone(Path(sys.argv[1])):
    if not os.fork():
        os.close(writing)
        os.read(reading, 1)  # until the parent ends
        os._exit(0)
with optimized.alone(Path(sys.argv[1])) as alone:
    print(alone)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks")
def test_a_process_that_is_forked_meanwhile_does_not_keep_the_lock(tmp_path):
    words = [sys.executable, "-c", _FORKED, str(tmp_path)]
    assert subprocess.run(words, capture_output=True, text=True, timeout=20).stdout == "True\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of files")
def test_a_full_disk_is_told_and_the_graph_runs(graph, cache):
    expected = Session(graph, Settings(optimized=False, threads=1)).run({"x": np.ones((1, 64))})["y"].sum()
    assert together(graph, cache, 1, limit=20_000) == [["1", str(float(expected))]]
    assert list(cache.iterdir()) == []


def test_a_graph_that_is_damaged_is_told_as_ever(tmp_path, cache):
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(SessionError, match="cannot load"):
        keep(tmp_path / "model.onnx", cache)


def test_pickling_keeps_the_folder(monkeypatch, tmp_path, graph, opened):
    monkeypatch.chdir(tmp_path)
    session = Session(graph, Settings(optimized="cache"), "digest")
    monkeypatch.chdir(tmp_path.parent)
    opened.clear()
    copy = pickle.loads(pickle.dumps(session))
    assert opened == [entries(tmp_path / "cache")[0] / "graph.onnx"]
    assert copy.path == graph


@pytest.mark.parametrize("value", ["", None, 3, b"cache"])
def test_malformed(value):
    with pytest.raises(OptionError, match="optimized must be True, False, 'auto' or a folder, not"):
        Settings(optimized=value)


@pytest.mark.parametrize(
    "settings",
    [
        {"device": "cuda"},
        {"providers": ["CUDAExecutionProvider", "CPUExecutionProvider"]},
        {"session_options": {"optimized_model_filepath": "x.onnx"}},
    ],
)
def test_where_it_would_do_nothing_it_is_refused(settings):
    with pytest.raises(OptionError, match="optimized"):
        Settings(optimized=True, **settings)
    assert Settings(**settings).optimized == "auto"


def test_an_opened_bundle_keeps_its_own(tmp_path):
    folder = make_bundle(tmp_path / "bundle", "text-classification", {"good": (0, 1)}, ("NEG", "POS"))
    with pytest.raises(OptionError, match="opened bundle"):
        pipeline("text-classification", Bundle.open(folder), optimized=True)


def test_the_command(monkeypatch, run, bundle, cache, opened):
    monkeypatch.setenv("TORCHLESS_CACHE", str(cache))
    status, output, _ = run("optimize", bundle)
    assert (status, output.splitlines()) == (0, [f"{bundle}: model in fp32", f"kept in {cache}"])
    opened.clear()
    assert run("run", "text-classification", bundle, "good", "--json")[0] == 0
    assert opened == [entries(cache)[0] / "graph.onnx"]
    cache.joinpath("file").write_text("")
    monkeypatch.setenv("TORCHLESS_CACHE", str(cache / "file"))
    status, _, errors = run("optimize", bundle)
    assert status == 2
    assert "could be kept" in errors
