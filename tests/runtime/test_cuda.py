"""What is said and chosen on CUDA, without a GPU: sessions that say that they run there."""

import warnings

import numpy as np
import pytest

from torchless import Bundle, Session
from torchless.binding import Binding, DeviceArray, Place
from torchless.generation.decoder import memory_class
from torchless.generation.device import DeviceMemory
from torchless.generation.host import HostMemory

from .factories import save_graph
from .generation_factories import make_causal


@pytest.fixture
def folder(tmp_path):
    return make_causal(tmp_path, {"a": {"b": 2.0}, "b": {"a": 1.0}})


@pytest.fixture
def claims_cuda(monkeypatch):
    monkeypatch.setattr(Session, "providers", ["CUDAExecutionProvider", "CPUExecutionProvider"])
    return monkeypatch


def test_state_lies_where_the_graph_runs(folder, monkeypatch):
    session = Bundle.open(folder).session("model")
    assert memory_class(session) is HostMemory
    monkeypatch.setattr(Session, "providers", ["CUDAExecutionProvider", "CPUExecutionProvider"])
    assert memory_class(session) is DeviceMemory


def test_attention_on_the_cpu_is_told_and_works(folder, claims_cuda):
    """The cache then lies where the attention reads it, in the processor's memory."""
    with pytest.warns(UserWarning, match=r"onnx/model.onnx attends over a cache in float32, .* no kernel on CUDA"):
        session = Bundle.open(folder).session("model")
    assert {session.place(spec.name) for spec in (*session.inputs, *session.outputs)} == {Place("cpu", 0)}
    with pytest.warns(UserWarning, match="no kernel on CUDA"):
        generator = Bundle.open(folder).generator()
    found = generator.generate([[5, 6]], max_new_tokens=4, do_sample=False, num_beams=2)
    claims_cuda.undo()
    wanted = Bundle.open(folder).generator().generate([[5, 6]], max_new_tokens=4, do_sample=False, num_beams=2)
    assert found.sequences.tolist() == wanted.sequences.tolist()


def test_attention_on_the_gpu_is_not(folder, claims_cuda):
    claims_cuda.setattr(Session, "place", lambda session, name: Place("cuda"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Bundle.open(folder).session("model")


def test_arrays_of_a_device_are_bound(tmp_path):
    path = save_graph(tmp_path / "double.onnx", "(float[n] x) => (float[n] y) { y = Add(x, x) }")
    binding = Session(path).binding()
    assert isinstance(binding, Binding)
    source, target = DeviceArray.of(np.arange(4, dtype=np.float32), Place()), DeviceArray(Place(), (4,), "float32")
    binding.bind_input("x", source.part(4, (3,)))
    binding.bind_output("y", target.part(0, (3,)))
    binding.run()
    assert target.numpy()[:3].tolist() == [2.0, 4.0, 6.0]
    array = np.zeros(3, dtype=np.float32)
    binding.bind_output("y", array)
    binding.run()
    assert array.tolist() == [2.0, 4.0, 6.0]
