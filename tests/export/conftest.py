"""Checkpoints and bundles that several tests of the export read."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the export needs torch")

from tests.export import models
from tests.export.tiny import TinyModels
from torchless.export import export


def read_manifest(bundle: Path) -> dict:
    return json.loads((bundle / "torchless.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT text classifier's checkpoint, to be read only."""
    return models.checkpoint(tmp_path_factory.mktemp("checkpoint"), "bert", "text-classification")


@pytest.fixture(scope="session")
def masked_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RoBERTa masked language model's checkpoint with tied embeddings, to be read only."""
    return models.checkpoint(tmp_path_factory.mktemp("checkpoint"), "roberta", "fill-mask", vocab_size=8000)


@pytest.fixture(scope="session")
def classifier_bundle(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier's bundle in both dtypes, to be read only."""
    return export(classifier, tmp_path_factory.mktemp("bundle") / "bert", dtype=("fp32", "fp16"))


@pytest.fixture(scope="session")
def masked_lm_bundle(masked_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The masked language model's bundle, to be read only."""
    return export(masked_lm, tmp_path_factory.mktemp("bundle") / "roberta", dtype=("fp32", "fp16"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> TinyModels:
    """Small random models that generate, of every architecture, exported when first asked for."""
    base = tmp_path_factory.getbasetemp()
    return TinyModels(base if worker_id == "master" else base.parent)
