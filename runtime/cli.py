"""The ``torchless`` command: export, quantize, run, info, verify, bench, optimize."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import __version__, cli_bench, cli_info, cli_quantize, cli_run, hub, optimized, tasks
from .bundle import Bundle
from .errors import OptionError, SessionError, TorchlessError

_OK, _MISTAKE, _INTERRUPTED = 0, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the words after ``torchless``; None takes the process's.

    Returns:
        The exit status: 0; 1 where ``bench --compare`` finds something slower; 2 for a mistake of the user, or what
        failed, told in one line; 130 when interrupted.
    """
    warnings.showwarning = _show_warning
    words = sys.argv[1:] if arguments is None else arguments
    parser = _parser(helping=not {"-h", "--help"}.isdisjoint(words))
    parsed, rest = parser.parse_known_args(arguments)
    if rest and parsed.command != "run":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    parsed.words = words
    try:
        status = _COMMANDS[parsed.command](parsed, rest)
        sys.stdout.flush()
    except TorchlessError as error:
        print(f"torchless: {error}", file=sys.stderr)
        return _MISTAKE
    except BrokenPipeError:
        # The reader has gone; what Python flushes at exit must not raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _OK
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status or _OK


def _parser(helping: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="torchless", description="Run Hugging Face task checkpoints without torch.")
    parser.add_argument("--version", action="version", version=f"torchless {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    export = commands.add_parser("export", help="turn a checkpoint into a bundle (needs the export extra)")
    export.add_argument("checkpoint", help="folder of a checkpoint, or a model id on the hub")
    export.add_argument("output", type=Path, help="folder to make")
    export.add_argument("--task", help="what the checkpoint is for; read from its config.json by default")
    export.add_argument("--dtype", nargs="+", default=["fp32"], help="fp32, fp16, int8 (default: fp32)")
    export.add_argument(
        "--attention",
        default="fused",
        help="fused: ONNX Runtime's operator where the model allows it; traced: the ONNX standard's (default: fused)",
    )
    export.add_argument("--device", default="cpu", help="where torch traces and checks: cpu, cuda (default: cpu)")
    export.add_argument("--opset", type=int, help="ONNX operator set")
    export.add_argument("--revision", help="branch, tag or commit of a model id")
    export.add_argument("--overwrite", action="store_true", help="replace a bundle that is already there")
    export.add_argument(
        "--quantize", nargs="+", default=[], metavar="SCHEME", help="variants to add, as torchless quantize --scheme"
    )
    export.add_argument("--calibrate", type=Path, metavar="PATH", help="inputs to calibrate --quantize on")

    quantize = commands.add_parser("quantize", help="add variants in lower precision (needs the quantize extra)")
    cli_quantize.add_arguments(quantize)

    # A prefix of --top-k or the like belongs to the task's own options, which are parsed afterwards.
    run = commands.add_parser(
        "run",
        help="answer inputs",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=cli_run.task_flags() if helping else None,
    )
    cli_run.add_arguments(run)
    _add_session_options(run)

    info = commands.add_parser("info", help="describe a bundle")
    info.add_argument("bundle")
    info.add_argument("--json", action="store_true", help="as JSON")

    verify = commands.add_parser("verify", help="check a bundle's files and replay its recorded outputs")
    verify.add_argument("bundle")
    verify.add_argument("--json", action="store_true", help="as JSON")
    _add_session_options(verify)

    optimize = commands.add_parser(
        "optimize", help="keep optimized graphs on this machine: faster to load, shared memory"
    )
    optimize.add_argument("bundle", nargs="*")
    optimize.add_argument("--dtype", help="variant of the graphs: fp32, int8, ... (default: auto)")
    optimize.add_argument(
        "--clear",
        action="store_true",
        help=f"remove what was kept for the bundles, in every variant; without a bundle, all that was kept in "
        f"{optimized.VARIABLE}, or the user's cache",
    )

    cli_bench.add_arguments(commands.add_parser("bench", help="measure speed, start-up and memory on this machine"))
    return parser


def _add_session_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dtype", default="auto", help="variant of the graphs: fp32, fp16, ... (default: auto)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, auto (default: cpu)")
    parser.add_argument("--threads", type=int, help="threads inside one operator")


def _export(parsed: argparse.Namespace, rest: list[str]) -> None:
    from torchless.export import export

    folder = export(
        parsed.checkpoint,
        parsed.output,
        task=parsed.task,
        dtype=parsed.dtype,
        attention=parsed.attention,
        device=parsed.device,
        **({} if parsed.opset is None else {"opset": parsed.opset}),
        revision=parsed.revision,
        overwrite=parsed.overwrite,
        quantize=cli_quantize.choices(parsed.quantize),
        calibrate=parsed.calibrate,
    )
    print(folder)


def _quantize(parsed: argparse.Namespace, rest: list[str]) -> None:
    cli_quantize.run(parsed)


def _run(parsed: argparse.Namespace, rest: list[str]) -> None:
    if parsed.task != "auto":
        tasks.normalize(parsed.task)  # before anything is downloaded
    cli_run.run(parsed, rest, _open(parsed))


def _info(parsed: argparse.Namespace, rest: list[str]) -> None:
    cli_info.run(Bundle.open(parsed.bundle), as_json=parsed.json)


def _verify(parsed: argparse.Namespace, rest: list[str]) -> None:
    bundle = _open(parsed, every_variant=True)
    progress = (lambda line: print(line, file=sys.stderr)) if sys.stderr.isatty() else None
    results = bundle.verify(progress)
    if parsed.json:
        print(json.dumps([dict(zip(("graph", "difference", "tolerance"), row, strict=True)) for row in results]))
        return
    if not results:
        print("files intact; the manifest has no recorded outputs to compare with")
    for graph, difference, tolerance in results:
        print(
            f"{graph}: files intact, outputs within {difference:.2g} of the recorded ones (tolerance {tolerance:.2g})"
        )


def _bench(parsed: argparse.Namespace, rest: list[str]) -> int:
    return cli_bench.run(parsed, shlex.join(["torchless", *map(str, parsed.words)]))


def _optimize(parsed: argparse.Namespace, rest: list[str]) -> None:
    try:
        place = optimized.folder()
    except RuntimeError as error:
        raise OptionError(f"no folder for optimized graphs ({error}): name one by {optimized.VARIABLE}") from error
    if parsed.clear:
        _clear(parsed, place)
        return
    if not parsed.bundle:
        raise OptionError("optimize needs a BUNDLE whose graphs are kept, or --clear, which removes what was kept")
    for name in parsed.bundle:
        bundle = Bundle.open(name, dtype=parsed.dtype or "auto", optimized=True)
        for role in bundle.dtypes:
            _keep(bundle, role)
        print(f"{bundle.folder}: {', '.join(f'{role} in {bundle.dtype(role)}' for role in bundle.dtypes)}")
    print(f"kept in {place}")


def _keep(bundle: Bundle, role: str) -> None:
    """Write a graph's optimized form where it is missing; warnings are shown.

    Raises:
        SessionError: it is not kept.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        kept = bundle.session(role).optimized
    messages = [str(warning.message) for warning in told]
    if not kept:
        raise SessionError("; ".join(messages) or f"no optimized graph of {role} of {bundle.folder} could be kept")
    for warning in {str(one.message): one for one in told}.values():  # writing and opening may both say so
        warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)


def _clear(parsed: argparse.Namespace, place: Path) -> None:
    from .clearing import clear

    if parsed.dtype is not None:
        raise OptionError(f"--clear removes every variant: --dtype {parsed.dtype} has no meaning beside it")
    bundles = [Bundle(hub.resolve(name, download=False)) for name in parsed.bundle]
    try:
        if not bundles:
            print(f"removed {clear(place)} from {place}")
        for bundle in bundles:
            print(f"{bundle.folder}: removed {clear(place, bundle)} from {place}")
    except OSError as error:
        raise SessionError(f"cannot remove optimized graphs from {place}: {error}") from error


def _open(parsed: argparse.Namespace, every_variant: bool = False) -> Bundle:
    # Without a name for any role a hub's bundle is downloaded with all its variants.
    dtype = {} if every_variant and parsed.dtype == "auto" else parsed.dtype
    return Bundle.open(parsed.bundle, dtype=dtype, device=parsed.device, threads=parsed.threads)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    print(f"torchless: warning: {message}", file=sys.stderr)


_COMMANDS: dict[str, Callable[[argparse.Namespace, list[str]], int | None]] = {
    "export": _export,
    "quantize": _quantize,
    "run": _run,
    "info": _info,
    "verify": _verify,
    "bench": _bench,
    "optimize": _optimize,
}
