"""The ``torchless`` command: export, run, info, verify."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__, tasks
from .bundle import Bundle
from .errors import InputError, TorchlessError
from .pipelines import PIPELINES, pipeline

_OK, _MISTAKE, _INTERRUPTED = 0, 2, 130
_TRUE = {"true": True, "false": False, "none": None}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the words after ``torchless``; None takes the process's.

    Returns:
        The exit status: 0; 2 for a mistake of the user, told in one line; 130 when interrupted.
    """
    warnings.showwarning = _show_warning
    words = sys.argv[1:] if arguments is None else arguments
    parser = _parser(helping=not {"-h", "--help"}.isdisjoint(words))
    parsed, rest = parser.parse_known_args(arguments)
    if rest and parsed.command != "run":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        _COMMANDS[parsed.command](parsed, rest)
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
    return _OK


def _parser(helping: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="torchless", description="Run Hugging Face task checkpoints without torch.")
    parser.add_argument("--version", action="version", version=f"torchless {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    export = commands.add_parser("export", help="turn a checkpoint into a bundle (needs the export extra)")
    export.add_argument("checkpoint", help="folder of a checkpoint, or a model id on the hub")
    export.add_argument("output", type=Path, help="folder to make")
    export.add_argument("--task", help="what the checkpoint is for; read from its config.json by default")
    export.add_argument("--dtype", nargs="+", default=["fp32"], help="fp32, fp16 (default: fp32)")
    export.add_argument(
        "--attention",
        default="fused",
        help="fused: ONNX Runtime's operator where the model allows it; traced: the ONNX standard's (default: fused)",
    )
    export.add_argument("--device", default="cpu", help="where torch traces and checks: cpu, cuda (default: cpu)")
    export.add_argument("--opset", type=int, help="ONNX operator set")
    export.add_argument("--revision", help="branch, tag or commit of a model id")
    export.add_argument("--overwrite", action="store_true", help="replace a bundle that is already there")

    # A prefix of --top-k or the like belongs to the task's own options, which are parsed afterwards.
    run = commands.add_parser(
        "run",
        help="answer inputs",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_task_flags() if helping else None,
    )
    run.add_argument("task", help=f"one of {', '.join((*PIPELINES, *tasks.ALIASES))}, or auto")
    run.add_argument("bundle", help="folder of a bundle, or a model id on the hub")
    run.add_argument("inputs", nargs="*", metavar="INPUT", help=_INPUT_HELP)
    run.add_argument("--json", action="store_true", help="one line of JSON for each input")
    run.add_argument("--batch-size", type=int, help="rows (inputs, windows, pairs) that run together at the most")
    _add_session_options(run)

    info = commands.add_parser("info", help="describe a bundle")
    info.add_argument("bundle")
    info.add_argument("--json", action="store_true", help="as JSON")

    verify = commands.add_parser("verify", help="check a bundle's files and replay its recorded outputs")
    verify.add_argument("bundle")
    verify.add_argument("--json", action="store_true", help="as JSON")
    _add_session_options(verify)
    return parser


_INPUT_HELP = (
    "a text, a file with one input on each line, or - for such lines on standard input. A line that is a JSON object "
    'is an input with several parts: {"text": ..., "text_pair": ...}, {"question": ..., "context": ...}. '
    "Question answering also takes the two texts QUESTION CONTEXT"
)


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
    )
    print(folder)


def _run(parsed: argparse.Namespace, rest: list[str]) -> None:
    task = None if parsed.task == "auto" else tasks.normalize(parsed.task)
    bundle = _open(parsed)
    name = task or bundle.task
    options, texts = _task_options(name, rest)
    answer = pipeline(name, bundle, batch_size=parsed.batch_size, **options)
    inputs = _inputs([*parsed.inputs, *texts], name)
    if options.get("is_split_into_words"):
        inputs = map(_words, inputs)
    if parsed.json:
        for result in answer(inputs):
            print(json.dumps(_plain(result), ensure_ascii=False), flush=True)
        return
    for result in answer(inputs):
        print(_text(result), flush=True)


