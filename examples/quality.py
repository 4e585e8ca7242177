"""Size, speed and quality of the shipped checkpoints in float32, int8 and q4: ``python -m examples.quality FOLDER``.

Quantizes the exported samples where torch is not installed, and lets each variant answer held-out examples.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
import warnings
from pathlib import Path

from torchless import Bundle
from torchless.errors import QuantizationWarning
from torchless.quantize import quantize
from torchless.quantize.evaluation import Scores, evaluate
from torchless.quantize.hardware import describe
from torchless.quantize.labelled import read_labelled
from torchless.quantize.measure import answer_ms
from torchless.quantize.reported import aligned

from .held_out import prepare
from .samples import CHECKPOINTS

SCHEMES = ("int8", "q4")
HEADINGS = (
    "checkpoint", "MiB fp32", *SCHEMES, "size int8", "q4", "speed int8", "q4", "quality", "fp32", *SCHEMES, "lost int8",
    "q4", "rows",
)  # fmt: skip


def main() -> None:
    """Quantize every sample, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", type=Path, help="folder of the exported samples")
    bundles: Path = parser.parse_args().bundles
    if importlib.util.find_spec("torch") is not None:
        raise SystemExit("torch can be imported here, so this would show nothing: use an environment without it")
    warnings.simplefilter("ignore", QuantizationWarning)  # of a scheme that is slower here: the table says so
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        rows = [_row(bundles / name, Path(folder)) for name in sorted(path.parent.name for path in _checkpoints())]
    print(f"quantized and measured without torch in {time.perf_counter() - start:.0f} s, on {describe()}")
    print("\n".join(aligned([list(HEADINGS), *rows])))
    print(
        "size: share of float32's bytes; speed: times as fast as float32 here, of an encoder and decoder one input and "
        "16 tokens;\nquality: on examples that training never saw; lost: points beside float32, of perplexity percent"
    )


def _checkpoints() -> list[Path]:
    return list(CHECKPOINTS.glob("*/config.json"))


def _row(bundle: Path, folder: Path) -> list[str]:
    """One checkpoint's line."""
    name = bundle.name
    variants = quantize(
        bundle, list(SCHEMES), calibrate=prepare(name, folder, "calibration"), limit=32, recommend=False, overwrite=True
    )
    measured = {
        scheme: {variant.role: variant.measured for variant in variants if variant.dtype == scheme and variant.measured}
        for scheme in SCHEMES
    }
    sizes = [sum(graph.bytes for graph in graphs.values()) for graphs in measured.values()]
    whole = sum(graph.baseline_bytes for graph in measured[SCHEMES[0]].values())
    times = [
        [answer_ms({role: getattr(graph, name) for role, graph in graphs.items()}) for name in ("baseline_ms", "ms")]
        for graphs in measured.values()
    ]
    speeds = [before / after for before, after in times]
    scores = _scores(bundle, prepare(name, folder))
    base = scores[0]
    return [
        name,
        *(f"{size / 2**20:.1f}" for size in (whole, *sizes)),
        *(f"{100 * size / whole:.0f}%" for size in sizes),
        *(f"{speed:.2f}x" for speed in speeds),
        base.primary.replace("_", " "),
        *(_number(found) for found in scores),
        *(f"{found.lost(base):+.1f}" for found in scores[1:]),
        str(base.examples),
    ]


def _scores(bundle: Path, table: Path) -> list[Scores]:
    """Metrics of float32 and of each scheme."""
    opened = [Bundle.open(bundle, dtype=dtype) for dtype in ("fp32", *SCHEMES)]
    data = read_labelled(table, opened[0])
    return [evaluate(variant, data) for variant in opened]


def _number(scores: Scores) -> str:
    value = scores.values[scores.primary]
    return f"{value:.3f}" if scores.primary == "perplexity" else f"{100 * value:.1f}%"


if __name__ == "__main__":
    main()
