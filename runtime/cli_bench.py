"""``torchless bench``: how fast a bundle is on this machine, as a table and in files."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import cli_quantize, cli_run, tasks
from .bundle import Bundle
from .errors import InputError, MissingDependencyError, OptionError, SessionError, TaskError, TorchlessError
from .pipelines import PIPELINES
from .progress import default_line

if TYPE_CHECKING:
    from .bench import Result
    from .bench.compare import Comparison

# Files of each format; those of pictures are named by what they show.
_FILES = {
    "table": "bench.txt", "json": "bench.json", "csv": "bench.csv", "markdown": "bench.md", "html": "bench.html",
    "png": None, "svg": None,
}  # fmt: skip
_PICTURES = ("png", "svg")
_OPTIMIZED = {"auto": "auto", "yes": True, "no": False}
_OPTIONS = (
    "batch", "length", "seconds", "threads", "device", "new_tokens", "beams", "concurrency", "concurrency_mode",
    "repeats", "min_time", "warmup", "starts", "against", "task",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("bundle", help="folder of a bundle, or a model id on the hub")
    parser.add_argument("--task", help="one of those that the bundle serves (default: the bundle's)")
    parser.add_argument("--against", nargs="+", metavar="BUNDLE", help="further bundles, measured in turns with it")
    grid = parser.add_argument_group("what is measured: every combination, those that the model cannot do left out")
    add: Callable[..., Any] = grid.add_argument
    add("--batch", nargs="+", type=int, metavar="N", help="inputs of one call (default: 1)")
    add("--length", nargs="+", type=int, metavar="N", help="tokens of a text, of a prompt (default: 128)")
    add("--seconds", nargs="+", type=float, metavar="S", help="of a recording (default: 10)")
    add("--threads", nargs="+", type=int, metavar="N", help="inside one operator, for each worker (default: all CPUs)")
    add("--dtype", nargs="+", metavar="DTYPE", help="variants of the graphs, or ROLE=DTYPE of each (default: auto)")
    add("--device", nargs="+", metavar="DEVICE", help="cpu, cuda, cuda:1, auto (default: cpu)")
    add(
        "--optimized",
        choices=list(_OPTIMIZED),
        help="graphs in the form that torchless optimize keeps: yes writes it, auto uses what there is (default: auto)",
    )
    add("--new-tokens", nargs="+", type=int, metavar="N", help="generated for each input (default: 64)")
    add("--beams", nargs="+", type=int, metavar="N", help="of the search (default: 1, greedy)")
    add("--concurrency", nargs="+", type=int, metavar="N", help="workers that call at once, beside one alone")
    add("--concurrency-mode", nargs="+", metavar="MODE",
        help="threads, which share one pipeline, or processes, which have their own (default: threads)")  # fmt: skip
    add("--inputs", nargs="+", metavar="FILE",
        help="inputs of your own: files with a text, or a JSON object, on each line; sounds; pictures")  # fmt: skip
    effort = parser.add_argument_group("how long")
    either = effort.add_mutually_exclusive_group()
    either.add_argument("--repeats", type=int, metavar="N", help="calls of each worker")
    either.add_argument(
        "--min-time", type=float, metavar="S", help="for each combination, 6 calls at least (default: 3)"
    )
    effort.add_argument("--warmup", type=int, metavar="N", help="calls before, which do not count (default: 2)")
    effort.add_argument(
        "--starts",
        type=int,
        metavar="N",
        help="processes that are started to measure start-up and memory (default: 6; 0: neither)",
    )
    shown = parser.add_argument_group("what is shown")
    shown.add_argument("--output", type=Path, metavar="DIR", help="write files there, beside printing the table")
    shown.add_argument(
        "--format", nargs="+", metavar="FORMAT",
        help=f"of {', '.join(_FILES)} (default: table; with --output: all); without --output one, to standard output",
    )  # fmt: skip
    shown.add_argument(
        "--compare", type=Path, metavar="OLD.json",
        help="tell what got faster or slower since then; the exit status is 1 where something got slower",
    )  # fmt: skip
    shown.add_argument("--quiet", action="store_true", help="show no progress")


def run(parsed: argparse.Namespace, command: str) -> int:
    """Measure, print and write.

    Args:
        parsed: the arguments.
        command: the command line.

    Returns:
        1 where the comparison found something slower, 0 otherwise.

    Raises:
        TorchlessError: a mistake of the user, told before anything is measured.
        SessionError: something failed while it was measured; what was measured has been printed and written.
        KeyboardInterrupt: likewise.
    """
    from .bench import Interrupted, Result, bench
    from .bench.compare import compare

    formats = _formats(parsed)
    if parsed.output is not None:
        _check_output(parsed.output)
    old = None if parsed.compare is None else Result.read(parsed.compare)
    options = {name: value for name in _OPTIONS if (value := getattr(parsed, name)) is not None}
    if parsed.dtype is not None:
        options["dtype"] = cli_quantize.choices(parsed.dtype)
    if parsed.optimized is not None:
        options["optimized"] = _OPTIMIZED[parsed.optimized]
    if parsed.inputs is not None:
        options["inputs"] = _inputs(parsed)
    line = default_line() if not parsed.quiet else lambda text: None
    interrupt: Interrupted | None = None
    try:
        found = bench(parsed.bundle, progress=line, **options)
    except Interrupted as error:
        found, interrupt = error.result, error
    finally:
        line("")
    found = replace(found, command=command)
    if parsed.inputs is not None:
        found = replace(found, settings={**found.settings, "inputs": parsed.inputs})
    comparison = None if old is None else compare(old, found)
    unwritten: TorchlessError | None = None
    try:
        if parsed.output is not None:
            _write(parsed.output, formats, found, comparison)
    except TorchlessError as error:
        unwritten = error
    _print(parsed, formats, found, comparison)  # what took so long to measure, even where it cannot be written
    if unwritten is not None and interrupt is None:
        raise unwritten
    if unwritten is not None:
        print(f"torchless: {unwritten}", file=sys.stderr)
    elif parsed.output is not None:
        print(f"\nwritten to {parsed.output}", file=sys.stderr)
    if interrupt is not None:
        raise interrupt
    if found.failed:
        raise SessionError(f"failed while it was measured: {'; '.join(found.failed)}")
    return int(comparison is not None and comparison.worse)


def _formats(parsed: argparse.Namespace) -> list[str]:
    """The formats that are wanted; pictures only where they can be drawn, unless they are asked for by name.

    Raises:
        OptionError: an unknown format, or several, or pictures, without a folder for them.
        MissingDependencyError: pictures that are asked for and cannot be drawn.
    """
    from .bench import plots

    given = list(dict.fromkeys(parsed.format or ()))
    if unknown := [name for name in given if name not in _FILES]:
        raise OptionError(f"--format: {unknown[0]!r} is none of {', '.join(_FILES)}")
    if parsed.output is None and (len(given) > 1 or set(given) & set(_PICTURES)):
        raise OptionError(f"--format {' '.join(given)}: name a folder to write to: --output DIR")
    if not given and parsed.output is None:
        return ["table"]
    formats = given or list(_FILES)
    if set(formats) & set(_PICTURES):
        try:
            plots.check()
        except MissingDependencyError:
            if given:
                raise
            return [name for name in formats if name not in _PICTURES]
    return formats


def _check_output(folder: Path) -> None:
    """Check that files can be written to a folder, which need not be there yet.

    Raises:
        OptionError: they cannot.
    """
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise OptionError(f"--output: cannot write to {folder}: {error.strerror or error}") from error


def _inputs(parsed: argparse.Namespace) -> list[Any]:
    """What the files hold.

    Raises:
        InputError: a file that is missing or cannot be read.
        TaskError: the bundle does not tell its task.
    """
    if missing := [name for name in parsed.inputs if not Path(name).is_file()]:
        raise InputError(f"--inputs: no file at {missing[0]}")
    task = parsed.task or Bundle.open(parsed.bundle).task
    if task is None:
        raise TaskError(f"{parsed.bundle} does not tell its task: name it by --task")
    items = cli_run.inputs(parsed.inputs, PIPELINES[tasks.normalize(task)], lines=True)
    return [item for item in items if item != ""]


def _texts(found: Result, comparison: Comparison | None) -> dict[str, Callable[[], str]]:
    """The formats that are texts."""
    from .bench import html, tables

    return {
        "table": lambda: tables.text(found),
        "json": lambda: json.dumps(found.to_json(), indent=1, ensure_ascii=False) + "\n",
        "csv": lambda: tables.csv_text(found),
        "markdown": lambda: tables.markdown(found),
        "html": lambda: html.page(found, comparison),
    }


def _print(parsed: argparse.Namespace, formats: Sequence[str], found: Result, comparison: Comparison | None) -> None:
    from .bench.compare import text

    shown = "table" if parsed.output is not None else formats[0]
    print(_texts(found, comparison)[shown]().rstrip("\n"))
    if comparison is not None:
        print("", text(comparison).rstrip("\n"), sep="\n", file=sys.stdout if shown == "table" else sys.stderr)


def _write(folder: Path, formats: Sequence[str], found: Result, comparison: Comparison | None) -> None:
    """Write the files, all of them or, where that fails or is interrupted, none.

    Raises:
        OptionError: they cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".bench-") as inside:
            staging = Path(inside)
            for name, text in _texts(found, comparison).items():
                if name in formats:
                    (staging / str(_FILES[name])).write_text(text(), encoding="utf-8")
            _draw(staging, formats, found)
            for file in sorted(staging.iterdir()):
                file.replace(folder / file.name)
    except OSError as error:
        raise OptionError(f"--output: cannot write to {folder}: {error.strerror or error}") from error


def _draw(folder: Path, formats: Sequence[str], found: Result) -> None:
    from .bench import plots

    if "svg" in formats:
        for name, svg in plots.figures(found).items():
            (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    if "png" in formats:
        plots.write_pngs(found, folder)
