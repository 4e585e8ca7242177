"""Audio classification against transformers' pipeline, on small random checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchless import pipeline

torch = pytest.importorskip("torch", reason="the export needs torch")
import transformers  # noqa: E402

from tests.export import media  # noqa: E402
from torchless.export import export  # noqa: E402

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")]

TASK = "audio-classification"
RATE = 16000
SCORE = 1e-4
CHECKPOINTS = ("wav2vec2-layer", "hubert-group", "ast")


@pytest.fixture(scope="module")
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """Our pipeline and theirs on one checkpoint."""
    name, _, norm = request.param.partition("-")
    folder = tmp_path_factory.mktemp(request.param)
    if name == "ast":
        source = media.spectrograms(folder / "source")
    else:
        source = media.waves(folder / "source", name, TASK, norm, masked=norm == "layer")
    bundle = export(source, folder / "bundle", task=TASK)
    theirs = transformers.pipeline(TASK, str(source), dtype=torch.float32, device="cpu")
    return pipeline(TASK, bundle), theirs


def clips() -> list[np.ndarray]:
    """Of several lengths, some equal; one silent."""
    generator = np.random.default_rng(0)
    sounds = [0.1 * generator.standard_normal(samples) for samples in (16000, 4000, 777, 4000, 9001, 16000)]
    return [sound.astype(np.float32) for sound in (*sounds, np.zeros(4000))]


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected)
    theirs = {one["label"]: one["score"] for one in expected}
    assert {one["label"]: one["score"] for one in found} == pytest.approx(theirs, abs=SCORE)
    for ours, other in zip(found, expected, strict=True):  # the order, but where scores are as good as equal
        assert ours["label"] == other["label"] or ours["score"] == pytest.approx(other["score"], abs=1e-5)


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, indirect=True)
def test_answers(checkpoint: tuple[Any, Any]) -> None:
    ours, theirs = checkpoint
    sounds = clips()
    together = ours(sounds)
    for sound, found in zip(sounds, together, strict=True):
        expected = theirs(sound, top_k=5, function_to_apply="softmax")
        assert_same(found, expected)
        assert_same(ours(sound), expected)
    assert np.ptp([answer[0]["score"] for answer in together]) > 1e-3, "answers that are all alike would hide errors"
    for function in ("sigmoid", "none"):
        for top_k in (1, 3, None):
            expected = theirs(sounds[0], top_k=top_k, function_to_apply=function)
            assert_same(ours(sounds[0], top_k=top_k, function_to_apply=function), expected)


@pytest.mark.parametrize("checkpoint", ["hubert-group", "ast"], indirect=True)
def test_real_clips(checkpoint: tuple[Any, Any], shared_data: Path) -> None:
    pytest.importorskip("soundfile")
    ours, theirs = checkpoint
    from torchless.audio import load_audio

    paths = sorted((shared_data / "datasets" / "audio" / "speech_commands").rglob("*.wav"))
    paths += sorted((shared_data / "datasets" / "audio" / "fsdd").glob("*_theo_0.wav"))[:3]
    for path, found in zip(paths, ours(paths), strict=True):
        assert_same(found, theirs(load_audio(path, RATE), function_to_apply="softmax"))
