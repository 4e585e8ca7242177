"""This project's sessions, with the profiler of ONNX Runtime."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from torchless import Bundle

from ..peers.worker import THREADS
from .kinds import Work, of_onnx, summed

_TEXT = ("input_ids", "attention_mask", "token_type_ids")
_KERNEL, _CALL = "_kernel_time", "model_run"


class Graph:
    """A graph of a bundle; see :class:`.worker.Graph`."""

    def __init__(self, folder: Path, precision: str, *, timed: bool) -> None:
        self._profiles = Path(tempfile.mkdtemp()) if timed else None
        options = {"enable_profiling": True, "profile_file_prefix": f"{self._profiles}/profile"} if timed else None
        self._session = Bundle.open(folder, threads=THREADS, dtype=precision, session_options=options).session()
        self._calls = self._skipped = 0

    def run(self, arrays: list[Any]) -> None:
        """Call it."""
        names = _TEXT if len(arrays) > 1 else (self._session.inputs[0].name,)
        self._session.run(dict(zip(names, arrays, strict=True)))
        self._calls += 1

    def turn_over(self) -> None:
        """What comes before the first turn is left out."""
        self._skipped = self._skipped or self._calls

    def spent(self) -> list[dict[str, dict[str, float]]]:
        """Every call, from the file that ONNX Runtime writes when the session goes; none where nothing was timed."""
        del self._session
        if self._profiles is None:
            return []
        (profile,) = self._profiles.glob("*.json")
        events = json.loads(profile.read_text(encoding="utf-8"))
        shutil.rmtree(self._profiles)
        return [summed(call) for call in works(events)[self._skipped :]]


def works(events: list[dict[str, Any]]) -> list[list[Work]]:
    """What each call was spent on, by the events of ONNX Runtime's profiler: kernels, and the calls that hold them."""
    calls = sorted((event for event in events if event["name"] == _CALL), key=lambda event: event["ts"])
    kernels = sorted((event for event in events if event["name"].endswith(_KERNEL)), key=lambda event: event["ts"])
    found: list[list[Work]] = []
    for call in calls:
        within = (kernel for kernel in kernels if call["ts"] <= kernel["ts"] <= call["ts"] + call["dur"])
        found.append([_work(kernel) for kernel in within])
    return found


def _work(kernel: dict[str, Any]) -> Work:
    given, made = (_first(kernel["args"][f"{side}_type_shape"]) for side in ("input", "output"))
    return of_onnx(kernel["args"]["op_name"], kernel["dur"] / 1e3, given, made)


def _first(shapes: list[dict[str, list[int]]]) -> list[int]:
    """The shape of the first tensor, each of which is written as ``{type: shape}``."""
    return next(iter(shapes[0].values())) if shapes else []
