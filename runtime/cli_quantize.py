"""``torchless quantize``: variants of a bundle in lower precision, and what they cost and gain."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bundle import Bundle
from .cli_run import flag
from .errors import OptionError
from .progress import default_report, timed

if TYPE_CHECKING:
    from torchless.quantize import Scheme, Variant
    from torchless.quantize.evaluation import Scores
    from torchless.quantize.labelled import Labelled
    from torchless.quantize.plans import Choice
    from torchless.quantize.reported import Report

SCHEME_HELP = (
    "int8: weights and activations of products in 8 bits, ranges found in each call; int8-static: ranges calibrated "
    "beforehand, convolutions too; q8, q4: weights alone, in blocks; fp16. Several make a variant each; "
    "ROLE=SCHEME chooses for one graph, such as encoder_model=int8 decoder_model=q4"
)
_OPTIONS = ("method", "percentile", "block_size", "symmetric", "accuracy_level", "exclude", "reduce_range")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("bundle", help="folder of a bundle")
    parser.add_argument("--scheme", nargs="+", metavar="SCHEME", help=f"{SCHEME_HELP} (default: int8)")
    parser.add_argument("--overwrite", action="store_true", help="replace variants that are already there")
    parser.add_argument(
        "--no-recommend", action="store_true", help="do not let dtype=auto pick by what is measured now"
    )
    parser.add_argument("--threads", type=int, help="threads inside one operator while measuring")
    parser.add_argument("--json", action="store_true", help="as JSON")
    data = parser.add_argument_group("inputs to calibrate and to compare on; without, those that the bundle recorded")
    data.add_argument("--calibrate", type=Path, metavar="PATH", help="a file or folder of texts, sounds or pictures")
    data.add_argument("--limit", type=int, default=128, help="inputs that are used at the most (default: 128)")
    _add_options(parser.add_argument_group("options of the schemes"))
    _add_report(parser.add_argument_group("report: size, memory, speed, drift and quality of each variant"))


def _add_options(group: argparse._ArgumentGroup) -> None:
    switch = argparse.BooleanOptionalAction
    group.add_argument("--method", help="int8-static: percentile, minmax or entropy (default: percentile)")
    group.add_argument("--percentile", type=float, help="int8-static: of the values inside the range (default: 99.99)")
    group.add_argument(
        "--block-size", type=int, help="q8, q4: weights that share a scale (default: 128 for q8, 32 for q4)"
    )
    group.add_argument(
        "--asymmetric", dest="symmetric", action="store_const", const=False, help="q8, q4: with zero points"
    )
    group.add_argument("--accuracy-level", type=int, help="q8, q4: 4 multiplies in int8, 1 in float32")
    group.add_argument("--exclude", nargs="+", metavar="NAME", help="weights or nodes to leave; * and ? stand for any")
    group.add_argument("--reduce-range", action=switch, help="int8: weights of 7 bits (default: as is needed here)")


def _add_report(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--report", nargs="?", const="", metavar="FILE", help="print a table; into FILE as JSON too")
    group.add_argument("--metric-file", type=Path, metavar="FILE", help="labelled examples: JSON, JSON Lines, CSV, TSV")
    group.add_argument(
        "--max-drop",
        metavar="POINTS",
        help="find the fastest variant that loses at most so much, such as 0.5%%, of the metric (without a "
        "--metric-file: of the answers that are float32's); refuse if none does",
    )
    group.add_argument("--plot", type=Path, metavar="FILE", help="draw size, speed and quality: .png, .svg or .pdf")


def run(parsed: argparse.Namespace) -> None:
    """Quantize, and report.

    Raises:
        TorchlessError: a mistake of the user, or a variant that is too far from float32.
    """
    from torchless import quantize

    _check_report(parsed)
    options = {name: value for name in _OPTIONS if (value := getattr(parsed, name)) is not None}
    chosen: Sequence[Choice] = choices(parsed.scheme or ["int8"])
    answered = None
    if parsed.max_drop is not None:
        chosen = [_searched(parsed, options)]
    elif parsed.metric_file is not None:
        answered = _answered(parsed, chosen, options)
    made = quantize.quantize(
        parsed.bundle,
        chosen,
        calibrate=parsed.calibrate,
        limit=parsed.limit,
        recommend=not parsed.no_recommend,
        overwrite=parsed.overwrite,
        threads=parsed.threads,
        **options,
    )
    reported = _report(parsed, _dtypes(parsed, made), answered) if wants_report(parsed) else None
    if parsed.json:
        print(reported.to_json() if reported is not None else json.dumps(list(map(_described, made))))
        return
    print(reported.to_text().rstrip() if reported is not None else table(made))
    automatic = Bundle.open(parsed.bundle)
    picks = ", ".join(f"{automatic.dtype(role)} for {role}" for role in automatic.dtypes)
    print(f"dtype=auto picks {picks} on the CPU")
    if parsed.calibrate is None:
        print("to let it pick a variant of these, compare them on inputs of your own: --calibrate PATH, 16 or more")


def choices(words: Sequence[str]) -> list[str | dict[str, str]]:
    """Schemes of the command line: names, and one choice by role of the words ROLE=SCHEME.

    Raises:
        OptionError: a role that is chosen for twice.
    """
    by_role: dict[str, str] = {}
    for role, _, scheme in (word.partition("=") for word in words if "=" in word):
        if role in by_role:
            raise OptionError(f"two schemes for {role}: {by_role[role]} and {scheme}")
        by_role[role] = scheme
    return [*(word for word in words if "=" not in word), *([by_role] if by_role else [])]


def table(made: Sequence[Variant]) -> str:
    """What was made, a line for each graph."""
    rows = [("graph", "variant", "size", "speed", "drift", "same", "weights")]
    for variant in made:
        account = variant.graph.quantization or {}
        counts = f"{len(account['quantized'])} quantized, {len(account['left'])} left"
        measured = variant.measured
        if measured is None:
            rows.append((variant.role, variant.dtype, "-", "-", "-", "-", counts))
            continue
        size, same = measured.bytes / measured.baseline_bytes, measured.drift.agreement
        numbers = f"{100 * size:.0f}%", f"{measured.ratio:.2f}x", f"{measured.drift.relative:.2g}"
        rows.append((variant.role, variant.dtype, *numbers, "-" if same is None else f"{100 * same:.1f}%", counts))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def wants_report(parsed: argparse.Namespace) -> bool:
    """Whether variants are to be reported on beyond what making them measured."""
    metrics = parsed.metric_file is not None and parsed.max_drop is None
    return parsed.report is not None or metrics or parsed.plot is not None


def _check_report(parsed: argparse.Namespace) -> None:
    """Refuse files that cannot be read or written before anything takes time."""
    if parsed.metric_file is not None and not parsed.metric_file.is_file():
        raise OptionError(f"no labelled file at {parsed.metric_file}")
    for path in filter(None, (parsed.report, parsed.plot)):
        if not Path(path).absolute().parent.is_dir():
            raise OptionError(f"{path} cannot be written: there is no such folder")
    if parsed.plot is not None:
        from torchless.quantize.plot import check

        check(parsed.plot)


def _answered(
    parsed: argparse.Namespace, chosen: Sequence[Choice], options: Mapping[str, Any]
) -> tuple[Labelled, Scores]:
    """The labelled file and float32's metrics on it, so that a wrong row is told before anything is made."""
    from torchless.quantize.evaluation import evaluate
    from torchless.quantize.labelled import read_labelled
    from torchless.quantize.plans import local_folder, plans

    folder = local_folder(parsed.bundle)
    bundle = Bundle.open(folder, threads=parsed.threads)
    data = read_labelled(parsed.metric_file, bundle)
    plans(bundle, chosen, options, parsed.overwrite)
    with timed(default_report(), "answer with fp32"):
        return data, evaluate(Bundle.open(folder, dtype="fp32", threads=parsed.threads), data)


