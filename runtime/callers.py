"""Callers that share a session: where they are as many as its threads, each computes its call alone.

Threads that share a session share its pool of workers too. Two callers of two threads each are three threads for two
processors, and wait for each other within every operator: on an AMD EPYC, BERT-base in int8 then answers 41 texts of
128 tokens in a second, and with a thread for each caller 52 to 55. A caller alone wants all the threads (23 ms a text,
37 with one). So a second session of one thread is opened once that happens again and again; it is used while it does.
It opens only a graph that was kept in its optimized form (:mod:`torchless.optimized`): that is mapped, both sessions
read the same weights, and the second takes 15 MiB (34 in float32), where a copy takes 110 (420). Steps of generation
work in arrays that are bound to one session, and always run in it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .binding import runtime_errors

PATIENCE = 16
"""Calls that find all threads taken before the second session is opened: it takes as long as a few calls."""


class Callers:
    """Which of two sessions computes a call.

    Args:
        session: ONNX Runtime's session with all its threads.
        threads: how many.
        open_alone: opens a second one of the same graph with one thread; None where it would take more memory.
    """

    def __init__(self, session: Any, threads: int, open_alone: Callable[[], Any] | None) -> None:
        self._session, self._threads = session, threads
        self._open_alone = open_alone if threads > 1 else None
        self._alone: Any = None
        self._lock = threading.Lock()
        self._running = self._crowded = 0

    @contextmanager
    def session(self) -> Iterator[Any]:
        """The session that is to compute one call, which lasts until the context ends."""
        with self._lock:
            self._running += 1
            crowded = self._open_alone is not None and self._running >= self._threads
            self._crowded += crowded
            opens = crowded and self._crowded == PATIENCE  # of all callers this one alone
        try:
            if opens:
                self._open()
            yield self._alone if crowded and self._alone is not None else self._session
        finally:
            with self._lock:
                self._running -= 1

    def _open(self) -> None:
        try:
            self._alone = self._open_alone() if self._open_alone is not None else None
        except runtime_errors():  # the file was removed meanwhile: what is open goes on
            self._open_alone = None
