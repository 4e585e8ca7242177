"""Every task's shipped checkpoint on the GPU, against the CPU."""

from __future__ import annotations

from typing import Any

import pytest

from examples.samples import SAMPLES, Sample
from torchless import Bundle, pipeline

from .conftest import Bundles

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore:.*no kernel on CUDA"),
]

# Largest difference of a score between 0 and 1, by dtype.
TOLERANCES = {"fp32": 1e-4, "fp16": 2e-2}
TITLES = [f"{place} {sample.task} {sample.checkpoint}" for place, sample in enumerate(SAMPLES)]


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("sample", SAMPLES, ids=TITLES)
def test_answers(sample: Sample, dtype: str, device: str, bundles: Bundles) -> None:
    folder = bundles(sample.checkpoint)
    found = pipeline(sample.task, folder, dtype=dtype, device=device, **sample.options)
    wanted = pipeline(sample.task, folder, dtype="fp32", **sample.options)
    for item in sample.inputs:
        compare(found(item), wanted(item), TOLERANCES[dtype])


def compare(found: Any, wanted: Any, tolerance: float) -> None:
    """The same texts, labels and places; scores within the tolerance."""
    assert type(found) is type(wanted)
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            compare(found[key], value, tolerance)
    elif isinstance(wanted, (list, tuple)):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            compare(one, other, tolerance)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, abs=tolerance)
    else:
        assert found == wanted


@pytest.mark.parametrize("name", sorted({sample.checkpoint for sample in SAMPLES}))
def test_recorded_outputs(name: str, device: str, bundles: Bundles) -> None:
    """What the export recorded in torch is replayed in every variant, prompts and steps as well."""
    bundle = Bundle.open(bundles(name), device=device)
    checks = bundle.verify()
    assert all(any(dtype in part for part, _, _ in checks) for dtype in TOLERANCES)
    assert all(difference <= tolerance for _, difference, tolerance in checks)
