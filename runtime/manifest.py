"""``torchless.json``: the manifest that an export writes and the runtime reads.

The manifest is the contract between the two: which graphs a bundle holds, their files with sizes and SHA-256,
their signatures, and recorded reference inputs and outputs, so that ``torchless verify`` needs no torch.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .errors import BundleError

FILE_NAME = "torchless.json"
FORMAT = 1


@dataclass(frozen=True)
class TensorSpec:
    """One declared input or output: its name, NumPy dtype name, and dimensions (a name where it may vary)."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class FileSpec:
    """A file of the bundle: path relative to its folder (with ``/``), size in bytes, SHA-256 in hex."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class GraphSpec:
    """One variant of one graph: its ONNX file, external weight files, signature, and how it was quantized.

    ``quantization`` holds ``"scheme"`` and its ``"options"``; ``"quantized"`` and ``"left"``, weights with the operator
    or the reason; ``"calibration"``, where its data came from; and what was measured: ``"drift"`` and ``"speed"`` with
    the other graphs in float32, and ``"together"`` with the variants that ran beside it.
    """

    model: FileSpec
    data: tuple[FileSpec, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    quantization: dict[str, Any] | None = None

    @property
    def digest(self) -> str:
        """The SHA-256 of its files, joined: what an optimized graph is known by."""
        return "+".join(file.sha256 for file in (self.model, *self.data))


@dataclass(frozen=True)
class Reference:
    """Recorded inputs and outputs of the checkpoint, to be compared with the graph's on any machine.

    ``inputs`` and ``outputs`` map a tensor's name to ``{"dtype", "shape", "values"}``. Outputs may hold only some
    of their elements: then ``"indices"`` gives their positions in the flattened tensor. A large input repeats its
    values, where ``"repeated"`` is true. ``tolerance`` maps a
    dtype of the graph ("fp32", ...) to the largest accepted difference ``|graph - recorded| - tol * |recorded|``.

    What generates is made to read ``"prompt"`` (rows by ``"prompt_mask"``) and, one by one, the tokens ``"forced"``; an
    encoder-decoder reads ``"input_ids"`` first. Its ``"logits"`` are those after the prompt and after every token.
    """

    role: str
    inputs: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, Any]]
    tolerance: dict[str, float]


@dataclass(frozen=True)
class Manifest:
    """What ``torchless.json`` says.

    Attributes:
        task: the task name, such as ``"text-classification"``.
        model_type: the architecture name of ``config.json``, such as ``"bert"``.
        graphs: role (``"model"``, ``"encoder_model"``, ...) to dtype (``"fp32"``, ``"fp16"``, ...) to graph.
        dtype: device type (``"cpu"``, ``"cuda"``) to the dtype that ``dtype="auto"`` picks there, one for all graphs or
            one for each role.
        max_length: the longest input in tokens, special tokens included; None where there is no limit.
        files: the other files that answers depend on: configuration, tokenizer.
        references: recorded inputs and outputs.
        provenance: where the bundle comes from: checkpoint, package versions, how attention was captured.
    """

    task: str
    model_type: str
    graphs: dict[str, dict[str, GraphSpec]]
    dtype: dict[str, str | dict[str, str]]
    max_length: int | None = None
    files: tuple[FileSpec, ...] = ()
    references: tuple[Reference, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    def automatic(self, role: str, device: str) -> str:
        """The variant of a graph that ``dtype="auto"`` picks: the recommended one, or the first that there is."""
        named = self.dtype.get(device, "fp32")
        preferred = named if isinstance(named, str) else named.get(role, "fp32")
        return preferred if preferred in self.graphs[role] else next(iter(self.graphs[role]))

    def to_json(self) -> str:
        """The text of ``torchless.json``."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Parse the text of a ``torchless.json``.

        Raises:
            BundleError: not JSON, of a newer format, or with a missing or unknown field.
        """
        try:
            content = json.loads(text)
            version = content.pop("format")
        except (json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            raise BundleError(f"{FILE_NAME} is not a torchless manifest: {error!r}") from error
        if version != FORMAT:
            raise BundleError(f"{FILE_NAME} has format {version!r}; this torchless reads format {FORMAT}")
        try:
            content["graphs"] = {
                role: {dtype: _graph(graph) for dtype, graph in variants.items()}
                for role, variants in content["graphs"].items()
            }
            content["references"] = tuple(Reference(**reference) for reference in content.get("references", ()))
            content["files"] = tuple(_file(file) for file in content.get("files", ()))
            if not all(content["graphs"].values()):
                raise TypeError("every graph needs a variant")
            _check(content["task"], str, "task")
            _check(content.get("max_length"), int | None, "max_length")
            for named in _check(content["dtype"], dict, "dtype").values():
                for name in named.values() if isinstance(named, dict) else [named]:
                    _check(name, str, "dtype")
            return cls(**content)
        except (KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{FILE_NAME} is malformed: {error!r}") from error

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """The manifest of a folder, or None where it has none."""
        path = folder / FILE_NAME
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise BundleError(f"cannot read {path}: {error}") from error
        return cls.from_json(text)


def _graph(content: dict[str, Any]) -> GraphSpec:
    def tensors(specs: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(spec["name"], spec["dtype"], tuple(spec["shape"])) for spec in specs)

    return GraphSpec(
        model=_file(content["model"]),
        data=tuple(map(_file, content["data"])),
        inputs=tensors(content["inputs"]),
        outputs=tensors(content["outputs"]),
        quantization=_check(content.get("quantization"), dict | None, "quantization"),
    )


def _file(content: dict[str, Any]) -> FileSpec:
    file = FileSpec(**content)
    _check(file.file, str, "file")
    _check(file.bytes, int, "bytes")
    _check(file.sha256, str, "sha256")
    return file


def _check(value: Any, kind: Any, what: str) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{what} must not be {value!r:.80}")
    return value
