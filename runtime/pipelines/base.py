"""What all pipelines share: options, one input or many, batches by length, answers in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Any, ClassVar, Generic, TypeVar

import tokenizers

from .. import tasks
from ..bundle import Bundle
from ..errors import BundleError, InputError, OptionError, TaskError
from ..session import Array

OptionsT = TypeVar("OptionsT")

# Inputs that are looked at together, to be batched by length; also what bounds the memory of a long stream.
LOOKAHEAD = 1024
# Tokens (rows x padded length) of one batch on a CPU: large enough to reuse the weights that a step reads from
# memory, small enough for activations to stay in the cache. Measured on BERT-base and on the shipped samples.
TOKENS_PER_BATCH = 1024
# Rows are padded by at most this share of their batch's tokens before a new batch is begun.
PADDING_SHARE = 0.1


@dataclass(frozen=True)
class Request:
    """One input, tokenized: the rows that the model has to see, and what is needed to read the answer.

    Attributes:
        rows: one encoding per row; several where the input was cut into windows or paired with candidates.
        context: the task's own.
    """

    rows: Sequence[tokenizers.Encoding]
    context: Any = None


class Pipeline(ABC, Generic[OptionsT]):
    """Inputs to answers for one task; see the subclasses for what each accepts and returns.

    A pipeline holds no state of a request: call one from as many threads as you like. Pickling one keeps where its
    bundle lies and opens it again.

    Args:
        bundle: the opened bundle.
        batch_size: rows that run together at the most; None chooses by their length. A stream of inputs is read up
            to 1,024 ahead to find rows of like length; with ``batch_size=1`` each is answered as it comes.
        options: defaults of the options that a call accepts.

    Raises:
        TaskError: the bundle was made for another task.
        OptionError: an option that the task does not have, or a malformed one.
    """

    task: ClassVar[str]
    # The outputs that the graph must have, with their number of dimensions.
    outputs: ClassVar[Mapping[str, int]]
    # Whether outputs have a value per token; then rows are given to `_reduce` without their padding.
    per_token: ClassVar[bool] = False
    options_type: type[OptionsT]

    def __init__(self, bundle: Bundle, *, batch_size: int | None = None, **options: Any) -> None:
        if batch_size is not None and (type(batch_size) is not int or batch_size < 1):
            raise OptionError(f"batch_size must be a positive integer or None, not {batch_size!r}")
        self.bundle = bundle
        self.batch_size = batch_size
        self._given = options
        self._defaults: OptionsT = self.options_type()
        self._defaults = self._options(options)
        served = tasks.SERVED_BY.get(self.task, self.task)
        if bundle.manifest is not None and bundle.task != served:
            raise TaskError(f"{bundle.folder} was made for {bundle.task!r} and cannot do {self.task!r}")
        self.session = bundle.session("model")
        self.tokenizer = bundle.tokenizer
        found = {spec.name: len(spec.shape) for spec in self.session.outputs}
        if any(found.get(name) != rank for name, rank in self.outputs.items()):
            raise TaskError(
                f"{self.task!r} needs a graph with outputs {dict(self.outputs)} (name: dimensions); "
                f"that of {bundle.folder} has {found}"
            )

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
        if "inputs" in options:
            args = (*args, options.pop("inputs"))
        if len(args) != 1:
            raise InputError(f"{self.task} takes one input, a list or an iterable of them, not {len(args)} arguments")
        return self._call(args[0], options)

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
    def _prepare(self, items: list[Any], options: OptionsT) -> list[Request]:
        """Check and tokenize inputs."""

    @abstractmethod
    def _reduce(self, row: tokenizers.Encoding, outputs: Mapping[str, Array], options: OptionsT) -> Any:
        """What has to be kept of the outputs of one row, which lie in memory that is let go afterwards."""

    @abstractmethod
    def _finish(self, request: Request, reduced: list[Any], options: OptionsT) -> Any:
        """The answer to one input, from what was kept of its rows."""

    def _is_single(self, inputs: Any, options: OptionsT) -> bool:
        return isinstance(inputs, (str, Mapping))

    def _options(self, given: Mapping[str, Any]) -> OptionsT:
        known = [field.name for field in fields(self._defaults)]  # type: ignore[arg-type]
        if unknown := [name for name in given if name not in known]:
            raise OptionError(f"{self.task} has no option {unknown[0]!r}; it has {', '.join(known) or 'none'}")
        return replace(self._defaults, **given)  # type: ignore[type-var]

    def _check_classes(self, count: int) -> None:
        """Raise BundleError where the graph's classes are not those that the configuration names."""
        if count != len(self.bundle.labels):
            raise BundleError(
                f"{self.bundle.folder}/config.json names {len(self.bundle.labels)} labels and the graph gives {count}"
            )

    def _stream(self, inputs: Iterable[Any], options: OptionsT) -> Iterator[Any]:
        iterator = iter(inputs)
        ahead = 1 if self.batch_size == 1 else LOOKAHEAD
        while items := list(islice(iterator, ahead)):
            yield from self._answer(items, options)

    def _answer(self, items: list[Any], options: OptionsT) -> Iterator[Any]:
        requests = self._prepare(items, options)
        rows = [row for request in requests for row in request.rows]
        reduced: list[Any] = [None] * len(rows)
        for batch in batches([len(row) for row in rows], self.batch_size):
            model_inputs = self.tokenizer.collate([rows[index] for index in batch])
            outputs = self.session.run(model_inputs, list(self.outputs))
            width = model_inputs["input_ids"].shape[1]
            for place, index in enumerate(batch):
                own = {name: value[place] for name, value in outputs.items()}
                if self.per_token:
                    length = len(rows[index])
                    kept = slice(0, length) if self.tokenizer.padding_side == "right" else slice(width - length, width)
                    own = {name: value[kept] for name, value in own.items()}
                reduced[index] = self._reduce(rows[index], own, options)
        start = 0
        for request in requests:
            end = start + len(request.rows)
            yield self._finish(request, reduced[start:end], options)
            start = end

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _reopen, (type(self), self.bundle, self.batch_size, self._given)


def batches(lengths: Sequence[int], batch_size: int | None) -> list[list[int]]:
    """Group rows of like length.

    Args:
        lengths: tokens of each row.
        batch_size: rows per batch at the most; None bounds the padded tokens of a batch and the share of padding.

    Returns:
        Row numbers by batch, every row once, longest first: a batch that does not fit in memory fails at once.

    Example:
        >>> batches([3, 100, 4], batch_size=2)
        [[1, 2], [0]]
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    found: list[list[int]] = []
    tokens = longest = 0
    for row in order:
        size = len(found[-1]) + 1 if found else 0
        if batch_size is not None:
            fits = 0 < size <= batch_size
        else:
            padded = size * longest
            padding = padded - tokens - lengths[row]
            fits = bool(found) and padded <= TOKENS_PER_BATCH and padding <= PADDING_SHARE * padded
        if fits:
            found[-1].append(row)
            tokens += lengths[row]
        else:
            found.append([row])
            tokens = longest = lengths[row]
    return found


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
