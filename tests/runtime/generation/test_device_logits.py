"""Logits in a device's memory, which is here the processor's: what is found there, and what is copied."""

import numpy as np
import pytest

from torchless.binding import DeviceArray, Place
from torchless.errors import OptionError
from torchless.generation.device_logits import DeviceLogits, read
from torchless.generation.kernels import _parts, kernels
from torchless.generation.logits import log_softmax
from torchless.generation.sampling import Filtered, Temperature, TopK, top_p
from torchless.generation.selection import largest

CPU = Place()
RANDOM = np.random.default_rng(0)


def device_logits(scores):
    return DeviceLogits(DeviceArray.of(scores[:, None], CPU), kernels(CPU))


@pytest.fixture
def scores():
    """Many of them equal."""
    return RANDOM.integers(-20, 20, (3, 200)).astype(np.float32)


def test_arrays_lie_where_they_are_put():
    array = DeviceArray.of(np.arange(12, dtype=np.float32).reshape(3, 4), CPU)
    assert array.numpy().tolist() == np.arange(12.0).reshape(3, 4).tolist()
    array.numpy()[:] = 0
    assert array.numpy().sum() == 66
    part = array.part(16, (2, 2, 2))
    assert (part.shape, part.dtype, part.address - array.address) == ((2, 2, 2), np.float32, 16)


def test_more_memory_than_there_is():
    with pytest.raises(OptionError, match=r"GiB cannot be had on cpu:0: ask for fewer beams"):
        DeviceArray(CPU, (1 << 46,), "float32")


@pytest.mark.parametrize("k", [1, 2, 8, 199, 200])
def test_largest(scores, k):
    for found, wanted in zip(device_logits(scores).largest(k), largest(scores, k), strict=True):
        assert found.tolist() == wanted.tolist()


def test_the_first_of_equal_scores(scores):
    assert device_logits(scores).argmax(axis=1).tolist() == scores.argmax(axis=1).tolist()
    assert device_logits(np.zeros((2, 70), dtype=np.float32)).argmax().tolist() == [0, 0]


def test_logarithms(scores):
    found, wanted = device_logits(scores).logarithms(), log_softmax(scores.copy())
    np.testing.assert_allclose(found.read(), wanted, rtol=1e-5)
    values, places = found.largest(8)
    np.testing.assert_allclose(values, largest(wanted, 8)[0], rtol=1e-5)
    assert places.tolist() == largest(scores, 8)[1].tolist()


def test_repeated_rows(scores):
    found = device_logits(scores).repeat(2).repeat(2)
    assert found.shape == (12, 200)
    assert found.read().tolist() == scores.repeat(4, axis=0).tolist()
    assert found.argmax().tolist() == scores.argmax(axis=1).repeat(4).tolist()


def test_scores_of_the_next_call(scores):
    array = DeviceArray.of(scores[:, None], CPU)
    looked = DeviceLogits(array, kernels(CPU))
    assert looked.argmax().tolist() == scores.argmax(axis=1).tolist()
    array._value.update_inplace(-scores[:, None])
    assert looked.argmax().tolist() == scores.argmin(axis=1).tolist()
    assert looked.read().tolist() == (-scores).tolist()


def test_what_is_read_may_be_changed(scores):
    looked = device_logits(scores)
    looked.read()[:] = np.nan
    assert looked.read().tolist() == scores.tolist()
    assert read(scores) is scores


def after(changes, scores):
    for change in changes:
        scores = change(None, scores)
    return scores


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [TopK(5)],
        [Temperature(0.7), TopK(5)],
        [Temperature(0.7), TopK(1), Filtered(lambda row, least: top_p(row, 0.8, least), 1)],
        [Temperature(1.5), TopK(50), Filtered(lambda row, least: top_p(row, 0.5, least), 1)],
        [Temperature(0.7)],
        [TopK(200)],
        [TopK(1000)],
        [Filtered(lambda row, least: top_p(row, 0.5, least), 1), TopK(5)],
    ],
)
@pytest.mark.parametrize("equal", [False, True])
def test_processors_find_what_they_want(changes, equal, scores):
    if not equal:
        scores = RANDOM.permuted(np.arange(600, dtype=np.float32).reshape(3, 200), axis=1) / 7
    wanted = after(changes, scores.copy())
    narrowed, left = device_logits(scores).narrow(changes)
    assert after(left, narrowed).tolist() == wanted.tolist()


def test_filters_copy_only_what_they_leave(monkeypatch):
    scores = RANDOM.permuted(np.arange(600, dtype=np.float32).reshape(3, 200), axis=1)
    monkeypatch.setattr(DeviceLogits, "read", lambda scores: pytest.fail("all were copied"))
    narrowed, left = device_logits(scores).narrow([Temperature(2.0), TopK(4)])
    assert left == []
    assert (narrowed > -np.inf).sum(axis=1).tolist() == [4, 4, 4]


def test_scores_that_become_equal_by_division():
    """In float32 both quotients are 1: the filter leaves both."""
    scores = np.array([[3.0, np.nextafter(np.float32(1), np.float32(0)), 1.0, 0.0]], dtype=np.float32)
    changes = [Temperature(3e38), TopK(2)]
    narrowed, left = device_logits(scores).narrow(changes)
    assert after(left, narrowed).tolist() == after(changes, scores.copy()).tolist()


def test_rows_are_copied_bit_by_bit():
    numbers = RANDOM.integers(0, 1 << 32, (2, 3, 5), dtype=np.uint32).view(np.float32)
    numbers[0, 0, 0] = np.nan
    source, target = DeviceArray.of(numbers, CPU), DeviceArray(CPU, (2, 4, 5), "float32")
    kernels(CPU).take(source, target, np.array([2, 2, 0, 1]))
    assert target.numpy().view(np.uint32).tolist() == numbers[:, [2, 2, 0, 1]].view(np.uint32).tolist()
    kernels(CPU).clear(target)
    assert not target.numpy().view(np.uint32).any()


def test_long_arrays_are_copied_in_parts(monkeypatch):
    monkeypatch.setattr("torchless.generation.kernels._MOST", 45)
    numbers = RANDOM.random((7, 3, 5), dtype=np.float32)
    source, target = DeviceArray.of(numbers, CPU), DeviceArray(CPU, (7, 4, 5), "float32")
    assert [part.shape[0] for part in _parts(source, target)] == [2, 2, 2, 1]
    kernels(CPU).take(source, target, np.array([0, 2, 1, 1]))
    assert target.numpy().tolist() == numbers[:, [0, 2, 1, 1]].tolist()


def test_the_graphs_are_what_the_script_writes(root):
    onnx = pytest.importorskip("onnx", reason="the script needs onnx")
    del onnx
    import runpy

    script = runpy.run_path(str(root / "scripts" / "device_graphs.py"))
    files = {path.name: path.read_bytes() for path in (root / "runtime/generation/graphs").glob("*.onnx")}
    assert files == script["serialized"]()
