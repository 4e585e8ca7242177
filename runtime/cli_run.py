"""``torchless run``: inputs of the command line to answers on standard output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import tasks
from .bundle import Bundle
from .errors import InputError
from .pipelines import PIPELINES, Pipeline, pipeline

_TRUE = {"true": True, "false": False, "none": None}

INPUT_HELP = (
    "a text, a file with one input on each line, or - for such lines on standard input. A line that is a JSON object "
    'is an input with several parts: {"text": ..., "text_pair": ...}, {"question": ..., "context": ...}, and a JSON '
    'list of {"role": ..., "content": ...} is a chat to be answered. Question answering also takes the two texts '
    "QUESTION CONTEXT. For summarization a file, or standard input, is one input unless --lines is given. "
    "Speech and pictures are given as paths of files"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command besides those that choose device and precision."""
    parser.add_argument("task", help=f"one of {', '.join((*PIPELINES, *tasks.ALIASES))}, translation_xx_to_yy, or auto")
    parser.add_argument("bundle", help="folder of a bundle, or a model id on the hub")
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help=INPUT_HELP)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each input")
    parser.add_argument(
        "--lines", action=argparse.BooleanOptionalAction, help="whether each line of a file is an input of its own"
    )
    parser.add_argument("--batch-size", type=int, help="rows (inputs, windows, pairs) that run together at the most")


def run(parsed: argparse.Namespace, rest: list[str], bundle: Bundle) -> None:
    """Answer the inputs.

    Args:
        parsed: the known arguments.
        rest: the words that were left: the task's own options, and inputs behind them.
        bundle: what answers.

    Raises:
        TorchlessError: a mistake of the user.
    """
    task = bundle.task if parsed.task == "auto" else parsed.task
    options, texts = _task_options(task, rest)
    answer = pipeline(task, bundle, batch_size=parsed.batch_size, **options)
    items = inputs([*parsed.inputs, *texts], answer, parsed.lines)
    if options.get("is_split_into_words"):
        items = map(words, items)
    if parsed.json:
        for result in answer(items):
            print(json.dumps(_plain(result), ensure_ascii=False), flush=True)
    elif sys.stdout.isatty() and answer.streams:
        for item in items:
            _show_pieces(item, answer)
    else:
        for result in answer(items):
            print(_text(result), flush=True)


def task_flags() -> str:
    """The options of every task, for the help; those that all generation shares only once."""
    from .pipelines.generating import GENERATION_TYPES

    shared = set(map(flag, GENERATION_TYPES))
    lines = []
    for task in PIPELINES:
        flags = list(_flags(task))
        generates = shared <= set(flags)
        own = " ".join(name for name in flags if not (generates and name in shared))
        lines.append(f"  {task}:\n    {own}{' and those of generation' if generates else ''}")
    listed = "\n".join([*lines, f"  generation:\n    {' '.join(map(flag, GENERATION_TYPES))}"])
    return f"options of the tasks, such as --top-k 3 or --aggregation-strategy simple:\n{listed}"


def flag(name: str) -> str:
    """An option's name on the command line."""
    return f"--{name.replace('_', '-')}"


def value(annotation: str, text: str) -> Any:
    """The text as its option's type: texts and lists of texts stay texts, all else is what it means as JSON."""
    if f"'{text}'" in annotation or f'"{text}"' in annotation:  # one of a Literal's texts
        return text
    if "Mapping" not in annotation and "str" in annotation:
        items = _json(text)
        if isinstance(items, list):
            return items
        return text.split(",") if annotation.startswith("Sequence") else text
    if text.lower() in _TRUE:
        return _TRUE[text.lower()]
    found = _json(text)
    return text if found is None else found


def words(item: Any) -> list[str]:
    """A line as words: a JSON list, or what stands between spaces."""
    found = _json(item) if isinstance(item, str) else None
    return found if isinstance(found, list) else str(item).split()


def _task_options(task: str | None, rest: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The task's own options, and the inputs that stood behind them."""
    parser = argparse.ArgumentParser(prog=f"torchless run {task}", allow_abbrev=False)
    for name, annotation in () if task is None else _flags(tasks.normalize(task)).items():
        parser.add_argument(name, type=partial(value, annotation), default=argparse.SUPPRESS)
    parser.add_argument("inputs", nargs="*")
    options = vars(parser.parse_args(rest))
    return options, options.pop("inputs")


def _flags(task: str) -> dict[str, str]:
    """The flags of a task's options, and the type that each is declared with; functions have none."""
    declared = PIPELINES[task].option_types()
    return {flag(name): kind for name, kind in declared.items() if not {"Callable", "GenerationConfig"} & _names(kind)}


def _names(annotation: str) -> set[str]:
    return set("".join(letter if letter.isalnum() else " " for letter in annotation).split())


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def inputs(arguments: list[str], answer: Pipeline[Any] | type[Pipeline[Any]], lines: bool | None) -> Iterable[Any]:
    """The inputs that words of the command line stand for, see :data:`INPUT_HELP`.

    Args:
        arguments: the words.
        answer: the pipeline, or its class.
        lines: whether each line of a file is an input; None chooses by the task.

    Raises:
        InputError: no words; when it is read, a file that cannot be.
    """
    if not arguments:
        raise InputError("no input: give a text, a file, or - to read lines from standard input")
    if answer.task == "question-answering" and len(arguments) == 2 and not arguments[0].startswith("{"):
        return iter([{"question": arguments[0], "context": arguments[1]}])
    if not answer.reads_text:
        return (line for argument in arguments for line in _paths(argument))
    lines = not answer.whole_files if lines is None else lines
    return (item for argument in arguments for item in _read(argument, lines))


def _paths(argument: str) -> Iterator[str]:
    """A path, or those on the lines of standard input."""
    yield from [argument] if argument != "-" else (line.rstrip("\r\n") for line in sys.stdin)


def _read(argument: str, lines: bool) -> Iterator[Any]:
    source = "standard input" if argument == "-" else argument
    try:
        if argument == "-":
            yield from map(_item, sys.stdin if lines else [sys.stdin.read()])
        elif _is_file(argument):
            with Path(argument).open(encoding="utf-8") as file:
                yield from map(_item, file if lines else [file.read()])
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
    """A line as an input: a text, or what a JSON object or a JSON list of objects means."""
    text = line.rstrip("\r\n")
    if text.startswith("{") or text.replace(" ", "").startswith("[{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _show_pieces(item: Any, answer: Pipeline[Any]) -> None:
    """An answer as it is made, behind its prompt."""
    if isinstance(item, str):
        print(item, end="", flush=True)
    for piece in answer.stream(item):
        print(piece, end="", flush=True)
    print(flush=True)


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
        chunks = result.get("chunks")
        if isinstance(chunks, list):  # what was said, and when
            return "\n".join([result["text"], *map(_chunk, chunks)])
        return "  ".join(map(_part, result.values()))
    if isinstance(result, list):
        return "\n".join(map(_text, result))
    return str(result)


def _chunk(chunk: dict[str, Any]) -> str:
    """A part of what was said, behind its seconds; those that the model did not say are left open."""
    start, end = (f"{time:.2f}" if isinstance(time, (int, float)) else "..." for time in chunk["timestamp"])
    return f"  {start} - {end}  {chunk['text'].strip()}"


def _part(found: Any) -> str:
    """One value of an answer; of a chat its last message."""
    if isinstance(found, list) and found and isinstance(found[-1], dict):
        return str(found[-1].get("content", found[-1]))
    return f"{found:.4f}" if isinstance(found, float) else str(found)
