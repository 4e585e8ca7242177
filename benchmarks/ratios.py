"""Every measurement beside its peers: how many times as long they take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .peers import models, recognition_models
from .peers.table import OURS, Row, family, same_run

FAMILIES = {"fp32": "float32", "int8": "int8"}
WHOLE, FIRST, ONCE = "generating 64 tokens", "up to the first token", "text, speech and vision: a call"


@dataclass(frozen=True)
class Ratio:
    """One cell beside one peer.

    Attributes:
        section: what was timed.
        model: its name.
        kind: the precision, a key of :data:`FAMILIES`.
        peer: the engine.
        times: how many times as long it takes as this project.
        machine: what both ran on.
        date: of the run.
    """

    section: str
    model: str
    kind: str
    peer: str
    times: float
    machine: str
    date: str


@dataclass(frozen=True)
class FirstAnswer:
    """A process from its start to its first answer.

    Attributes:
        engine: what answers.
        seconds: that it takes.
        mib: the most memory that it has held.
        machine: what it ran on.
        date: of the run.
    """

    engine: str
    seconds: float
    mib: float
    machine: str
    date: str


def first_answers(footprint: Iterable[Row]) -> list[FirstAnswer]:
    """The first answers among the rows of results/footprint.json, of those checkpoints that all engines can run."""
    start = "first answer, "
    rows = [row for row in footprint if row["what"].startswith(start)]
    checkpoints: dict[str, set[str | None]] = {}
    for row in rows:
        checkpoints.setdefault(row["what"], set()).add(row.get("checkpoint"))
    shared = set.intersection(*checkpoints.values()) if checkpoints else set()
    return [
        FirstAnswer(row["what"].removeprefix(start), row["process_s"], row["MiB"], row["machine"], row["date"])
        for row in rows
        if row.get("checkpoint") in shared
    ]


def ratios(generation: Iterable[Row], recognition: Iterable[Row]) -> list[Ratio]:
    """Every cell beside every peer of its precision, on the same machine and day.

    Args:
        generation: rows of results/generation.json; the time of an answer is that of all its tokens.
        recognition: rows of results/recognition.json.
    """
    cells: dict[tuple[Any, ...], list[tuple[Row, float]]] = {}
    for row in generation:
        shape = (row["batch"], row["input"], row["beams"])
        name = models.MODELS[row["model"]]
        whole = row["prefill_ms"] + (row["new"] - 1) * row["step_ms"]
        for section, ms in ((WHOLE, whole), (FIRST, row["prefill_ms"])):
            cells.setdefault((section, name, family(row["contender"]), shape), []).append((row, ms))
    for row in recognition:
        shape = (row["work"], row["input"], row["batch"])
        name = recognition_models.MODELS[row["case"]]
        cells.setdefault((ONCE, name, family(row["contender"]), shape), []).append((row, row["ms"]))
    return [
        ratio
        for (section, name, kind, _), cell in cells.items()
        if kind in FAMILIES
        for ratio in _beside_peers(section, name, kind, cell)
    ]


def _beside_peers(section: str, name: str, kind: str, cell: Sequence[tuple[Row, float]]) -> list[Ratio]:
    """A cell beside each peer, the fastest variant of both."""
    best: dict[str, Ratio] = {}
    fastest: dict[str, float] = {}
    for row, ms in cell:
        peer = row["contender"].split()[0]
        ours = [other_ms for other, other_ms in cell if other["contender"].startswith(OURS) and same_run(row, other)]
        if row["contender"].startswith(OURS) or not ours or ms >= fastest.get(peer, math.inf):
            continue
        fastest[peer] = ms
        best[peer] = Ratio(section, name, kind, peer, ms / min(ours), row["machine"], row["date"])
    return list(best.values())