def _searched(parsed: argparse.Namespace, options: Mapping[str, Any]) -> dict[str, Scheme]:
    """Schemes by role of the fastest variant that loses no more than ``--max-drop``."""
    from torchless.quantize.labelled import read_labelled
    from torchless.quantize.plans import local_folder
    from torchless.quantize.samples import record
    from torchless.quantize.schemes import Scheme
    from torchless.quantize.search import CANDIDATES, points, search

    if options:
        raise OptionError(f"--max-drop chooses the options itself: leave out {', '.join(map(flag, options))}")
    words = parsed.scheme or CANDIDATES
    if any("=" in word for word in words):
        raise OptionError("--max-drop chooses a scheme for each graph itself: name schemes to try, without roles")
    for word in words:
        Scheme.checked(word)
    points(parsed.max_drop)
    bundle = Bundle.open(local_folder(parsed.bundle), threads=parsed.threads)
    if parsed.metric_file is not None:
        read_labelled(parsed.metric_file, bundle)
    there = [word for word in words if any(word in variants for variants in bundle.dtypes.values())]
    if there and not parsed.overwrite:
        raise OptionError(f"the bundle already has {', '.join(there)}: --overwrite replaces it")
    feeds = record(bundle, parsed.calibrate, limit=parsed.limit)
    found = search(
        parsed.bundle,
        parsed.max_drop,
        feeds,
        metric_file=parsed.metric_file,
        schemes=words,
        threads=parsed.threads,
        progress=default_report(),
    )
    print(f"found: {found.choice}, within {found.budget:g} points of {found.metric}", file=sys.stderr)
    return found.choice.schemes


def _dtypes(parsed: argparse.Namespace, made: Sequence[Variant]) -> list[str | dict[str, str]]:
    """The choices that were made, as a report takes them."""
    if parsed.max_drop is not None:
        return [{variant.role: variant.dtype for variant in made}]
    return choices(parsed.scheme or ["int8"])


def _report(
    parsed: argparse.Namespace, dtypes: list[str | dict[str, str]], answered: tuple[Labelled, Scores] | None
) -> Report:
    """Measure the variants, each choice of roles as a whole; write what files are asked for."""
    from torchless.quantize.plot import plot
    from torchless.quantize.report import report
    from torchless.quantize.samples import record

    bundle = Bundle.open(parsed.bundle, threads=parsed.threads)
    feeds = record(bundle, parsed.calibrate, limit=parsed.limit)
    data, scores = answered or (parsed.metric_file, None)
    found = report(bundle.folder, dtypes, feeds, data, baseline_scores=scores, threads=parsed.threads)
    if parsed.report:
        _write(Path(parsed.report), found.to_json())
    if parsed.plot is not None:
        plot(found, parsed.plot)
    return found


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OptionError(f"cannot write {path}: {error.strerror or error}") from error


def _described(variant: Variant) -> dict[str, Any]:
    """A variant for JSON: the manifest's account of it, and its size."""
    files = (variant.graph.model, *variant.graph.data)
    return {
        "role": variant.role,
        "dtype": variant.dtype,
        "files": [file.file for file in files],
        "bytes": sum(file.bytes for file in files),
        **(variant.graph.quantization or {}),
    }
