"""What a second measurement says of the first: how far the ratios to peers moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .peers.table import OURS, family

TARGET = 0.1
"""Share of itself by which a ratio may move."""

Row = Mapping[str, Any]


def check(before: Iterable[Row], again: Iterable[Row], keys: tuple[str, ...], times: tuple[str, ...]) -> None:
    """Print every ratio of both measurements, and how many moved by less than the target.

    Args:
        before: rows that are written.
        again: rows measured now.
        keys: that name a row; ``"contender"`` among them.
        times: the names of what is compared, in a unit of time.

    Raises:
        SystemExit: a ratio moved further, or there is none to compare.
    """
    changes = {}
    for name, (old, new) in moved(before, again, keys, times).items():
        changes[name] = new / old - 1
        print(f"{name}: {old:.2f}, now {new:.2f} ({changes[name]:+.0%})")
    if not changes:
        raise SystemExit("nothing to compare: the cells that were measured now are not written, or have no peer")
    near = sum(abs(change) <= TARGET for change in changes.values())
    furthest = max(changes, key=lambda name: abs(changes[name]))
    print(f"{near} of {len(changes)} ratios moved by {TARGET:.0%} or less; the furthest is {furthest}")
    if near < len(changes):
        raise SystemExit(1)


def moved(
    before: Iterable[Row], again: Iterable[Row], keys: tuple[str, ...], times: tuple[str, ...]
) -> dict[str, tuple[float, float]]:
    """Ratios of a peer's time to ours in the same cell, family and run: before and now, where both have it."""
    old, new = _ratios(before, keys, times), _ratios(again, keys, times)
    return {name: (old[name], ratio) for name, ratio in new.items() if name in old}


def _ratios(rows: Iterable[Row], keys: tuple[str, ...], times: tuple[str, ...]) -> dict[str, float]:
    cells: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        place = tuple(row[key] for key in keys if key != "contender")
        cells.setdefault((*place, row.get("machine"), row.get("date")), []).append(row)
    return {
        f"{' '.join(map(str, cell[:-2]))}: {time}, {peer['contender']} / {ours['contender']}": peer[time] / ours[time]
        for cell, found in cells.items()
        for ours in found
        for peer in found
        if ours["contender"].startswith(OURS)
        and not peer["contender"].startswith(OURS)
        and family(ours["contender"]) == family(peer["contender"])
        for time in times
        if time in ours and time in peer
    }
