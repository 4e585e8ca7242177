"""Settings: devices, threads, providers and session options, and what cannot be had."""

import builtins
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from torchless import (
    DeviceError,
    MissingDependencyError,
    OptionError,
    Session,
    Settings,
    cpu_count,
    environment,
    pipeline,
    providers,
)
from torchless import session as sessions

from .factories import save_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "double.onnx"
    return save_graph(path, "(float[n] x) => (float[n] y) { y = Add(x, x) }")


@pytest.fixture
def fresh():
    """The import of onnxruntime is remembered: forget it before and after."""
    sessions.onnxruntime.cache_clear()
    yield
    sessions.onnxruntime.cache_clear()


@pytest.fixture
def cpu_build(monkeypatch, fresh):
    ort = sessions.onnxruntime()
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["AzureExecutionProvider", "CPUExecutionProvider"])


@pytest.mark.parametrize(
    "device", ["gpu", "CUDA", "", "cpu:0", "cuda:", "cuda:x", "cuda:²", "cuda:-1", "auto:1", "cuda:1:2"]
)
def test_malformed_device(device):
    with pytest.raises(OptionError, match=r"device must be .* not"):
        Settings(device=device)


@pytest.mark.parametrize("device", [0, None])
def test_device_that_is_not_a_text(device):
    with pytest.raises(OptionError, match="device must be"):
        Settings(device=device)


@pytest.mark.parametrize(("device", "kind"), [("cpu", "cpu"), ("cuda", "cuda"), ("cuda:1", "cuda")])
def test_kind_of_device(device, kind):
    assert Settings(device=device).kind == kind


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_malformed_threads(threads):
    with pytest.raises(OptionError, match="threads must be"):
        Settings(threads=threads)


@pytest.mark.parametrize(
    "settings",
    [
        {"threads": 100_000},
        {"session_options": {"intra_op_num_threads": 100_000}},
        {"session_options": {"inter_op_num_threads": 100_000}},
    ],
)
def test_more_threads_than_anyone_means(settings):
    with pytest.raises(OptionError, match=r"(threads|_num_threads'\]) must be 1024 at the most, not 100000"):
        Settings(**settings)


def test_as_many_threads_as_a_large_machine_has():
    assert Settings(threads=1024).threads == 1024


def test_threads_given_twice():
    with pytest.raises(OptionError, match="contradict"):
        Settings(threads=2, session_options={"intra_op_num_threads": 3})


def test_cuda_against_cpu_providers():
    with pytest.raises(OptionError, match="contradicts providers"):
        Settings(device="cuda", providers=("CPUExecutionProvider",))


@pytest.mark.parametrize("providers", ["CPUExecutionProvider", [1], [("CPUExecutionProvider",)], [None], 3])
def test_malformed_providers(providers):
    with pytest.raises(OptionError, match="providers"):
        Settings(providers=providers)


def test_unknown_provider_is_named_with_those_there_are(graph):
    with pytest.raises(DeviceError, match=r"no NoSuchProvider; it has .*CPUExecutionProvider"):
        Session(graph, Settings(providers=("NoSuchProvider",)))


def test_providers_with_options(graph):
    settings = Settings(providers=(("CPUExecutionProvider", {}),))
    assert settings.kind == "cpu"
    assert Session(graph, settings).providers == ["CPUExecutionProvider"]


def test_providers_decide_the_kind():
    assert Settings(providers=("CUDAExecutionProvider", "CPUExecutionProvider")).kind == "cuda"


def test_unknown_session_option(graph):
    with pytest.raises(OptionError, match="session_options has 'inter_threads'"):
        Session(graph, Settings(session_options={"inter_threads": 1}))


@pytest.mark.parametrize("options", [5, "inter_op_num_threads", [("inter_op_num_threads", 1)]])
def test_session_options_that_are_no_dictionary(options):
    with pytest.raises(OptionError, match="session_options must be a dictionary"):
        Settings(session_options=options)


def test_session_option_of_the_wrong_type(graph):
    with pytest.raises(OptionError, match="inter_op_num_threads"):
        Session(graph, Settings(session_options={"inter_op_num_threads": "many"}))


def test_session_options_that_change_later_change_nothing():
    options = {"session.intra_op.allow_spinning": "0"}
    settings = Settings(session_options=options)
    options.clear()
    assert sessions._session_options(settings).get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_session_options_are_set():
    settings = Settings(threads=3, session_options={"inter_op_num_threads": 2, "session.intra_op.allow_spinning": 0})
    options = sessions._session_options(settings)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 2)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_threads_are_those_of_the_process_by_default(monkeypatch):
    monkeypatch.setattr(sessions, "cpu_count", lambda: 5)
    assert sessions._session_options(Settings()).intra_op_num_threads == 5


