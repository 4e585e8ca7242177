"""Models of real sizes with random weights on the GPU, against the CPU: minutes, and several GB of memory."""

from __future__ import annotations

import numpy as np
import pytest

from .conftest import DEVICE

pytest.importorskip("torch", reason="the export needs torch")

from benchmarks.gpu import prepare
from benchmarks.peers.gpu_models import MODELS, inputs
from benchmarks.peers.gpu_torchless import Torchless

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore:.*no kernel on CUDA"),
]

SMALL = DEVICE == "cpu"
# Largest difference, of the largest output.
TOLERANCES = {"fp32": 1e-4, "fp16": 2e-2}


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("model", ["bert", "vit"])
def test_outputs(model: str, dtype: str, device: str) -> None:
    _, bundle = prepare(model, small=SMALL)
    feeds = inputs(model, 3, 40)
    wanted = Torchless(bundle, "fp32", "cpu").run(feeds)
    found = Torchless(bundle, dtype, device).run(feeds)
    assert np.abs(found - wanted).max() <= TOLERANCES[dtype] * np.abs(wanted).max()


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("model", sorted(set(MODELS) - {"bert", "vit"}))
def test_tokens(model: str, beams: int, device: str) -> None:
    """In float32; in float16 with random weights the most probable tokens are too close to each other."""
    _, bundle = prepare(model, small=SMALL)
    feeds = inputs(model, 2, 48)
    wanted = Torchless(bundle, "fp32", "cpu").generate(feeds, beams, 16)
    assert Torchless(bundle, "fp32", device).generate(feeds, beams, 16).tolist() == wanted.tolist()


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("model", sorted(set(MODELS) - {"bert", "vit"}))
def test_float16_generates(model: str, beams: int, device: str) -> None:
    """The first tokens are those of float32."""
    _, bundle = prepare(model, small=SMALL)
    feeds = inputs(model, 2, 48)
    wanted = Torchless(bundle, "fp32", "cpu").generate(feeds, beams, 16)
    found = Torchless(bundle, "fp16", device).generate(feeds, beams, 16)
    assert found.shape == wanted.shape
    if beams == 1:
        assert found[:, 0].tolist() == wanted[:, 0].tolist()
