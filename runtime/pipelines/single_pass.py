"""Pipelines that run their graph once for each row of tokens."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import tokenizers

from ..errors import TaskError
from ..session import Array
from . import labels
from .base import OptionsT, Pipeline
from .batching import batches


@dataclass(frozen=True)
class Request:
    """One input, tokenized: the rows that the model has to see, and what is needed to read the answer.

    Attributes:
        rows: one encoding per row; several where the input was cut into windows or paired with candidates.
        context: the task's own.
    """

    rows: Sequence[tokenizers.Encoding]
    context: Any = None


class SinglePassPipeline(Pipeline[OptionsT]):
    """A pipeline in three steps: inputs to rows of tokens, what is kept of a row's outputs, the answer."""

    # The outputs that the graph must have, with their number of dimensions.
    outputs: ClassVar[Mapping[str, int]]
    # Whether outputs have a value per token; then rows are given to `_reduce` without their padding.
    per_token: ClassVar[bool] = False

    @abstractmethod
    def _prepare(self, items: list[Any], options: OptionsT) -> list[Request]:
        """Check and tokenize inputs."""

    @abstractmethod
    def _reduce(self, row: tokenizers.Encoding, outputs: Mapping[str, Array], options: OptionsT) -> Any:
        """What has to be kept of the outputs of one row, which lie in memory that is let go afterwards."""

    @abstractmethod
    def _finish(self, request: Request, reduced: list[Any], options: OptionsT) -> Any:
        """The answer to one input, from what was kept of its rows."""

    def _open(self) -> None:
        self.session = self.bundle.session("model")
        if any(spec.name.startswith("past_key_values") for spec in self.session.inputs):
            raise TaskError(f"{self.task!r} needs a graph that runs once; that of {self.bundle.folder} generates text")
        found = {spec.name: len(spec.shape) for spec in self.session.outputs}
        if any(found.get(name) != rank for name, rank in self.outputs.items()):
            raise TaskError(
                f"{self.task!r} needs a graph with outputs {dict(self.outputs)} (name: dimensions); "
                f"that of {self.bundle.folder} has {found}"
            )

    def _check_classes(self, count: int) -> None:
        """Raise BundleError where the graph's classes are not those that the configuration names."""
        labels.check_classes(self.bundle, count)

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
