"""What speaks against a benchmark's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..environment import cpu_count
from .names import VARIANT, described, differing
from .plan import Plan
from .result import Row
from .timing import CERTAIN, confidence

# Share of the CPUs that others may have kept busy.
_IDLE = 0.25
# Half of the median's interval as a share of the median, and of how many rows it is told.
_UNSURE, _TOLD = 0.1, 3


def doubts(rows: Sequence[Row], asked: Plan, machine: Mapping[str, Any]) -> list[str]:
    """Notes on too few calls, a busy machine, more threads than CPUs, optimized graphs, and medians not known well.

    Args:
        rows: what was measured.
        asked: what was asked for.
        machine: see :func:`.machine.describe`.
    """
    found = [busy(machine), _few(asked), _crowded(rows), _optimized(rows), _unsure(rows)]
    return [note for note in found if note is not None]


def busy(machine: Mapping[str, Any]) -> str | None:
    """A note where others kept the machine busy when the benchmark began."""
    load, cpus = machine.get("load"), machine.get("cpus") or 1
    if load is None or load <= _IDLE * cpus:
        return None
    return (
        f"the machine was not idle: when the benchmark began its load average of the last minute was {load:g}, on "
        f"{cpus} CPUs; times may be too long"
    )


def _few(asked: Plan) -> str | None:
    counts = {"call": asked.repeats, "start": asked.starts or None}
    few = {what: count for what, count in counts.items() if count is not None and count < CERTAIN}
    if not few:
        return None
    told = " and ".join(
        f"{count} {what}{'s' * (count > 1)} ({100 * confidence(count):.0f} %)" for what, count in few.items()
    )
    return (
        f"few were measured: {told}; the median's interval is then from the least to the most, which holds it with "
        f"the confidence in brackets; 95 % need {CERTAIN}"
    )


def _crowded(rows: Sequence[Row]) -> str | None:
    # Threads that share a session bring themselves along; processes have all of theirs.
    busiest = max((row.workers * row.threads for row in rows if row.mode == "processes"), default=0)
    if busiest <= cpu_count():
        return None
    return (
        f"{busiest} threads on {cpu_count()} CPUs: processes take them from each other; fewer threads for each may be "
        "faster"
    )


def _optimized(rows: Sequence[Row]) -> str | None:
    fields = [field for field in VARIANT if field.name == "dtype" or field in differing(rows)]
    kept = dict.fromkeys(described(row, fields) for row in rows if row.optimized)
    others = dict.fromkeys(described(row, fields) for row in rows if not row.optimized)
    if not kept:
        return None
    told = f"graphs in the form that torchless optimize keeps ran for {'; '.join(kept)}"
    if not others:
        return told
    return f"{told}, and not for {'; '.join(others)}: start-up, memory and callers in threads do not compare"


def _unsure(rows: Sequence[Row]) -> str | None:
    shares = []
    for row in rows:
        latency = row.metrics["latency_ms"]
        shares.append(((latency.high - latency.low) / 2 / latency.p50, row))
    wide = sorted((share, place) for place, (share, _) in enumerate(shares) if share > _UNSURE)[::-1]
    if not wide:
        return None
    listed = ", ".join(f"{described(shares[place][1])} ({100 * share:.0f} %)" for share, place in wide[:_TOLD])
    return (
        f"of {len(wide)} of {len(rows)} configurations the median latency is known to {100 * _UNSURE:.0f} % or worse: "
        f"{listed}{', ...' if len(wide) > _TOLD else ''}; measure longer, or on a quieter machine"
    )
