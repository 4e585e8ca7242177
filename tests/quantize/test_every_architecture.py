"""Every scheme on every graph of every architecture: what is quantized, how small it becomes, how far it drifts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

pytest.importorskip("torch", reason="the export needs torch")
pytest.importorskip("PIL", reason="image processors need Pillow")

from tests.quantize.graphs import run
from tests.quantize.wide import MORE, NAMES, UNEVEN, WideModels
from torchless import Bundle
from torchless.quantize.conversion import convert_role
from torchless.quantize.converted import Converted
from torchless.quantize.samples import record
from torchless.quantize.schemes import Scheme

pytestmark = pytest.mark.export

SCHEMES = {
    "int8": Scheme("int8", reduce_range=False),
    "int8-static": Scheme("int8-static", reduce_range=False),
    "q8": Scheme("q8"),
    "q4": Scheme("q4"),
    "fp16": Scheme("fp16"),
}
# Bytes of a weight's four that remain, scales included; and the share of the outputs' spread that they may differ by.
SIZE = {"int8": 0.27, "int8-static": 0.27, "q8": 0.27, "q4": 0.17, "fp16": 0.5}
DRIFT = {"int8": 0.12, "int8-static": 0.2, "q8": 0.1, "q4": 0.6, "fp16": 0.01}
# What a product with constant weights, and an embedding, become.
PRODUCTS = {
    "int8": "DynamicQuantizeMatMul",
    "int8-static": "MatMulIntegerToFloat",
    "q8": "MatMulNBits",
    "q4": "MatMulNBits",
}
SMALL, SMALL_TABLE = 1 << 14, 1 << 16


@dataclass(frozen=True)
class Case:
    """A graph of a bundle, what it is given, and what it answers."""

    model: ir.Model
    feeds: list[dict[str, np.ndarray]]
    outputs: list[list[np.ndarray]]


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> WideModels:
    """Wide random models, exported when first asked for."""
    base = tmp_path_factory.getbasetemp()
    return WideModels(base if worker_id == "master" else base.parent)


@cache
def cases(folder: Path) -> dict[str, Case]:
    """The graphs of a bundle by role."""
    bundle = Bundle.open(folder)
    feeds = record(bundle, None).by_role
    found = {}
    for role in bundle.dtypes:
        model = ir.load(bundle.folder / bundle.manifest.graphs[role]["fp32"].model.file)
        found[role] = Case(model, feeds[role], [run(model, **feed) for feed in feeds[role]])
    return found


def weights(model: ir.Model) -> tuple[set[str], set[str], set[str]]:
    """Names of the weights of large products, of embeddings by size, and of convolutions, found by looking at uses."""
    products, tables, convolutions = set(), set(), set()
    for node in model.graph.all_nodes():
        for index, value in enumerate(node.inputs):
            producer = value.producer() if value is not None else None
            if producer is not None and producer.op_type == "Transpose":
                value = producer.inputs[0]
            if value is None or value.const_value is None or value.const_value.dtype != ir.DataType.FLOAT:
                continue
            large = len(value.const_value.shape) == 2 and value.const_value.size >= SMALL
            if node.op_type in ("MatMul", "Gemm", "FusedMatMul") and index == 1 and large:
                products.add(value.name)
            if node.op_type == "Gather" and index == 0 and large:
                tables.add(value.name)
            if node.op_type == "Conv" and index == 1:
                convolutions.add(value.name)
    return products, tables, convolutions


def size(model: ir.Model) -> int:
    return len(ir.serde.serialize_model(model).SerializeToString())


def check_names(case: Case, name: str, found: Converted) -> None:
    """Each weight is quantized, or left with a reason that holds."""
    products, tables, convolutions = weights(case.model)
    assert products or convolutions, "a graph without them would test nothing"
    assert (products | tables | convolutions) <= {*found.quantized, *found.left}
    assert not {*found.quantized} & {*found.left}
    for weight in products:
        assert PRODUCTS[name] in found.quantized[weight].split("+")
    for weight in tables - products:
        large = case.model.graph.initializers[weight].const_value.size >= SMALL_TABLE
        assert (weight in found.quantized) == (large or name in ("q8", "q4")), found.left.get(weight)
    for weight in convolutions:
        if name != "int8-static":
            assert "convolutions" in found.left[weight]
    left = weights(found.model)
    assert not left[0], "products of float32 in the quantized graph"
    made = Counter(node.op_type for node in found.model.graph.all_nodes())
    assert bool(made[PRODUCTS[name]]) == bool(products)


def check_drift(case: Case, name: str, found: Converted) -> None:
    """Each output, over all recorded calls."""
    answers = [answer(found.model, feed) for feed in case.feeds]
    outputs = found.model.graph.outputs
    assert [value.name for value in outputs] == [value.name for value in case.model.graph.outputs]
    for index, value in enumerate(outputs):
        calls = [(call[index].ravel(), got[index].ravel()) for call, got in zip(case.outputs, answers, strict=True)]
        wanted, actual = (np.concatenate(part) for part in zip(*calls, strict=True))
        if wanted.dtype.kind == "f" and wanted.size:
            drift = np.sqrt(np.square(actual.astype(np.float32) - wanted).mean()) / wanted.std()
            assert drift < DRIFT[name], f"{value.name} drifts by {drift:.3f}"


def answer(model: ir.Model, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    """What a graph answers; caches of float16 are given as such."""
    half = {value.name for value in model.graph.inputs if value.dtype == ir.DataType.FLOAT16}
    return run(model, **{name: array.astype(np.float16) if name in half else array for name, array in feed.items()})


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", [*NAMES, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)])
def test_every_scheme(wide: WideModels, name: str, scheme: str) -> None:
    for case in cases(wide.bundle(name)).values():
        found = convert_role(case.model, SCHEMES[scheme], case.feeds)
        if scheme != "fp16":
            check_names(case, scheme, found)
        saved = sum(case.model.graph.initializers[weight].const_value.nbytes for weight in found.quantized)
        nodes = 64 * (len(found.quantized) + 1) * 8
        share = SIZE[scheme] + UNEVEN.get(name, 0)
        assert size(found.model) <= size(case.model) - saved * (1 - share) + nodes
        check_drift(case, scheme, found)