def _task_options(task: str | None, rest: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The task's own options, and the inputs that stood behind them."""
    parser = argparse.ArgumentParser(prog=f"torchless run {task}", allow_abbrev=False)
    for flag, annotation in _flags(task).items() if task is not None and task in PIPELINES else ():
        parser.add_argument(flag, type=partial(_value, annotation), default=argparse.SUPPRESS)
    parser.add_argument("inputs", nargs="*")
    options = vars(parser.parse_args(rest))
    return options, options.pop("inputs")


def _task_flags() -> str:
    listed = "\n".join(f"  {task}:\n    {' '.join(_flags(task))}" for task in PIPELINES)
    return f"options of the tasks, such as --top-k 3 or --aggregation-strategy simple:\n{listed}"


def _flags(task: str) -> dict[str, str]:
    """The flags of a task's options, and the type that each is declared with."""
    return {f"--{field.name.replace('_', '-')}": str(field.type) for field in fields(PIPELINES[task].options_type)}


def _value(annotation: str, text: str) -> Any:
    """The text as its option's type: texts and lists of texts stay texts, all else is a number, flag or none."""
    if f"'{text}'" in annotation or f'"{text}"' in annotation:  # one of a Literal's texts
        return text
    if "str" in annotation:
        items = _json(text)
        if isinstance(items, list):
            return items
        return text.split(",") if annotation.startswith("Sequence") else text
    if text.lower() in _TRUE:
        return _TRUE[text.lower()]
    value = _json(text)
    return value if isinstance(value, (int, float)) else text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _words(item: Any) -> list[str]:
    """A line as words: a JSON list, or what stands between spaces."""
    words = _json(item) if isinstance(item, str) else None
    return words if isinstance(words, list) else str(item).split()


def _inputs(arguments: list[str], task: str | None) -> Iterable[Any]:
    if not arguments:
        raise InputError("no input: give a text, a file, or - to read lines from standard input")
    if task == "question-answering" and len(arguments) == 2 and not arguments[0].startswith("{"):
        return iter([{"question": arguments[0], "context": arguments[1]}])
    return (item for argument in arguments for item in _lines(argument))


def _lines(argument: str) -> Iterator[Any]:
    source = "standard input" if argument == "-" else argument
    try:
        if argument == "-":
            yield from map(_item, sys.stdin)
        elif _is_file(argument):
            with Path(argument).open(encoding="utf-8") as file:
                yield from map(_item, file)
        else:
            yield _item(argument)
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is not UTF-8 text: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror or error}") from error


def _is_file(argument: str) -> bool:
    try:
        return Path(argument).is_file()
    except (OSError, ValueError):  # a text that no file can be called by, such as one too long
        return False


def _item(line: str) -> Any:
    text = line.rstrip("\r\n")
    if text.startswith("{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _info(parsed: argparse.Namespace, rest: list[str]) -> None:
    bundle = Bundle.open(parsed.bundle)
    manifest = bundle.manifest
    description: dict[str, Any] = {
        "folder": str(bundle.folder),
        "task": bundle.task,
        "model_type": bundle.config.get("model_type"),
        "max_length": bundle.tokenizer.max_length,
        "labels": bundle.labels if "id2label" in bundle.config else [],
        "graphs": bundle.dtypes,
    }
    if manifest is not None:
        description["graphs"] = {
            role: {dtype: sum(file.bytes for file in (graph.model, *graph.data)) for dtype, graph in variants.items()}
            for role, variants in manifest.graphs.items()
        }
        description["provenance"] = manifest.provenance
    if parsed.json:
        print(json.dumps(description, ensure_ascii=False))
        return
    for name, value in description.items():
        print(f"{name:12} {value}")


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


def _open(parsed: argparse.Namespace, every_variant: bool = False) -> Bundle:
    # Without a name for any role a hub's bundle is downloaded with all its variants.
    dtype = {} if every_variant and parsed.dtype == "auto" else parsed.dtype
    return Bundle.open(parsed.bundle, dtype=dtype, device=parsed.device, threads=parsed.threads)


def _plain(result: Any) -> Any:
    """The same result in lists, dictionaries, numbers and texts, for JSON."""
    if isinstance(result, np.ndarray):
        return result.tolist()
    return result


def _text(result: Any) -> str:
    """A result on one line for each of its parts."""
    if isinstance(result, np.ndarray):
        with np.printoptions(precision=4, threshold=8, edgeitems=3, suppress=True):
            return f"{result.dtype} {result.shape} {result}".replace("\n", "")
    if isinstance(result, dict):
        return "  ".join(f"{value:.4f}" if isinstance(value, float) else str(value) for value in result.values())
    if isinstance(result, list):
        return "\n".join(map(_text, result))
    return str(result)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    print(f"torchless: warning: {message}", file=sys.stderr)


_COMMANDS = {"export": _export, "run": _run, "info": _info, "verify": _verify}
