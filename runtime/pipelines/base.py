"""What all pipelines share: options, one input or many, answers in order, pickling."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from itertools import islice
from typing import Any, ClassVar, Generic, TypeVar

from .. import tasks
from ..bundle import Bundle
from ..errors import InputError, OptionError, TaskError
from ..tokenizer import Tokenizer

OptionsT = TypeVar("OptionsT")

# Inputs that are looked at together, to be batched by length; also what bounds the memory of a long stream.
LOOKAHEAD = 1024


class Pipeline(ABC, Generic[OptionsT]):
    """Inputs to answers for one task; see the subclasses for what each accepts and returns.

    A pipeline holds no state of a request: call one from as many threads as you like. Pickling one keeps where its
    bundle lies and opens it again.

    Args:
        bundle: the opened bundle.
        batch_size: rows that run together at the most; None chooses by their length. A stream of inputs is read
            ahead to find rows of like length; with ``batch_size=1`` each is answered as it comes.
        options: defaults of the options that a call accepts.

    Raises:
        TaskError: the bundle was made for another task.
        OptionError: an option that the task does not have, or a malformed one.
    """

    task: ClassVar[str]
    # How many inputs of a stream are read before the first is answered.
    lookahead: ClassVar[int] = LOOKAHEAD
    # Whether a file is one input on the command line, not one on each line.
    whole_files: ClassVar[bool] = False
    # Whether an input is a text, which the bundle's tokenizer reads; otherwise it is a file, a sound or a picture.
    reads_text: ClassVar[bool] = True
    options_type: type[OptionsT]
    tokenizer: Tokenizer

    def __init__(self, bundle: Bundle, *, batch_size: int | None = None, **options: Any) -> None:
        if batch_size is not None and (type(batch_size) is not int or batch_size < 1):
            raise OptionError(f"batch_size must be a positive integer or None, not {batch_size!r}")
        self.bundle = bundle
        self.batch_size = batch_size
        self._given: Mapping[str, Any] = {}
        self._check_names(options)
        served = tasks.SERVED_BY.get(self.task, self.task)
        if bundle.manifest is not None and bundle.task != served:
            raise TaskError(f"{bundle.folder} was made for {bundle.task!r} and cannot do {self.task!r}")
        if self.reads_text:
            self.tokenizer = bundle.tokenizer
        self._open()
        self._options(options)  # a malformed default is told now
        self._given = options

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Answer one input, a list of them, or any iterable; see the class for inputs, options and answers.

        Args:
            args: the input or inputs, which may also be given as ``inputs=``.
            options: the task's options, for this call.

        Returns:
            One answer; a list of answers, in order; or for another iterable an iterator that reads it as it goes.

        Raises:
            InputError: an input that cannot be processed.
            OptionError: an unknown or malformed option.
        """
        return self._call(self._input(args, options), options)

    @property
    def streams(self) -> bool:
        """Whether an answer can be had in pieces, by :meth:`stream`."""
        return False

    def stream(self, text: Any, **options: Any) -> Iterator[str]:
        """The answer to one input in pieces, as they are made.

        Raises:
            TaskError: the task does not write texts.
        """
        raise TaskError(f"{self.task} does not answer piece by piece: call the pipeline")

    @classmethod
    def option_types(cls) -> dict[str, str]:
        """The task's options by name, each with its declared type."""
        return {field.name: str(field.type) for field in fields(cls.options_type)}  # type: ignore[arg-type]

    def _input(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The one argument that stands for the inputs, by position or as ``inputs=``."""
        if "inputs" in options:
            args = (*args, options.pop("inputs"))
        if len(args) != 1:
            raise InputError(f"{self.task} takes one input, a list or an iterable of them, not {len(args)} arguments")
        return args[0]

    def _call(self, inputs: Any, options: Mapping[str, Any]) -> Any:
        chosen = self._options(options)
        if self._is_single(inputs, chosen):
            return next(self._answer([inputs], chosen))
        if isinstance(inputs, list):
            return [answer for start in range(0, len(inputs), LOOKAHEAD)
                    for answer in self._answer(inputs[start : start + LOOKAHEAD], chosen)]  # fmt: skip
        if isinstance(inputs, Iterable) and not isinstance(inputs, (bytes, bytearray)):
            return self._stream(inputs, chosen)
        raise InputError(f"{self.task} takes one input, a list or an iterable of them, not {type(inputs).__name__}")

    @abstractmethod
    def _open(self) -> None:
        """Open what answers: a session or a generator.

        Raises:
            TaskError: the bundle's graphs are those of another task.
        """

    @abstractmethod
    def _answer(self, items: list[Any], options: OptionsT) -> Iterator[Any]:
        """The answers to inputs, in order."""

    def _is_single(self, inputs: Any, options: OptionsT) -> bool:
        return isinstance(inputs, (str, Mapping))

    def _check_names(self, given: Mapping[str, Any]) -> None:
        known = list(self.option_types())
        if unknown := [name for name in given if name not in known]:
            raise OptionError(f"{self.task} has no option {unknown[0]!r}; it has {', '.join(known) or 'none'}")

    def _options(self, given: Mapping[str, Any]) -> OptionsT:
        """The options of a call: those given, then those of construction, then the task's defaults."""
        self._check_names(given)
        return self.options_type(**{**self._given, **given})

    def _stream(self, inputs: Iterable[Any], options: OptionsT) -> Iterator[Any]:
        iterator = iter(inputs)
        ahead = 1 if self.batch_size == 1 else self.lookahead
        while items := list(islice(iterator, ahead)):
            yield from self._answer(items, options)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _reopen, (type(self), self.bundle, self.batch_size, self._given)


def check_text(text: Any, what: str = "text") -> str:
    """The text itself.

    Raises:
        InputError: it is not a string.
    """
    if not isinstance(text, str):
        raise InputError(f"expected a {what} (str), not {type(text).__name__}: {text!r:.80}")
    return text


def check_integer(name: str, value: Any, minimum: int) -> None:
    """Check an integer option.

    Raises:
        OptionError: it is not an integer, or smaller than ``minimum``.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise OptionError(f"{name} must be an integer of at least {minimum}, not {value!r}")


def check_flag(name: str, value: Any) -> None:
    """Check an option that is on or off.

    Raises:
        OptionError: it is neither True nor False.
    """
    if not isinstance(value, bool):
        raise OptionError(f"{name} must be True or False, not {value!r}")


def _reopen(
    kind: type[Pipeline[Any]], bundle: Bundle, batch_size: int | None, options: dict[str, Any]
) -> Pipeline[Any]:
    return kind(bundle, batch_size=batch_size, **options)
