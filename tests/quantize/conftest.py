"""Fixtures of the tests of quantization; the exported shipped checkpoints are shared with those of fidelity."""

from pathlib import Path

import pytest

from tests.fidelity.conftest import exported
from torchless.quantize import checking

from .bundles import classifier

__all__ = ["exported"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take little time to measure."""
    monkeypatch.setattr(checking, "_TIMED_SECONDS", 0.01)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of a text classifier."""
    return classifier(tmp_path / "bundle")
