"""A bundle's variants beside its float32 graphs: size, memory, time on this machine, and how far outputs drift."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torchless.bundle import Bundle
from torchless.errors import OptionError, SessionError
from torchless.files import graph_bytes
from torchless.generation.generator import ENCODER
from torchless.session import Array, Session

from .drift import Drift, drift
from .drift import logits as logits_of
from .forced import Forced, continues
from .samples import Feeds

STEPS = 16
"""Tokens that an answer is taken to have, where the time of an encoder and a decoder become one number."""

# Inputs that time is taken on, and rounds over all of them at the least.
_TIMED = 6
_ROUNDS = 5
_TURN = 0.005  # seconds

_LOAD = """
import json, os, resource, sys
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20
import numpy, tokenizers, onnxruntime
from torchless import Bundle
folder, role, dtypes = json.loads(sys.argv[1])
bundle = Bundle.open(folder, dtype=dtypes)
before = resident()
session = bundle.session(role)
print(json.dumps(resident() - before))
"""


@dataclass(frozen=True)
class Measured:
    """One variant of a graph beside another one of the same graph.

    Attributes:
        dtype: the variant's name.
        bytes: of its ONNX file and of the weight files that belong to it.
        baseline_bytes: the same of the other variant.
        load_mib: MiB by which a fresh process grows when it loads the graph; None where the system does not tell.
        ms: milliseconds of a call, the mean over some recorded inputs of the median of each; of a decoder, steps of
            one token.
        baseline_ms: the same of the other variant, taken in turns with it.
        ratio: ``baseline_ms / ms``: how many times as fast; below 1 the variant is slower.
        drift: how far its outputs are from the other variant's. Of a graph that takes part in generating, how far the
            logits are at the steps of greedy continuations, where the other graphs are the same.
    """

    dtype: str
    bytes: int
    baseline_bytes: int
    load_mib: float | None
    ms: float
    baseline_ms: float
    ratio: float
    drift: Drift


def compare(
    folder: Path,
    dtypes: Mapping[str, str],
    feeds: Feeds,
    *,
    baseline: str = "fp32",
    threads: int | None = None,
    seconds: float = 1.0,
    memory: bool = True,
    forced: Forced | None = None,
    together: bool = False,
) -> dict[str, Measured]:
    """Measure variants of a bundle's graphs.

    Args:
        folder: the bundle's folder.
        dtypes: the variant of each graph that is to be measured.
        feeds: recorded inputs, see :func:`.samples.record`.
        baseline: the variant that all graphs are compared with.
        threads: threads inside one operator; None takes what the process may use.
        seconds: how long time is taken for each graph; each input has five turns at the least.
        memory: whether to measure the memory of loading, in a process for each graph.
        forced: continuations by the baseline, where they were made before.
        together: run each variant beside the others, not beside the baseline's graphs, as what hands over caches in
            float16 must be; variants called fp16 always are.

    Raises:
        OptionError: the bundle has no such variant, or there are no recorded inputs of a graph.
    """
    expected = Bundle.open(folder, dtype=baseline, threads=threads)
    if missing := [role for role in dtypes if not feeds.by_role.get(role)]:
        raise OptionError(f"no recorded inputs of {missing[0]}: record() them with a bundle that has it")
    if forced is None and continues(expected):
        forced = Forced(expected, feeds.by_role)
    found = {}
    for role, dtype in dtypes.items():
        alone = dict.fromkeys(expected.dtypes, baseline) | {role: dtype}
        chosen = alone | dict(dtypes) if together or "fp16" in dtypes.values() else alone
        variant = Bundle.open(folder, dtype=chosen, threads=threads)
        sessions = expected.session(role), variant.session(role)
        times = _times(sessions, _typical(feeds.by_role[role]), seconds)
        found[role] = Measured(
            dtype=dtype,
            bytes=graph_bytes(variant, role),
            baseline_bytes=graph_bytes(expected, role),
            load_mib=_load_mib(folder, role, chosen) if memory else None,
            ms=times[1],
            baseline_ms=times[0],
            ratio=times[0] / times[1],
            drift=drift(*sessions, feeds.by_role[role]) if forced is None else forced.drift(variant),
        )
    return found


def answer_ms(calls: Mapping[str, float]) -> float:
    """Milliseconds of one answer: a call of each graph, and of those that write :data:`STEPS` where one encodes.

    Args:
        calls: milliseconds of a call, by graph.
    """
    return sum(ms * (STEPS if ENCODER in calls and role != ENCODER else 1) for role, ms in calls.items())


def baseline_ms(bundle: Bundle, roles: Sequence[str], feeds: Feeds, seconds: float) -> dict[str, float]:
    """Milliseconds of a call of graphs alone, as :func:`compare` takes them."""
    return {role: _times([bundle.session(role)], _typical(feeds.by_role[role]), seconds)[0] for role in roles}


def outputs_drift(expected: Bundle, variant: Bundle, feeds: Feeds, forced: Forced | None = None) -> Drift:
    """How far all graphs of a variant together are from the bundle as it should be.

    Args:
        expected: the bundle as it should be.
        variant: the same with other graphs.
        feeds: recorded inputs.
        forced: continuations by ``expected``, where they were made before.
    """
    if continues(expected):
        return (forced or Forced(expected, feeds.by_role)).drift(variant)
    (role,) = [role for role in expected.dtypes if logits_of(expected.session(role).outputs)] or ["model"]
    return drift(expected.session(role), variant.session(role), feeds.by_role[role])


def _typical(feeds: Sequence[Mapping[str, Array]]) -> list[Mapping[str, Array]]:
    """Some of the inputs, evenly spread; where a decoder steps by one token, its steps."""
    steps = [feed for feed in feeds if "input_ids" in feed and feed["input_ids"].shape[1] == 1]
    chosen = steps or list(feeds)
    return [chosen[place * len(chosen) // _TIMED] for place in range(_TIMED)] if len(chosen) > _TIMED else chosen


def _times(sessions: Sequence[Session], feeds: Sequence[Mapping[str, Array]], seconds: float) -> list[float]:
    """Milliseconds of a call of each session: means over the feeds of the median times.

    Sessions take turns of several calls, of which the first is not counted: until then the threads of the session
    before may go on waiting for work, and take the processors.
    """
    times: list[list[list[float]]] = [[[] for _ in feeds] for _ in sessions]
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < _ROUNDS or time.perf_counter() < end:
        for place, feed in enumerate(feeds):
            for number, session in enumerate(sessions):
                times[number][place] += _turn(session, feed)
        rounds += 1
    return [statistics.mean(map(statistics.median, of_session)) for of_session in times]


def _turn(session: Session, feed: Mapping[str, Array]) -> list[float]:
    """Milliseconds of some calls: as many as fit into the time of a turn, but one at least."""
    session.run(feed)
    found: list[float] = []
    begin = time.perf_counter()
    while not found or time.perf_counter() - begin < _TURN:
        start = time.perf_counter()
        session.run(feed)
        found.append(1e3 * (time.perf_counter() - start))
    return found


def _load_mib(folder: Path, role: str, dtypes: Mapping[str, str]) -> float | None:
    """MiB by which a fresh process grows when it loads a graph; None without /proc."""
    if not Path("/proc/self/statm").exists():
        return None
    argument = json.dumps([str(folder), role, dict(dtypes)])
    done = subprocess.run([sys.executable, "-c", _LOAD, argument], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SessionError(f"{role} {dtypes[role]} of {folder} does not load in a process of its own: {done.stderr}")
    return float(done.stdout)
