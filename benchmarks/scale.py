"""How this project's cost grows: with length, batch, beams, vocabulary and size, with 1 and 2 threads, fp32 and int8.

``python -m benchmarks.scale`` measures every point, fits the growth, and writes results/scale.json, results/scale.svg
and the section of README.md; ``--quick`` tries it on small models and writes nothing, ``--table`` only makes the
section and the picture again. Some eight minutes on a machine that does nothing else, after a few for exporting, once.

Points of a series take turns; a number is the median of the turns, of which each takes a tenth of a second or a call.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

from torchless import Bundle

from .measure import PAUSE_S, RESULTS, read, write
from .peers.preparation import converted, prepare
from .scaling import report
from .scaling.limits import measured
from .scaling.series import SERIES, Point, timed

THREADS = (1, 2)
PRECISIONS = ("fp32", "int8")
LEAST_S = 0.1


def main(arguments: list[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", nargs="+", choices=SERIES, default=list(SERIES), help="only with --quick")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS, help="only with --quick")
    parser.add_argument("--repeats", type=int, default=5, help="turns of a point")
    parser.add_argument("--quick", action="store_true", help="small models, two turns, nothing is written")
    parser.add_argument("--prepare", action="store_true", help="only export: minutes, measures nothing")
    parser.add_argument("--table", action="store_true", help="only make the section and the picture again")
    asked = parser.parse_args(arguments)
    partial = asked.series != list(SERIES) or tuple(asked.precisions) != PRECISIONS
    if partial and not asked.quick and not asked.prepare:
        parser.error("--series and --precisions go with --quick: fits are of one run, and cover all")
    if asked.table:
        _report()
        return
    rows: list[dict[str, Any]] = []
    for series in asked.series:
        points = SERIES[series].quick if asked.quick else SERIES[series].points
        names = [f"torchless {precision}" for precision in asked.precisions]
        for model in {point.model.name: point.model for point in points}.values():
            prepare(model.name, names, small=asked.quick, suite=model.suite)
        if not asked.prepare:
            rows += measure(series, points, asked.precisions, 2 if asked.quick else asked.repeats, small=asked.quick)
    if asked.prepare:
        return
    limits = {str(threads): measured(threads, quick=asked.quick) for threads in THREADS}
    if asked.quick:
        print(report.section({"rows": rows, "limits": limits}, quick=True))
        return
    print(write("scale", rows, limits=limits))
    _report()


def _report() -> None:
    """The section and the picture, of what is written."""
    content = read("scale")
    if not content["rows"]:
        raise SystemExit(f"nothing is measured yet: {RESULTS / 'scale.json'} is not there")
    print(report.insert(content))
    report.draw(content, RESULTS / "scale.svg")


def measure(
    series: str, points: Iterable[Point], precisions: Iterable[str], repeats: int, *, small: bool
) -> list[dict[str, Any]]:
    """A row for each point, precision and number of threads."""
    timers: dict[tuple[int, str, int], Callable[[], float]] = {}
    for threads in THREADS:
        for precision in precisions:
            bundles: dict[str, Bundle] = {}
            for point in points:
                name = point.model.name
                if name not in bundles:
                    _, folder = converted(name, f"torchless {precision}", small=small)
                    bundles[name] = Bundle.open(folder, threads=threads, dtype=precision)
                timers[point.x, precision, threads] = timed(bundles[name], point)
    times: dict[tuple[int, str, int], list[float]] = {key: [] for key in timers}
    for repeat in range(repeats + 1):
        for key, timer in timers.items():
            time.sleep(PAUSE_S / 3)  # until the last session's threads no longer spin
            found = _turn(timer)
            if repeat:
                times[key].append(found)
    rows = []
    for (x, precision, threads), seconds in times.items():
        rows.append({
            **{"series": series, "x": x, "precision": precision, "threads": threads, "turns": len(seconds)},
            "ms": round(1e3 * statistics.median(seconds), 3),
        })  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def _turn(timer: Callable[[], float]) -> float:
    """The median of as many calls as fit, one at least."""
    seconds: list[float] = []
    begin = time.perf_counter()
    while not seconds or time.perf_counter() - begin < LEAST_S:
        seconds.append(timer())
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
