"""Two results side by side: what got faster or slower, and what only seems to have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .doubts import busy
from .names import FIELDS, VARIANT, Measured, described, found, key, number, quantity
from .names import value as value_of
from .result import Result, Row
from .tables import facts

Verdict = Literal["better", "worse", "same"]

THRESHOLD = 0.05
"""Share by which a median must move, beside the intervals being apart.

An interval holds what varies inside one process. Between two processes of the very same program other things differ,
and stay as they are in each: where memory lies, how pages are laid out, what the processor's clock does. They move a
median by a few percent, however often it is measured (Mytkowicz et al., Producing wrong data without doing anything
obviously wrong, 2009; Kalibera and Jones, Rigorous benchmarking in reasonable time, 2013, who ask for several processes
for that reason). Two 95 % intervals are apart by chance in less than one comparison of a hundred; with tens of
configurations there would be a false alarm in every other run without this bound.
"""

LEAST = 5
"""Measurements without which there is no such interval: that of fewer holds the median in 88 % of cases at the most."""

SINGLE = 0.10
"""The same for numbers without an interval, such as throughput under load."""

FILES = 0.01
"""The same for files, which have no noise; but manifests differ by some bytes."""

LEAST_MIB = 2.0
"""Memory that comes and goes with the allocator's pages, however small the model."""

# A median says the same as the throughput of one caller, so that only what callers reach together counts anew.
_LOADED = ("throughput_per_s", "tokens_per_s")
# Settings that are no part of a configuration, and change what is measured.
_HOW = ("optimized", "inputs", "warmup")
_UNJUDGED = ("cpu_per_call_ms",)  # its clock ticks every 10 ms on some systems


@dataclass(frozen=True)
class Change:
    """One quantity of one configuration, in both results.

    Attributes:
        what: the configuration, in words.
        name: of the quantity, as in :class:`.Row`.
        old: the median or value there was.
        new: the one there is.
        ratio: how many times as good the new one is: more than 1 is better, whichever way the quantity counts.
        verdict: whether it moved beyond what noise does.
    """

    what: str
    name: str
    old: float
    new: float
    ratio: float
    verdict: Verdict

    def __str__(self) -> str:
        measured = quantity(self.name)
        amounts = f"{number(self.old)} -> {number(self.new)} {measured.unit}".rstrip()
        return f"{self.what}: {measured.words} {amounts} ({self.ratio:.2f}x)"


