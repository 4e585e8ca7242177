"""Ways to call a pipeline: one call at a time, from several threads, or in several processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from .job import Caller, Job
from .process import Memory, Worker
from .timing import Call, Share, Turn, repeat

# Threads of ONNX Runtime go on waiting for work for a while after a call, some 50 ms on two cores, and would take the
# processors of the configuration that is called next.
PAUSE_S = 0.1
# A turn begins with a call that does not count, as caches hold what was called before; not where calls are so long that
# it makes no difference to them.
_SHORT_MS = 1000.0


class Runner(Protocol):
    """Something that is measured, in turns with others."""

    def turn(self, share: Share) -> Turn:
        """Call as much as the share says."""

    def memory(self) -> Memory | None:
        """Of all workers, after the last turn; None where it cannot be told from that of others."""

    def close(self) -> None:
        """End processes."""


class Alone:
    """One call at a time.

    Args:
        call: a pipeline.
        warmup: calls that do not count.

    Attributes:
        ms: milliseconds of the last of those calls; None without any.
    """

    def __init__(self, call: Caller, warmup: int) -> None:
        self._call = call
        self.ms = [call().ms for _ in range(warmup)][-1] if warmup else None

    def turn(self, share: Share) -> Turn:
        """See :class:`Runner`."""
        time.sleep(PAUSE_S)
        if self.ms is not None and self.ms < _SHORT_MS:
            self._call()
        return repeat(self._call, share)

    def memory(self) -> Memory | None:
        """See :class:`Runner`."""
        return None

    def close(self) -> None:
        """See :class:`Runner`."""


class Threads:
    """Several threads that share one pipeline, and so the threads of its sessions.

    Args:
        call: the pipeline.
        workers: threads that call it.
        warmup: calls of each thread that do not count.
    """

    def __init__(self, call: Caller, workers: int, warmup: int) -> None:
        self._call, self._workers = call, workers
        self._cpu = 0.0
        if warmup:
            self._all(lambda barrier: repeat(call, Share(calls=warmup)))

    def turn(self, share: Share) -> Turn:
        """See :class:`Runner`."""
        time.sleep(PAUSE_S)

        def work(barrier: threading.Barrier) -> Turn:
            self._call()
            barrier.wait()
            return repeat(self._call, share)

        turns = self._all(work)
        return _together(turns, time.process_time() - self._cpu)

    def memory(self) -> Memory | None:
        """See :class:`Runner`."""
        return None

    def close(self) -> None:
        """See :class:`Runner`."""

    def _all(self, work: Callable[[threading.Barrier], Turn]) -> list[Turn]:
        """What every thread found.

        Raises:
            TorchlessError: what a thread raised.
        """
        barrier = threading.Barrier(self._workers, action=self._note)
        found: list[Turn | BaseException] = []

        def run() -> None:
            try:
                found.append(work(barrier))
            except BaseException as error:
                barrier.abort()  # those that wait for this thread
                found.append(error)

        threads = [threading.Thread(target=run, daemon=True) for _ in range(self._workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        errors = [one for one in found if isinstance(one, BaseException)]
        for error in errors:
            if not isinstance(error, threading.BrokenBarrierError):
                raise error
        return [one for one in found if isinstance(one, Turn)]

    def _note(self) -> None:
        """What counts begins now: the time of all threads of this process, those of the sessions too."""
        self._cpu = time.process_time()


class Processes:
    """Several processes that have a pipeline each.

    Args:
        job: what each opens.
        workers: processes.
        warmup: calls of each that do not count.

    Raises:
        SessionError: a process fails.
    """

    def __init__(self, job: Job, workers: int, warmup: int) -> None:
        self._workers: list[Worker] = []
        self._memory: list[Memory] = []
        try:
            for _ in range(workers):
                self._workers.append(Worker(job))
            for worker in self._workers:
                worker.receive()
            self._warm(warmup)
        except BaseException:
            self.close()
            raise

    def turn(self, share: Share) -> Turn:
        """See :class:`Runner`."""
        time.sleep(PAUSE_S)
        self._warm(1)
        for worker in self._workers:
            worker.send(share)
        found: list[tuple[Turn, Memory]] = [worker.receive() for worker in self._workers]
        self._memory = [memory for _, memory in found]
        turns = [turn for turn, _ in found]
        return _together(turns, sum(turn.cpu_s for turn in turns))

    def memory(self) -> Memory | None:
        """See :class:`Runner`."""
        resident = [memory.resident for memory in self._memory if memory.resident is not None]
        peak = [memory.peak for memory in self._memory if memory.peak is not None]
        return Memory(sum(resident) if resident else None, sum(peak) if peak else None)

    def close(self) -> None:
        """See :class:`Runner`."""
        for worker in self._workers:
            worker.close()

    def _warm(self, calls: int) -> None:
        """Let all workers make calls that do not count, and wait until the last has."""
        for worker in self._workers:
            worker.send(calls)
        for worker in self._workers:
            worker.receive()


def _together(turns: list[Turn], cpu_s: float) -> Turn:
    """Turns that were begun at the same time, and are over with the last of them."""
    calls: list[Call] = [call for turn in turns for call in turn.calls]
    seconds = max(len(turn.calls) / turn.rate for turn in turns)
    return Turn(calls, len(calls) / seconds, cpu_s)
