"""Static int8 of trained checkpoints: what is quantized, and how far outputs drift on inputs that it never saw."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

pytest.importorskip("torch", reason="the export needs torch")

from examples.held_out import prepare
from tests.fidelity.checkpoints import Exported
from tests.quantize.graphs import run
from torchless import Bundle
from torchless.quantize import static
from torchless.quantize.calibration import calibrate
from torchless.quantize.samples import Feeds, record
from torchless.quantize.schemes import Scheme

pytestmark = pytest.mark.export

PRODUCT, TIED, FILTERS, TABLE = "MatMulIntegerToFloat", "Gather+MatMulIntegerToFloat", "QLinearConv", "Gather"
# By checkpoint: operators of all quantized weights by graph, and the share of the outputs' spread that may be lost.
QUANTIZED: dict[str, dict[str, dict[str, int]]] = {
    "sentiment": {"model": {PRODUCT: 13, TABLE: 2}},
    "keywords": {"model": {PRODUCT: 6, FILTERS: 3}},
    "shapes": {"model": {PRODUCT: 8, FILTERS: 1}},
    "story": {"model": {PRODUCT: 15, TIED: 1}},
    "translate": {"encoder_model": {PRODUCT: 24, TABLE: 1}, "decoder_model": {PRODUCT: 24, TIED: 1}},
}
LOST = {"sentiment": 0.02, "keywords": 0.1, "shapes": 0.025, "story": 0.08, "translate": 0.03}


def examples(bundle: Bundle, name: str, folder: Path) -> tuple[Feeds, Feeds]:
    """What calibration sees, and what it does not."""
    pytest.importorskip("PIL" if name == "shapes" else "soundfile")
    return (
        record(bundle, prepare(name, folder, "calibration"), limit=48),
        record(bundle, prepare(name, folder), limit=32),
    )


def drift(graph: ir.Model, quantized: ir.Model, feeds: list[dict[str, np.ndarray]]) -> float:
    """How far outputs lie from those of float32, by their spread; the caches of a decoder aside."""
    lost = spread = 0.0
    names = [str(value.name) for value in graph.graph.outputs]
    decodes = any(str(value.name).startswith("past_key_values") for value in graph.graph.inputs)
    for feed in feeds:
        given = {str(value.name): feed[str(value.name)] for value in graph.graph.inputs if value.name in feed}
        for name, exact, found in zip(names, run(graph, **given), run(quantized, **given), strict=True):
            if not (decodes and name.startswith("present")):
                lost += float(np.sum((found - exact) ** 2, dtype=np.float64))
                spread += float(np.sum((exact - exact.mean()) ** 2, dtype=np.float64))
    return float(np.sqrt(lost / spread))


@pytest.mark.parametrize("name", QUANTIZED)
def test_shipped(exported: Exported, name: str, tmp_path: Path) -> None:
    bundle = Bundle.open(exported(name), dtype="fp32")
    calibration, unseen = examples(bundle, name, tmp_path)
    for role, operators in QUANTIZED[name].items():
        graph = ir.load(bundle.folder / "onnx" / f"{role}.onnx")
        feeds = calibration.by_role[role]
        for method in ("minmax", "percentile"):
            scheme = Scheme.checked("int8-static", method=method, reduce_range=False)
            names = static.wanted(graph, scheme)
            ranges = calibrate(graph, names, feeds, method)
            assert set(ranges) == set(names), "every activation is seen"
            result = static.convert(graph, scheme, ranges)
            assert Counter(result.quantized.values()) == operators
            assert not any("no range" in reason for reason in result.left.values())
            assert drift(graph, result.model, unseen.by_role[role]) < LOST[name], method