@dataclass(frozen=True)
class Comparison:
    """What changed from one result to another.

    Attributes:
        old: when the first was made.
        new: when the second was made.
        changes: every quantity of every configuration that both have.
        only_old: configurations that the second lacks.
        only_new: configurations that the first lacks.
        warnings: why the two may not be comparable.
    """

    old: str
    new: str
    changes: tuple[Change, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def worse(self) -> bool:
        """Whether something got slower, or takes more memory, beyond what noise does."""
        return any(change.verdict == "worse" for change in self.changes)

    def of(self, verdict: Verdict) -> list[Change]:
        """The changes that were judged so, the largest first."""
        return sorted(
            (change for change in self.changes if change.verdict == verdict),
            key=lambda change: -abs(math.log(change.ratio)),
        )


def compare(old: Result, new: Result) -> Comparison:
    """Compare two results, configuration by configuration.

    Where each has one bundle, these are compared whatever they are called.

    Args:
        old: what there was.
        new: what there is.

    Returns:
        All changes. One counts if the intervals of both medians, of :data:`LEAST` measurements or more, are apart and
        the medians differ by more than :data:`THRESHOLD`; without intervals, if it is more than :data:`SINGLE`, or
        :data:`FILES`; memory, more than :data:`THRESHOLD` and :data:`LEAST_MIB`.
    """
    named = any(len(_bundles(one)) > 1 for one in (old, new))
    shown = [field for field in FIELDS if field.name != "bundle" or len(_bundles(old) | _bundles(new)) > 1]
    before, after = _rows(old, named), _rows(new, named)
    changes = tuple(
        _change(before[place], row, name, described(row, shown))
        for place, row in after.items()
        if place in before
        for name in found([before[place]])
        if _comparable(before[place], name) and _comparable(row, name)
    )
    return Comparison(
        old=old.created,
        new=new.created,
        changes=changes,
        only_old=tuple(_what(row, described(row, shown)) for place, row in before.items() if place not in after),
        only_new=tuple(_what(row, described(row, shown)) for place, row in after.items() if place not in before),
        warnings=tuple(_warnings(old, new, [(before[place], row) for place, row in after.items() if place in before])),
    )


def text(comparison: Comparison) -> str:
    """What got slower, what faster, how much is unchanged, and what cannot be compared."""
    lines = [f"warning: {warning}" for warning in comparison.warnings]
    lines.append(f"since {comparison.old}: {summary(comparison)}")
    for heading, changes in (
        ("slower or larger", comparison.of("worse")),
        ("faster or smaller", comparison.of("better")),
    ):
        lines += [f"{heading}:", *(f"  {change}" for change in changes)] if changes else []
    for heading, only in (("not measured any more", comparison.only_old), ("new", comparison.only_new)):
        lines += [f"{heading}:", *(f"  {what}" for what in only)] if only else []
    return "\n".join(lines) + "\n"


def summary(comparison: Comparison) -> str:
    """The counts, in a sentence."""
    better, worse, same = map(len, (comparison.of("better"), comparison.of("worse"), comparison.of("same")))
    if not comparison.changes:
        return "nothing was measured in both"
    return f"{better} better, {worse} worse, {same} unchanged or within the noise"


def _bundles(result: Result) -> set[str]:
    return {row.bundle for row in result.starts} | {row.bundle for row in result.rows}


def _rows(result: Result, named: bool) -> dict[tuple[object, ...], Measured]:
    """Starts and rows by configuration, the bundle's name being a part of it or not."""
    rows: Sequence[Measured] = (*result.starts, *result.rows)
    return {(type(row).__name__, *key(row)[0 if named else 1 :]): row for row in rows}


def _what(row: Measured, configuration: str) -> str:
    return configuration if isinstance(row, Row) else f"start, {configuration}"


def _comparable(row: Measured, name: str) -> bool:
    if name in _UNJUDGED or (name in _LOADED and getattr(row, "mode", "alone") == "alone"):
        return False
    amount = value_of(row, name)
    return math.isfinite(amount) and amount > 0


def _change(before: Measured, after: Measured, name: str, configuration: str) -> Change:
    old, new = value_of(before, name), value_of(after, name)
    ratio = new / old if quantity(name).higher else old / new
    moved = _moved(before, after, name)
    verdict: Verdict = "same" if not moved else "better" if ratio > 1 else "worse"
    return Change(_what(after, configuration), name, old, new, ratio, verdict)


def _moved(before: Measured, after: Measured, name: str) -> bool:
    """Whether a quantity differs by more than noise; a share is of the smaller, so that order does not matter."""
    old, new = value_of(before, name), value_of(after, name)
    share = max(old, new) / min(old, new) - 1
    if name in before.metrics and name in after.metrics:
        one, other = before.metrics[name], after.metrics[name]
        apart = one.high < other.low or other.high < one.low
        return share > THRESHOLD and apart and min(one.n, other.n) >= LEAST
    if name == "bundle_mib":
        return share > FILES
    if name.endswith("_mib"):
        return share > THRESHOLD and abs(new - old) > LEAST_MIB
    return share > SINGLE


def _warnings(old: Result, new: Result, pairs: Sequence[tuple[Measured, Measured]]) -> list[str]:
    """Differences of what was measured, where, and with what; ``pairs`` are what both measured."""
    found = []
    if old.bundle.get("task") != new.bundle.get("task"):
        found.append(f"another task: {old.bundle.get('task')}, now {new.bundle.get('task')}")
    apart = _differences(_steady(old.machine), _steady(new.machine))
    if apart:
        found.append(f"another machine ({apart}): ratios say nothing of the software")
    versions = _differences(old.versions, new.versions)
    if versions:
        found.append(f"other versions: {versions}")
    # Whether optimized graphs were wanted does not matter where the rows tell whether they were used.
    told = pairs and all(row.optimized is not None for pair in pairs for row in pair)
    how = [name for name in _HOW if not (told and name == "optimized")]
    settings = _differences(*({name: one.settings.get(name) for name in how} for one in (old, new)))
    if settings:
        found.append(f"measured in another way: {settings}")
    found += _other_graphs(pairs)
    when = [name for name, result in (("before", old), ("now", new)) if busy(result.machine)]
    if when:
        found.append(f"the machine was not idle {' and '.join(when)}: what seems to have moved may be others' doing")
    found += [f"not all was measured {when}: {'; '.join(one.failed)}"
              for when, one in (("before", old), ("now", new)) if one.failed]  # fmt: skip
    if not pairs:
        found.append("no configuration was measured in both")
    return found


def _other_graphs(pairs: Sequence[tuple[Measured, Measured]]) -> list[str]:
    """Variants that ran optimized graphs in one result and not in the other."""
    found: dict[tuple[str, str], list[str]] = {}
    for before, after in pairs:
        if None in (before.optimized, after.optimized) or _form(before) == _form(after):
            continue
        variants = found.setdefault((_form(before), _form(after)), [])
        variants += [name for name in [described(after, VARIANT[1:3])] if name not in variants]
    return [
        f"other graphs of {'; '.join(variants)}: {before}, now {after}: start-up, memory and callers in threads "
        "do not compare"
        for (before, after), variants in found.items()
    ]


def _form(row: Measured) -> str:
    return f"{' and '.join(sorted(row.optimized))} as torchless optimize keeps it" if row.optimized else "as they are"


def _steady(machine: Mapping[str, Any]) -> dict[str, Any]:
    """What of a machine does not change from minute to minute."""
    return {name: fact for name, fact in machine.items() if name not in ("load", "memory_available_mib")}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    names = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
    return ", ".join(f"{facts({name: old.get(name)}) or f'no {name}'}, now "
                     f"{facts({name: new.get(name)}) or 'none'}" for name in names)  # fmt: skip
