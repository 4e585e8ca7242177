"""Fresh processes: what starting costs, and workers that each have a pipeline of their own."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import IO, Any

from ..errors import SessionError
from .job import Job
from .memory import peak_mib, proportional_mib
from .timing import Call, Share, Turn, repeat

# Nothing but what an application imports comes before the answer.
_START = """
import time
begin = time.perf_counter()
import torchless
from torchless.environment import onnxruntime
onnxruntime()
imported = time.perf_counter()
import json, pickle, sys
from torchless import Bundle, pipeline
task, folder, settings, dtype, batch_size, options, inputs = pickle.load(sys.stdin.buffer)
opening = time.perf_counter()
answer = pipeline(task, Bundle(folder, settings, dtype), batch_size=batch_size, **options)
loaded = time.perf_counter()
from pathlib import Path
status = Path("/proc/self/status")
resident = status.read_text() if status.exists() else ""
reading = time.perf_counter()
answer(inputs)
sys.stdout.write("answered\\n")
sys.stdout.flush()
from torchless.bench.memory import field, peak_mib
print(json.dumps({"import_ms": 1e3 * (imported - begin), "load_ms": 1e3 * (loaded - opening),
                  "resident_mib": field(resident, "VmRSS:"), "peak_mib": peak_mib()}))
"""
_WORK = "from torchless.bench.process import serve; serve()"


def start(job: Job) -> dict[str, float]:
    """Start a process that answers the job's first call, and ends.

    Returns:
        ``import_ms``: importing torchless and ONNX Runtime; ``load_ms``: opening the bundle and its sessions, and the
        pipeline; ``cold_start_ms``: from the start of the process to the answer; ``resident_mib`` after loading and
        ``peak_mib`` after the answer, where the system tells. The files are in the system's cache, unless nothing has
        read them before.

    Raises:
        SessionError: the process failed.
    """
    content = pickle.dumps(
        (job.task, job.folder, job.settings, job.dtype, job.batch_size, dict(job.options), job.batches[0])
    )
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as complaints:
        given.write(content)
        given.seek(0)
        begin = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", _START], stdin=given, stdout=subprocess.PIPE, stderr=complaints, text=True,
            start_new_session=True,
        ) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                answered = process.stdout.readline()
                cold_start = 1e3 * (time.perf_counter() - begin)
                rest = process.stdout.read()
            except BaseException:  # Ctrl-C does not reach the process itself
                process.kill()
                raise
        if process.returncode or answered.strip() != "answered":
            raise SessionError(f"a process that opens {job.folder} fails: {_read(complaints)}")
    found = {name: value for name, value in json.loads(rest).items() if value is not None}
    return {**found, "cold_start_ms": cold_start}


@dataclass(frozen=True)
class Memory:
    """MiB of a worker, None where the system does not tell.

    Attributes:
        resident: now, a page that n processes share counted as the n-th part.
        peak: the most it ever had, shared pages in full.
    """

    resident: float | None
    peak: float | None


class Worker:
    """A process with a pipeline of its own.

    Args:
        job: what it calls.

    Raises:
        SessionError: it does not start, or dies.
    """

    def __init__(self, job: Job) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  closed with the worker
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints,
            start_new_session=True,
        )  # fmt: skip
        self._job = job
        self.send(job)

    def send(self, message: Any) -> None:
        """Tell the worker what to do: a number of calls that do not count, or a share."""
        assert self._process.stdin is not None
        try:
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
        except OSError as error:
            raise self._died() from error

    def receive(self) -> Any:
        """What it answers to the oldest message: of numbers None, of a share :class:`Turn` and :class:`Memory`."""
        assert self._process.stdout is not None
        try:
            return pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError) as error:
            raise self._died() from error

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._complaints):
            if stream is not None:
                try:
                    stream.close()
                except OSError:  # what was not sent any more
                    continue

    def _died(self) -> SessionError:
        self._process.kill()
        self._process.wait()
        return SessionError(f"a worker with {self._job.folder} ended: {_read(self._complaints)}")


def serve() -> None:
    """Be a worker: open the job on standard input, then do what follows it there."""
    import os

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    messages = sys.stdin.buffer
    job: Job = pickle.load(messages)
    call = job.open()
    pickle.dump(None, answers)
    answers.flush()
    while True:
        try:
            message = pickle.load(messages)
        except EOFError:
            return
        if isinstance(message, Share):
            turn: Turn = repeat(call, message)
            pickle.dump((turn, Memory(proportional_mib(), peak_mib())), answers)
        else:
            found: list[Call] = [call() for _ in range(message)]
            pickle.dump(found, answers)
        answers.flush()


def _read(complaints: IO[bytes]) -> str:
    """The last line that a process wrote to standard error."""
    complaints.seek(0)
    lines = complaints.read().decode("utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it says nothing"
