"""Callers that share a session: where they are as many as the processors, each computes its call alone.

Threads that share a session share its pool of workers too. Two callers of two threads each are three threads for two
processors, and wait for each other within every operator: on 2 CPUs of an AMD EPYC, BERT-base in int8 then answers 44
texts of 128 tokens in a second, and with a thread for each caller 53. A caller alone wants all the threads (18 ms a
text, 35 with one). So a second session of one thread is opened once that happens again and again, or ahead by
:meth:`Callers.prepare`; it is used while it does. It opens only a graph that was kept in its optimized form
(:mod:`torchless.optimized`): that is mapped, both sessions read the same weights, and the second takes 15 MiB (34 in
float32) and what its calls work in, where a copy takes 110 (420).

Answers of the two may differ in their last bits, as they do between numbers of threads. Steps of generation work in
arrays that are bound to one session: they always run in it, and are not counted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .binding import runtime_errors

PATIENCE = 16
"""Calls that find as many others running before the second session is opened: one of them waits for it."""


class Callers:
    """Which of two sessions computes a call.

    Args:
        session: ONNX Runtime's session with all its threads.
        limit: how many calls at once are too many for it.
        open_alone: opens a second one of the same graph with one thread; None where that would take more memory.
    """

    def __init__(self, session: Any, limit: int, open_alone: Callable[[], Any] | None) -> None:
        self._session, self._limit = session, limit
        self._open_alone = open_alone
        self._alone: Any = None
        self._lock = threading.Lock()
        self._running = self._crowded = 0

    @contextmanager
    def session(self) -> Iterator[Any]:
        """The session that is to compute one call, which lasts until the context ends."""
        counted = False
        try:
            with self._lock:
                self._running += 1
                counted = True
                crowded = self._running >= self._limit
                self._crowded += crowded
                opens = crowded and self._crowded == PATIENCE  # of all callers this one alone
            if opens:
                self._open()
            yield self._alone if crowded and self._alone is not None else self._session
        finally:
            if counted:
                with self._lock:
                    self._running -= 1

    def prepare(self, callers: int) -> None:
        """Open now what so many callers at once will use, rather than in the middle of a call."""
        with self._lock:
            opens = callers >= self._limit and self._crowded < PATIENCE
            if opens:
                self._crowded = PATIENCE
        if opens:
            self._open()

    def _open(self) -> None:
        try:
            self._alone = self._open_alone() if self._open_alone is not None else None
        except runtime_errors():  # the file was removed meanwhile: what is open goes on
            self._open_alone = None
