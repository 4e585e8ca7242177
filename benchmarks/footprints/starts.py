"""Installed sizes, imports, and every task from the start of a process to its first answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from examples.samples import CHECKPOINTS, SAMPLES, Sample

from ..peers.preparation import made
from .fresh import OURS, PEERS, ROOT, interleaved, medians, run

FOLDER = ROOT / "build/benchmarks/footprint"
BUNDLES = ROOT / "build/bundles"
OPTIMIZED = FOLDER / "optimized"

# What Optimum runs each shipped checkpoint with.
OPTIMUM = {
    "sentiment": "ORTModelForSequenceClassification",
    "nli": "ORTModelForSequenceClassification",
    "qa": "ORTModelForQuestionAnswering",
    "fill-mask": "ORTModelForMaskedLM",
    "ner": "ORTModelForTokenClassification",
    "story": "ORTModelForCausalLM",
    "summary": "ORTModelForSeq2SeqLM",
    "translate": "ORTModelForSeq2SeqLM",
    "keywords": "ORTModelForAudioClassification",
    "commands": "ORTModelForCTC",
    "shapes": "ORTModelForImageClassification",
}
_EXPORT = """
import sys
from pathlib import Path
import transformers
from optimum import onnxruntime
checkpoint, folder, name = sys.argv[1:]
getattr(onnxruntime, name).from_pretrained(checkpoint, export=True).save_pretrained(folder)
for part in ("AutoTokenizer", "AutoFeatureExtractor", "AutoImageProcessor"):
    try:
        getattr(transformers, part).from_pretrained(checkpoint).save_pretrained(folder)
    except Exception as error:
        print(part, error)
if not any(Path(folder).glob("*.onnx")):
    raise SystemExit("no graph was written")
"""
_SIZES = {
    "torchless": (OURS, ["torchless[cpu]"]),
    "torchless, with sound and pictures": (OURS, ["torchless[cpu,audio,vision]"]),
    "transformers": (PEERS, ["transformers", "torch"]),
    "optimum": (PEERS, ["optimum-onnx", "onnxruntime"]),
}
_DEPENDENCIES = ["numpy", "tokenizers", "onnxruntime"]
_IMPORTS: dict[str, tuple[Path, list[str], list[str]]] = {
    "torchless, beside its dependencies": (OURS, _DEPENDENCIES, ["torchless"]),
    "torchless": (OURS, [], ["torchless", "onnxruntime"]),
    "transformers": (PEERS, [], ["torch", "transformers.pipelines"]),
    "optimum": (PEERS, [], ["transformers.pipelines", "optimum.onnxruntime"]),
}


def prepare() -> None:
    """Export the shipped checkpoints, here and by Optimum, and keep optimized graphs of ours."""
    with made(BUNDLES, [CHECKPOINTS, ROOT / "export"]) as needed:
        if needed:
            subprocess.run([sys.executable, "-m", "examples.export_samples", str(BUNDLES)], cwd=ROOT, check=True)
    for checkpoint, name in OPTIMUM.items():
        folder = FOLDER / checkpoint
        with made(folder, [CHECKPOINTS / checkpoint, Path(__file__)]) as needed:
            if needed:
                print(f"{checkpoint}: exporting by Optimum", flush=True)
                words = [str(PEERS), "-c", _EXPORT, str(CHECKPOINTS / checkpoint), str(folder), name]
                with (FOLDER / f"{checkpoint}.log").open("wb") as log:
                    subprocess.run(words, check=True, stdout=log, stderr=log)
    keep_optimized([str(BUNDLES / checkpoint) for checkpoint in OPTIMUM], OPTIMIZED, OURS)


def keep_optimized(bundles: list[str], cache: Path, python: Path, dtype: str = "auto") -> None:
    """Write optimized graphs; those that are there stay."""
    words = [str(python), "-m", "torchless", "optimize", *bundles, "--dtype", dtype]
    environment = {**os.environ, "TORCHLESS_CACHE": str(cache)}
    subprocess.run(words, cwd=FOLDER, env=environment, check=True, stdout=subprocess.DEVNULL)


def sizes() -> Iterator[dict[str, Any]]:
    """A row for each engine's installation."""
    for engine, (python, names) in _SIZES.items():
        found = medians([run(python, {"do": "size", "of": names})], 1)
        yield {"what": "installed", "engine": engine, "mib": found["mib"], "distributions": found["distributions"]}


def imports(repeats: int) -> Iterator[dict[str, Any]]:
    """A row for each engine's imports."""
    found = interleaved(
        _IMPORTS, repeats, lambda way: run(way[0], {"do": "import", "after": way[1], "modules": way[2]})
    )
    for engine, results in found.items():
        yield {"what": "import", "engine": engine, **medians(results, 1)}


def answers(repeats: int) -> Iterator[dict[str, Any]]:
    """Rows of every task and engine.

    Raises:
        SystemExit: an engine's answer has other texts than the others': it would not have done the same work.
    """
    for sample in one_of_each():
        ways = _ways(sample)
        found = interleaved(ways, repeats, lambda way: run(way[0], way[1], way[2]))
        texts = {engine: results[0]["texts"] for engine, results in found.items()}
        if any(other != texts["torchless"] for other in texts.values()):
            raise SystemExit(f"{sample.task} of {sample.checkpoint}: the answers differ: {texts}")
        for engine, results in found.items():
            numbers = medians(results)
            yield {
                **{"what": f"first answer, {engine}", "task": sample.task, "checkpoint": sample.checkpoint},
                **{"process_s": numbers["process_s"], "MiB": round(numbers["peak_mib"], 1)},
                "modules": numbers["modules"],
            }


def one_of_each() -> list[Sample]:
    """The first sample of each task and checkpoint."""
    first: dict[tuple[str, str], Sample] = {}
    for sample in SAMPLES:
        first.setdefault((sample.task, sample.checkpoint), sample)
    return list(first.values())


def _ways(sample: Sample) -> dict[str, tuple[Path, dict[str, Any], Path]]:
    item = sample.inputs[0]
    command = {
        **{"do": "answer", "task": sample.task, "options": sample.options},
        "input": str(item) if isinstance(item, Path) else item,
    }
    ours = {**command, "engine": "torchless", "folder": str(BUNDLES / sample.checkpoint)}
    peer = {**command, "engine": "transformers", "folder": str(CHECKPOINTS / sample.checkpoint)}
    optimum = {"engine": "optimum", "folder": str(FOLDER / sample.checkpoint), "optimum": OPTIMUM[sample.checkpoint]}
    return {
        "torchless": (OURS, ours, FOLDER / "empty"),
        "torchless optimized": (OURS, ours, OPTIMIZED),
        "transformers": (PEERS, peer, FOLDER / "empty"),
        "optimum": (PEERS, {**command, **optimum}, FOLDER / "empty"),
    }