@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_cuda_on_the_cpu_build_says_why(cpu_build, graph, device):
    with pytest.raises(DeviceError, match=rf"{device}.*GPU build.*has Azure.*pip install 'torchless\[gpu\]'"):
        Session(graph, Settings(device=device))


def test_auto_falls_to_the_cpu(cpu_build, graph):
    settings = Settings(device="auto")
    assert settings.kind == "cpu"
    assert Session(graph, settings).providers == ["CPUExecutionProvider"]


def test_a_device_that_does_not_start_is_no_silent_fall_back(monkeypatch, fresh, graph):
    # ONNX Runtime goes on without a provider whose libraries it cannot load.
    ort = sessions.onnxruntime()
    real = ort.InferenceSession
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(
        ort,
        "InferenceSession",
        lambda path, options, providers, **rest: real(path, options, ["CPUExecutionProvider"], **rest),
    )
    with pytest.raises(DeviceError, match="CUDAExecutionProvider could not start"):
        Session(graph, Settings(device="cuda"))
    with pytest.warns(UserWarning, match="could not start, running .* on the CPU"):
        session = Session(graph, Settings(device="auto"))
    assert session.run({"x": np.ones(1)})["y"].tolist() == [2.0]


def test_cuda_index_is_passed_on(monkeypatch, fresh):
    ort = sessions.onnxruntime()
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    [(name, options), rest] = providers.selected("cuda:2", None)
    assert (name, options["device_id"], rest) == ("CUDAExecutionProvider", "2", "CPUExecutionProvider")


def test_options_of_cuda_replace_the_defaults(monkeypatch, fresh):
    ort = sessions.onnxruntime()
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    given = {"gpu_mem_limit": 1 << 30, "use_tf32": True, "cudnn_conv_algo_search": "EXHAUSTIVE"}
    settings = Settings(device="cuda", provider_options=given)
    assert providers.selected(settings.device, settings.providers, settings.provider_options)[0] == (
        "CUDAExecutionProvider",
        {
            "device_id": "0",
            "arena_extend_strategy": "kSameAsRequested",
            "cudnn_conv_algo_search": "EXHAUSTIVE",
            "use_tf32": "1",
            "gpu_mem_limit": "1073741824",
        },
    )
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_libraries_that_pip_installed_are_found(monkeypatch, fresh, capsys):
    ort = sessions.onnxruntime()
    calls = []

    def preload_dlls(**options):
        print("Failed to load libcudnn.so.9")
        calls.append(options)

    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(ort, "preload_dlls", preload_dlls)
    providers._preload.cache_clear()
    providers.selected("cpu", None)
    assert calls == []
    providers.selected("cuda", None)
    providers.selected("cuda:1", None)
    providers.selected("cpu", ["CUDAExecutionProvider"])
    providers._preload.cache_clear()
    assert calls == [{"msvc": False}]
    assert capsys.readouterr().out == ""


def test_options_of_cuda_reach_the_session(monkeypatch, fresh, graph):
    ort = sessions.onnxruntime()
    real, seen = ort.InferenceSession, []

    def opened(path, options, providers, **rest):
        seen.append(providers[0])
        return real(path, options, ["CPUExecutionProvider"], **rest)

    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", opened)
    with pytest.raises(DeviceError):
        Session(graph, Settings(device="cuda:1", provider_options={"prefer_nhwc": 1}))
    assert seen[0][1]["prefer_nhwc"] == "1"
    assert seen[0][1]["device_id"] == "1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": 1}, "'memory', which is none of gpu_mem_limit"),
        ({"gpu_mem_limit": "2GB"}, r"\['gpu_mem_limit'\] must be a positive number of bytes, not '2GB'"),
        ({"gpu_mem_limit": True}, "must be a positive number of bytes, not True"),
        ({"gpu_mem_limit": 0}, "must be a positive number of bytes, not 0"),
        ({"use_tf32": "yes"}, "must be True or False, not 'yes'"),
        ({"use_tf32": 2}, "must be True or False, not 2"),
        ({"arena_extend_strategy": "kDouble"}, "must be kNextPowerOfTwo or kSameAsRequested, not 'kDouble'"),
        ({"cudnn_conv_algo_search": "heuristic"}, "must be EXHAUSTIVE or HEURISTIC or DEFAULT, not 'heuristic'"),
        ({"sdpa_kernel": -1}, "must be a positive integer, not -1"),
        ({"device_id": 1}, "'device_id': device='cuda:N' chooses the GPU"),
        ({"enable_cuda_graph": True}, "'enable_cuda_graph': a captured CUDA graph replays one shape"),
        ([("use_tf32", 1)], "must be a dictionary"),
    ],
)
def test_bad_options_of_cuda(options, message):
    with pytest.raises(OptionError, match=message):
        Settings(device="cuda", provider_options=options)


