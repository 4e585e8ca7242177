"""Memory of requests that ended: reused, never shared, kept within a limit, and read by nobody as it was left."""

import gc
import threading

import numpy as np
import pytest

from torchless.generation import spare
from torchless.generation.cache import Buffers, Entry
from torchless.generation.spare import Spare

ENTRY = Entry("past_key_values.0.key", "present.0.key", 2, 8, "float32")


def test_memory_comes_back_when_its_user_is_gone() -> None:
    kept = Spare()
    first = Buffers([ENTRY], 3, 10, kept)
    address = first.arrays[0].ctypes.data
    assert kept.kept == 0
    del first
    gc.collect()
    assert kept.kept == 3 * 2 * 10 * 8 * 4
    assert Buffers([ENTRY], 3, 9, kept).arrays[0].ctypes.data == address


def test_two_users_at_once_share_nothing() -> None:
    kept = Spare()
    del (first := [Buffers([ENTRY], 3, 10, kept)])[0]
    gc.collect()
    first += [Buffers([ENTRY], 3, 10, kept), Buffers([ENTRY], 3, 10, kept)]
    assert not np.shares_memory(first[0].arrays[0], first[1].arrays[0])


def test_much_larger_blocks_stay_for_others() -> None:
    kept = Spare()
    kept.give([np.empty(1000, dtype=np.uint8)])
    assert kept.take(499).nbytes == 499
    assert kept.take(500).nbytes == 1000


def test_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare, "LIMIT", 2500)
    kept = Spare()
    for size in (1000, 1001, 1002, 3000):
        kept.give([np.empty(size, dtype=np.uint8)])
    assert kept.kept == 1001 + 1002
    monkeypatch.setattr(spare, "available_memory", lambda: 8 * 1500)
    kept.give([])
    assert kept.kept == 1002


def test_many_threads_take_and_give() -> None:
    kept, mistakes = Spare(), []

    def work(number: int) -> None:
        for _ in range(300):
            block = kept.take(4096)
            block[:] = number
            if (block != number).any():
                mistakes.append(number)
            kept.give([block])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not mistakes
    assert kept.kept <= 4 * 4096


class CollectingGarbage(np.ndarray):
    """A block that collects garbage as soon as it is looked at, as Python may at any moment."""

    @property
    def nbytes(self) -> int:
        gc.collect()
        return super().nbytes


def test_memory_comes_back_while_some_is_taken() -> None:
    kept = Spare()
    kept.give([np.empty(100, dtype=np.uint8).view(CollectingGarbage)])
    user = Buffers([ENTRY], 3, 10, kept)
    user.itself = user  # type: ignore[attr-defined]  # a cycle, which only the garbage collector ends
    del user
    thread = threading.Thread(target=kept.take, args=(100,), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert kept.kept == 3 * 2 * 10 * 8 * 4
