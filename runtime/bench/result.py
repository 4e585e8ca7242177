"""What a benchmark found, as a document: to JSON and back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import InputError
from .reader import Reader

FORMAT = 1
"""Version of the document. A reader refuses others."""


@dataclass(frozen=True)
class Summary:
    """Repeated measurements of one metric, in the unit that the metric's name ends in.

    Attributes:
        n: how many there were.
        mean: their mean.
        p50: the median.
        p90: 90 % of them are not larger.
        p99: 99 % of them are not larger.
        low: lower end of the interval in which the median lies with 95 % confidence, see :func:`.timing.summarize`.
        high: its upper end.
    """

    n: int
    mean: float
    p50: float
    p90: float
    p99: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One configuration's speed.

    Attributes:
        bundle: name of the bundle's folder.
        dtype: variant of the graphs: ``"fp32"``, ``"int8"``; of each, as ``"int8+q4+q4"``, where those of a bundle
            differ.
        provider: execution provider of ONNX Runtime: ``"CPU"``, ``"CUDA"``.
        threads: threads inside one operator, of each worker.
        batch: inputs of one call.
        length: tokens of each text, special ones included (of the prompt, where text is generated); None where the
            model reads no text.
        seconds: of each recording; None where the model hears none.
        size: pixels of each picture, ``(height, width)``; None where the model sees none.
        new_tokens: tokens generated for each input; None where none are.
        beams: of the search; None where nothing is generated.
        mode: ``"alone"``: one call at a time; ``"threads"``: workers that share one pipeline; ``"processes"``: workers
            that have one each.
        workers: calls at the same time; 1 when alone.
        metrics: ``latency_ms``: a call of the pipeline, from raw input to answer; ``first_token_ms``: from there until
            the first token, where there is one beam; ``token_ms``: a decoded step after it, for all inputs of the call;
            ``real_time_factor``: seconds of sound that a call hears in a second.
        values: of all workers ``throughput_per_s``: inputs; ``tokens_per_s``: generated, or read where none are;
            ``cpu_per_call_ms``: time of all threads on processors; ``resident_mib`` and ``peak_mib``: of a fresh
            process that answers one call, or of all processes, where shared pages count once in the first and for each
            process in the second; not of workers in threads.
        optimized: roles of the graphs that ran in the form that ``torchless optimize`` keeps, which opens faster and
            whose memory processes share; None in documents that do not tell.
    """

    bundle: str
    dtype: str
    provider: str
    threads: int
    batch: int
    length: int | None
    seconds: float | None
    size: tuple[int, int] | None
    new_tokens: int | None
    beams: int | None
    mode: str
    workers: int
    metrics: dict[str, Summary]
    values: dict[str, float]
    optimized: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Start:
    """What starting costs, measured in fresh processes.

    Attributes:
        bundle: name of the bundle's folder.
        dtype: as in :class:`Row`.
        provider: as in :class:`Row`.
        threads: as in :class:`Row`.
        metrics: ``import_ms``: importing torchless and ONNX Runtime; ``load_ms``: opening the bundle and its sessions;
            ``cold_start_ms``: from the start of the process to its first answer.
        values: ``resident_mib``: after loading; ``peak_mib``: after the first answer; ``bundle_mib``: the files of the
            variant.
        optimized: as in :class:`Row`.
    """

    bundle: str
    dtype: str
    provider: str
    threads: int
    metrics: dict[str, Summary]
    values: dict[str, float]
    optimized: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Result:
    """A benchmark's document.

    Attributes:
        format: version of the document.
        created: when it was made: ISO 8601, with the time zone.
        command: the command that makes it again.
        bundle: what was measured: ``folder``, ``task``, ``model_type``, and ``others``, the folders measured with it.
        machine: processor, memory, system, load: see :func:`.machine.describe`.
        versions: of Python and of the packages that take part.
        settings: what was asked for, defaults included.
        starts: what starting costs.
        rows: speeds.
        notes: configurations that were left out, each with the reason, and doubts about the numbers.
        failed: configurations that failed while they were measured and are not in ``rows``, each with the reason, and
            where measuring was interrupted; empty where all went well.
    """

    format: int
    created: str
    command: str
    bundle: dict[str, Any]
    machine: dict[str, Any]
    versions: dict[str, str]
    settings: dict[str, Any]
    starts: tuple[Start, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    failed: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What failed, and the notes."""
        return (*(f"failed: {failure}" for failure in self.failed), *self.notes)

    def to_json(self) -> dict[str, Any]:
        """The document in dictionaries, lists, numbers and texts."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> Result:
        """The document that :meth:`to_json` made.

        Raises:
            InputError: it is none, or of another version.
        """
        found = Reader(data, "the document")
        version = found.number("format")
        if version != FORMAT:
            raise InputError(f"a benchmark's document of format {version:g}; this version reads format {FORMAT}")
        return cls(
            format=FORMAT,
            created=found.text("created"),
            command=found.text("command"),
            bundle=found.mapping("bundle"),
            machine=found.mapping("machine"),
            versions=found.mapping("versions"),
            settings=found.mapping("settings"),
            starts=tuple(_start(one, f"starts[{place}]") for place, one in enumerate(found.items("starts"))),
            rows=tuple(_row(one, f"rows[{place}]") for place, one in enumerate(found.items("rows"))),
            notes=tuple(map(str, found.items("notes"))),
            failed=found.texts("failed") or (),
        )

    @classmethod
    def read(cls, path: Path) -> Result:
        """The document in a file.

        Raises:
            InputError: no such file, or one that is not a benchmark's document; the message names it.
        """
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        except InputError as error:
            raise InputError(f"{path} is not a result of torchless bench: {error}") from error
        except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested without end
            raise InputError(f"{path} is not a result of torchless bench, it is no JSON: {error}") from error


def _row(data: Any, where: str) -> Row:
    found = Reader(data, where)
    seconds, size = found.get("seconds", int, float, type(None)), found.get("size", list, tuple, type(None))
    if size is not None and (len(size) != 2 or not all(type(side) is int for side in size)):
        raise InputError(f"'size' of {where} is {size!r:.60}")
    return Row(
        bundle=found.text("bundle"),
        dtype=found.text("dtype"),
        provider=found.text("provider"),
        threads=found.integer("threads"),
        batch=found.integer("batch"),
        length=found.optional("length"),
        seconds=None if seconds is None else float(seconds),
        size=None if size is None else (size[0], size[1]),
        new_tokens=found.optional("new_tokens"),
        beams=found.optional("beams"),
        mode=found.text("mode"),
        workers=found.integer("workers"),
        metrics=_metrics(found),
        values=_values(found),
        optimized=found.texts("optimized"),
    )


def _start(data: Any, where: str) -> Start:
    found = Reader(data, where)
    return Start(
        bundle=found.text("bundle"),
        dtype=found.text("dtype"),
        provider=found.text("provider"),
        threads=found.integer("threads"),
        metrics=_metrics(found),
        values=_values(found),
        optimized=found.texts("optimized"),
    )


def _metrics(found: Reader) -> dict[str, Summary]:
    return {name: _summary(Reader(one, f"{name} of {found.where}")) for name, one in found.mapping("metrics").items()}


def _summary(found: Reader) -> Summary:
    numbers = {field.name: found.number(field.name) for field in fields(Summary) if field.name != "n"}
    return Summary(n=found.integer("n"), **numbers)


def _values(found: Reader) -> dict[str, float]:
    values = Reader(found.mapping("values"), f"values of {found.where}")
    return {name: values.number(name) for name in values.data}
