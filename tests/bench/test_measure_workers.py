"""Callers in threads and processes, processes that are started, memory and machine."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.factories import make_bundle
from torchless import Bundle, Settings
from torchless.bench import machine, memory, process, runners
from torchless.bench.job import Job
from torchless.bench.process import Worker
from torchless.bench.runners import Alone, Processes, Threads
from torchless.bench.timing import Call, Share
from torchless.errors import InputError, SessionError
from torchless.files import graph_bytes


@pytest.fixture
def job(tmp_path: Path) -> Job:
    folder = make_bundle(tmp_path / "words", "text-classification", {"fine": (0.0, 1.0)}, ("NEG", "POS"))
    return Job(folder, "text-classification", "fp32", Settings(threads=1), 2, {}, (["fine fine", "fine"],), (7.0,))


class Sleeper:
    """A pipeline that takes 20 ms, and counts who calls it at the same time."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.lock, self.calls, self.now, self.most = threading.Lock(), 0, 0, 0
        self.callers: set[int] = set()
        self.fail_at = fail_at

    def __call__(self) -> Call:
        with self.lock:
            self.calls += 1
            self.now += 1
            self.most = max(self.most, self.now)
            self.callers.add(threading.get_ident())
            number = self.calls
        time.sleep(0.02)
        with self.lock:
            self.now -= 1
        if number == self.fail_at:
            raise InputError("too much")
        return Call(20.0)


def test_threads_share_one_pipeline() -> None:
    sleeper: Any = Sleeper()
    turn = Threads(sleeper, 4, warmup=1).turn(Share(calls=3))
    assert sleeper.most == 4
    assert sleeper.calls == 4 * (1 + 1 + 3), "each warms up, makes a call that does not count, and three that do"
    assert len(turn.calls) == 12
    assert 0.3 * 4 / 0.02 < turn.rate <= 4 / 0.02
    assert turn.cpu_s < 0.2, "sleeping takes no processor"


def test_threads_stop_where_one_fails() -> None:
    sleeper: Any = Sleeper(fail_at=6)
    callers = Threads(sleeper, 3, warmup=0)
    with pytest.raises(InputError, match="too much"):
        callers.turn(Share(calls=2))
    before = threading.active_count()
    with pytest.raises(InputError, match="too much"):  # before all are ready
        Threads(Sleeper(fail_at=1), 3, warmup=0).turn(Share(calls=1))  # type: ignore[arg-type]
    assert threading.active_count() <= before


def test_the_first_call_after_a_pause_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    short: Any = Sleeper()
    Alone(short, warmup=2).turn(Share(calls=3))
    assert short.calls == 2 + 1 + 3
    monkeypatch.setattr(runners, "_SHORT_MS", 10.0)
    long: Any = Sleeper()
    assert len(Alone(long, warmup=2).turn(Share(calls=3)).calls) == 3
    assert long.calls == 2 + 3
    cold: Any = Sleeper()
    Alone(cold, warmup=0).turn(Share(calls=3))
    assert cold.calls == 3


def test_processes_have_a_pipeline_each(job: Job) -> None:
    workers = Processes(job, 2, warmup=1)
    try:
        turn = workers.turn(Share(calls=3))
        assert len(turn.calls) == 6
        assert all(call.ms > 0 and call.amount == 7.0 for call in turn.calls)
        found = workers.memory()
        assert found is not None
        if sys.platform == "linux":
            assert found.resident is not None
            assert found.peak is not None
            assert 20 < found.resident < found.peak < 1000
        pids = {worker._process.pid for worker in workers._workers}
        assert len(pids) == 2
        assert os.getpid() not in pids
        assert len(workers.turn(Share(seconds=0.01)).calls) >= 2
    finally:
        workers.close()
    assert all(worker._process.returncode is not None for worker in workers._workers)


def test_a_worker_that_cannot_open_its_bundle(job: Job) -> None:
    broken = Job(job.folder, job.task, "q4", Settings(threads=1), 1, {}, job.batches, job.amounts)
    with pytest.raises(SessionError, match=r"OptionError: .* has no 'q4' variant"):
        Processes(broken, 2, warmup=0)
    with pytest.raises(SessionError, match=r"OptionError: .* has no 'q4' variant"):
        process.start(broken)


def test_a_worker_that_is_killed(job: Job) -> None:
    worker = Worker(job)
    worker.receive()
    worker._process.kill()
    worker._process.wait()

    def ask() -> None:
        worker.send(1)
        worker.receive()

    with pytest.raises(SessionError, match=r"a worker with .*words ended: it says nothing"):
        ask()
    worker.close()


def test_starting(job: Job) -> None:
    held = np.ones(25_000_000)  # 200 MB of this process, which are not the other's
    found = process.start(job)
    assert set(found) >= {"import_ms", "load_ms", "cold_start_ms"}
    assert found["import_ms"] > 1
    assert found["cold_start_ms"] > found["import_ms"] + found["load_ms"]
    if sys.platform == "linux":
        own = memory.peak_mib()
        assert own is not None
        assert found["resident_mib"] <= found["peak_mib"] < own
        assert found["peak_mib"] < 190 < held.nbytes / 2**20 + 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_this_process() -> None:
    before, peak = memory.resident_mib(), memory.peak_mib()
    assert before is not None
    assert peak is not None
    assert before <= peak
    held = np.ones(8_000_000)
    after = memory.resident_mib()
    assert after is not None
    assert after - before == pytest.approx(held.nbytes / 2**20, abs=15)
    shared = memory.proportional_mib()
    assert shared is not None
    assert 0 < shared <= after + 1


def test_memory_that_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", fail)
    assert memory.resident_mib() is None
    assert memory.proportional_mib() is None
    monkeypatch.setattr(sys, "platform", "win32")
    assert memory.peak_mib() is None


def test_bytes_of_a_graph(job: Job) -> None:
    folder = job.folder / "onnx"
    (folder / "model.onnx_data").write_bytes(bytes(1000))
    assert graph_bytes(Bundle(job.folder), "model") == (folder / "model.onnx").stat().st_size + 1000


def test_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    found = machine.describe(["CPU"])
    assert found["cpus_allowed"] <= found["cpus"]
    assert found["processor"]
    assert "gpus" not in found
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setenv("PATH", "")
    assert machine.describe(["CUDA"])["gpus"] == []


def test_load_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "getloadavg", raising=False)
    assert machine.load() is None