def test_options_of_cuda_are_for_cuda(tmp_path):
    with pytest.raises(OptionError, match="provider_options are CUDA's, and device is 'cpu'"):
        Settings(provider_options={"use_tf32": True})
    with pytest.raises(OptionError, match="contradict each other: give the options in providers"):
        Settings(device="cuda", providers=["CUDAExecutionProvider"], provider_options={"use_tf32": True})
    with pytest.raises(OptionError, match="provider_options are CUDA's"):
        pipeline("text-classification", tmp_path, provider_options={"use_tf32": True})
    assert Settings(device="auto", provider_options={"use_tf32": False}).provider_options == {"use_tf32": "0"}


def test_onnxruntime_missing(monkeypatch, fresh, graph):
    real = builtins.__import__

    def without(name, *rest):
        if name == "onnxruntime":
            raise ImportError("No module named 'onnxruntime'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"cannot be imported .*pip install 'torchless\[cpu\]'"):
        Session(graph)


@pytest.mark.parametrize("second", ["onnxruntime_gpu-1.31.1.dist-info", "onnxruntime_gpu-1.23.0.egg-info"])
def test_onnxruntime_installed_twice(monkeypatch, tmp_path, fresh, graph, second):
    for name in ("onnxruntime-1.31.1.dist-info", "onnxruntime_genai-1.0.dist-info"):
        (tmp_path / "one" / name).mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "one"), str(tmp_path / "two"), *sys.path])
    assert environment.onnxruntime() is not None
    environment.onnxruntime.cache_clear()
    (tmp_path / "two" / second).mkdir(parents=True)
    with pytest.raises(MissingDependencyError, match="onnxruntime and onnxruntime-gpu are both installed"):
        Session(graph)


@pytest.mark.parametrize(
    ("files", "affinity", "expected"),
    [
        ({}, 6, 6),
        ({"cpu.max": "max 100000"}, 6, 6),
        ({"cpu.max": "200000 100000"}, 6, 2),
        ({"cpu.max": "150000 100000"}, 6, 2),
        ({"cpu.max": "50000 100000"}, 6, 1),
        ({"cpu.max": "900000 100000"}, 6, 6),
        ({"cpu.max": "broken"}, 6, 6),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 6, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 6, 6),
        ({"cpu/cpu.cfs_quota_us": "300000"}, 6, 6),
    ],
)
def test_cpu_count(monkeypatch, tmp_path, files, affinity, expected):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    real = environment.Path
    monkeypatch.setattr(environment, "Path", lambda path: real(str(path).replace("/sys/fs/cgroup", str(tmp_path))))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(affinity)), raising=False)
    assert cpu_count() == expected


def test_cpu_count_without_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(environment, "_cgroup_quota", lambda: None)
    assert cpu_count() == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cpu_count() == 1


_HELD = """
import ctypes, pathlib
from torchless.environment import release_memory
def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.memset.argtypes, libc.free.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t], [ctypes.c_void_p]
blocks = [libc.malloc(50_000) for _ in range(1000)]
for block in blocks:
    libc.memset(block, 1, 50_000)
for block in blocks[:-1]:  # the last one keeps the heap from shrinking by itself
    libc.free(block)
before = resident()
release_memory()
print(before - resident())
"""


@pytest.mark.skipif(environment._malloc_trim() is None, reason="only glibc keeps memory that was freed")
def test_freed_memory_goes_back_to_the_system():
    done = subprocess.run([sys.executable, "-c", _HELD], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 40_000_000


def test_where_the_c_library_keeps_nothing_there_is_nothing_to_do(monkeypatch):
    environment._malloc_trim.cache_clear()
    monkeypatch.setattr(sys, "platform", "darwin")
    environment.release_memory()
    assert environment._malloc_trim() is None
    environment._malloc_trim.cache_clear()


def test_no_plan_of_memory_is_kept_for_each_shape():
    assert sessions._session_options(Settings()).enable_mem_pattern is False
    spin = "session.intra_op.spin_duration_us"
    assert sessions._session_options(Settings()).get_session_config_entry(spin) == "1000"
    given = sessions._session_options(Settings(session_options={spin: "0"}))
    assert given.get_session_config_entry(spin) == "0"
    assert sessions._session_options(Settings(session_options={"enable_mem_pattern": True})).enable_mem_pattern is True
