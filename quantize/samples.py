"""What a bundle's graphs are given when they answer: for calibration, and to measure by."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torchless.bundle import Bundle
from torchless.errors import OptionError, TaskError, TruncationWarning
from torchless.pipelines import pipeline
from torchless.session import Array
from torchless.verification import replay

from .recording import RecordedBundle
from .sources import read_source

# Inputs that run together, so that the shorter ones are padded.
_BATCH = 8
_NEW_TOKENS = 16


@dataclass(frozen=True)
class Feeds:
    """Recorded inputs of a bundle's graphs.

    Attributes:
        by_role: per graph, and per call of it, the arrays that it was given by name.
        provenance: where the inputs come from: ``"kind"`` (``"text"``, ``"audio"``, ``"image"``, ``"references"``),
            ``"name"`` of the file or folder, ``"count"`` of the inputs that were run, of ``"total"``; ``"limit"``, and
            the ``"sha256"`` of what was read.
    """

    by_role: dict[str, list[dict[str, Array]]]
    provenance: dict[str, Any]


def record(bundle: Bundle, source: Path | None, *, limit: int = 128) -> Feeds:
    """Let a bundle answer, and keep what its float32 graphs are given.

    Inputs run eight at a time, the shorter ones padded. What generates answers greedily, up to 16 tokens; of these
    steps the first and, ever more rarely, later ones are kept. A text without a mask gets one in its middle where the
    task is to fill it. When a GiB of arrays is kept the rest of the inputs is left out; ``"count"`` says so.

    Args:
        bundle: what answers.
        source: a file or folder of inputs, see :func:`.sources.read_source`; None takes the inputs that the manifest
            has recorded.
        limit: inputs at the most, evenly spread over the source.

    Raises:
        OptionError: a malformed limit; inputs of a kind that the task does not take, or none; no recorded inputs.
        InputError: an input that cannot be processed.
        TaskError: the bundle does not tell its task.
    """
    if type(limit) is not int or limit < 1:
        raise OptionError(f"limit must be a positive integer, not {limit!r}")
    recorded = RecordedBundle(bundle)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        provenance = _replayed(recorded) if source is None else _answered(recorded, Path(source), limit)
    return Feeds(recorded.by_role, {**provenance, "limit": limit})


def _replayed(bundle: RecordedBundle) -> dict[str, Any]:
    """Run the manifest's references."""
    references = bundle.manifest.references if bundle.manifest is not None else ()
    if not references:
        raise OptionError(f"{bundle.folder} has no recorded inputs: name a file of inputs to calibrate by")
    for reference in references:
        replay(bundle, reference)
    content = json.dumps([asdict(reference)["inputs"] for reference in references], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    count = len(references)
    return {"kind": "references", "name": "torchless.json", "count": count, "total": count, "sha256": digest}


def _answered(bundle: RecordedBundle, path: Path, limit: int) -> dict[str, Any]:
    """Answer the inputs of a file or folder."""
    task = bundle.task
    if task is None:
        raise TaskError(f"{bundle.folder} does not tell its task, and so not what to calibrate by")
    source = read_source(task, path, limit)
    answer = pipeline(task, bundle, **_options(task, bundle))
    count = 0
    while count < len(source.items) and not bundle.full:
        items = source.items[count : count + _BATCH]
        if task == "fill-mask":
            items = [_masked(text, bundle.tokenizer.tokens.get("mask", "")) for text in items]
        answer(items)
        count += len(items)
    return {
        "kind": source.kind, "name": path.name, "count": count, "total": source.total, "sha256": source.sha256
    }  # fmt: skip


def _options(task: str, bundle: Bundle) -> dict[str, Any]:
    """How the pipeline is to answer: quickly, and always in the same way."""
    options: dict[str, Any] = {"batch_size": _BATCH}
    if "decoder_model" in bundle.dtypes or task == "text-generation":
        options |= {"num_beams": 1, "do_sample": False, "max_new_tokens": _NEW_TOKENS, "min_length": 0}
    if task == "text-generation":
        options["handle_long_generation"] = "hole"
    return options


def _masked(text: str, mask: str) -> str:
    """The text with a word in its middle masked, if none is."""
    if mask in text:
        return text
    words = text.split()
    words[len(words) // 2] = mask
    return " ".join(words)
