"""What a result says, in sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby

from .names import CALLERS, FIELDS, VARIANT, described, differing, finite, measured, number, quantity, value
from .result import Result, Row
from .tables import speedups

_INPUT = [field for field in FIELDS if field not in VARIANT and field not in CALLERS]


def sentences(result: Result) -> list[str]:
    """How the variants differ, the quickest answer, the most throughput, what callers reach together, and the start."""
    alone = [row for row in result.rows if row.mode == "alone"]
    return [
        *_speeds(alone),
        *_best(alone, "latency_ms", min, "The quickest answer"),
        *_best(alone, "throughput_per_s", max, "The highest throughput of one caller"),
        *_callers(result.rows),
        *_start(result),
    ]


def _speeds(rows: Sequence[Row]) -> list[str]:
    """Each variant beside the first, over all configurations that both have."""
    found = speedups(rows) if rows else None
    if found is None:
        return []
    base, ratios = found
    variants = [field for field in FIELDS[:2] if field in differing(rows)]
    by_variant: dict[str, list[float]] = {}
    for row, ratio in zip(rows, ratios, strict=True):
        if math.isfinite(ratio):
            by_variant.setdefault(described(row, variants), []).append(ratio)
    told = []
    for variant, several in by_variant.items():
        if variant == base:
            continue
        low, high = f"{min(several):.2f}", f"{max(several):.2f}"
        times = low if low == high else f"{low} to {high}"
        over = "" if len(several) == 1 else f" in {len(several)} configurations"
        told.append(f"{variant} is {times} times as fast as {base}{over}.")
    return told


def _best(rows: Sequence[Row], name: str, choose: Callable[..., Row], what: str) -> list[str]:
    rows = [row for row in rows if finite(row, name)]
    if len(rows) < 2:
        return []
    best = choose(rows, key=lambda row: value(row, name))
    return [f"{what}: {measured(best, name)} {quantity(name).unit} ({_configuration(best, rows)})."]


def _configuration(row: Row, rows: Sequence[Row]) -> str:
    """Its precision, and what differs between rows."""
    apart = differing(rows)
    return described(row, [field for field in FIELDS if field in apart or field.name == "dtype"])


def _callers(rows: Sequence[Row]) -> list[str]:
    """What several callers reach, as a multiple of one in the same configuration; of each mode the best."""

    def place(row: Row) -> str:
        return described(row, [*VARIANT, *_INPUT])

    alone = {place(row): value(row, "throughput_per_s") for row in rows if row.mode == "alone"}
    gains = [
        (row.mode, value(row, "throughput_per_s") / alone[place(row)], row)
        for row in rows
        if row.mode != "alone" and alone.get(place(row)) and finite(row, "throughput_per_s")
    ]
    told = []
    for mode, group in groupby(sorted(gains, key=lambda gain: gain[0]), key=lambda gain: gain[0]):
        _, gain, row = max(group, key=lambda gain: gain[1])
        told.append(f"{row.workers} callers in {mode} reach {gain:.2f} times the throughput of one at the most "
                    f"({described(row, [*VARIANT[1:], *_INPUT])}).")  # fmt: skip
    return told


def _start(result: Result) -> list[str]:
    started = [start for start in result.starts if finite(start, "cold_start_ms")]
    if not started:
        return []
    quickest = min(started, key=lambda start: value(start, "cold_start_ms"))
    memory = value(quickest, "peak_mib")
    held = f", and {number(memory)} MiB" if math.isfinite(memory) else ""
    return [f"From the start of a process to its first answer it takes {measured(quickest, 'cold_start_ms')} ms{held} "
            f"({quickest.dtype})."]  # fmt: skip
