"""The section of benchmarks/README.md on operators, made from the rows of results/operators.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..peers.recognition_models import MODELS as TITLES
from ..peers.table import OURS, Row, Runs, family, replace, same_run
from .kinds import KINDS

_PEER = "openvino "
# One side's kinds are parts of the other's products: what a product is, to the end of its line.
_GROUPS = {
    "products, convolution, sums, GELU, norms, rounding": (
        "products", "convolution", "sums", "activation", "norms", "rounding",
    ),
    "attention": ("attention",),
    "copies, rest": ("copies", "rest"),
}  # fmt: skip
_LEAST = 0.03  # of a call

Cell = tuple[str, str, int]
Process = tuple[str, int]


def insert(rows: Iterable[Row]) -> str:
    """Put the tables into the README, in the place of the last ones; returns them."""
    return replace("operators", section(rows))


def section(rows: Iterable[Row]) -> str:
    """For each model milliseconds by kind and the speed of its products, then what separates the two sides."""
    cells: dict[Cell, dict[Process, Row]] = {}
    for row in rows:
        cells.setdefault((row["model"], row["input"], row["batch"]), {})[row["contender"], row["threads"]] = row
    tables = []
    for model in dict.fromkeys(model for model, *_ in cells):
        own = {cell: found for cell, found in cells.items() if cell[0] == model}
        tables += [_kinds(model, own), _products(model, own)]
    runs = Runs(row for found in cells.values() for row in found.values())
    return runs.line() + "\n".join([*tables, _difference(cells)])


def _table(heads: list[str], lines: Iterable[list[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in [heads, ["---", *["--:"] * (len(heads) - 1)], *lines])


def _threads(found: Mapping[Process, Row]) -> tuple[list[str], list[int]]:
    """The contenders, and the least and the greatest number of threads."""
    contenders = list(dict.fromkeys(contender for contender, _ in found))
    numbers = sorted({threads for _, threads in found})
    return contenders, [numbers[0], numbers[-1]]


def _products(model: str, cells: Mapping[Cell, Mapping[Process, Row]]) -> str:
    """1e9 operations in a second, of all products, and of those with the shapes that take some time."""
    rows = [row for found in cells.values() for row in found.values()]
    shapes = {shape: None for row in rows for shape, ms in row["products"].items() if ms > _LEAST * row["ms"]}
    lines = []
    for (_, given, batch), found in cells.items():
        contenders, threads = _threads(found)
        for contender in contenders:
            one, more = (found[contender, number]["gops"] for number in threads)
            entries = [f"{one[name]:.0f} → {more[name]:.0f}" if name in one else "" for name in ("all", *shapes)]
            lines.append([f"{batch} x {given}, {contender}", *entries])
    return _table([f"{TITLES[model]}, GOPS of products", "all", *shapes], lines)


def _kinds(model: str, cells: Mapping[Cell, Mapping[Process, Row]]) -> str:
    """Milliseconds with one thread and two, and how many times as fast two are."""
    kinds = [kind for kind in KINDS if any(kind in row["kinds"] for found in cells.values() for row in found.values())]
    lines = []
    for (_, given, batch), found in cells.items():
        contenders, threads = _threads(found)
        for contender in contenders:
            one, more = (found[contender, number] for number in threads)
            entries = [_times(one["kinds"].get(kind, 0), more["kinds"].get(kind, 0)) for kind in kinds]
            lines.append([
                f"{batch} x {given}, {contender}",
                f"**{_times(one['ms'], more['ms'])}**",
                *entries,
                _times(one["between"], more["between"]),
            ])  # fmt: skip
    return _table([f"{TITLES[model]}, ms", "call", *kinds, "between"], lines)


def _times(one: float, more: float) -> str:
    if not one and not more:
        return ""
    gained = f" ({one / more:.2f})" if one >= 1 and more > 0 else ""
    return f"{one:.1f} → {more:.1f}{gained}"


def _difference(cells: Mapping[Cell, Mapping[Process, Row]]) -> str:
    """Milliseconds that ours takes more than OpenVINO, by groups of kinds that hold the same work on both sides."""
    lines = []
    for (model, given, batch), found in cells.items():
        for (contender, threads), ours in found.items():
            peer = found.get((f"{_PEER}{family(contender)}", threads))
            if not contender.startswith(OURS) or peer is None or not same_run(ours, peer):
                continue
            parts = [
                sum(ours["kinds"].get(kind, 0) - peer["kinds"].get(kind, 0) for kind in kinds)
                for kinds in _GROUPS.values()
            ]
            lines.append([
                f"{model} {batch} x {given}, {contender}, {threads} thread{'s' if threads > 1 else ''}",
                f"**{ours['ms'] - peer['ms']:+.1f}** of {peer['ms']:.1f}",
                *(f"{part:+.1f}" for part in [*parts, ours["between"] - peer["between"]]),
            ])  # fmt: skip
    return _table(["ms more than OpenVINO", "call", *_GROUPS, "between"], lines)
