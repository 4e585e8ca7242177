"""Features against transformers' extractors, on sounds made here and on real clips; resampling against torchaudio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchless.audio import feature_extractor, load_audio, resample

from . import audio_cases as cases

transformers = pytest.importorskip("transformers", reason="the reference")
# AST has more filters than its lowest bins; transformers says so.
pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")]

RATE = 16000
TOLERANCE = 1e-4
CLIPS = (
    "jfk.flac",  # 44.1 kHz
    "librispeech/1272-141231-0002.flac",
    "librispeech/1272-128104-0004-8k.wav",
    "fsdd/3_theo_0.wav",  # 8 kHz, a third of a second
    "speech_commands/happy/00970ce1_nohash_0.wav",
)
EXTRACTORS: dict[str, Any] = {
    "wav2vec2": ("Wav2Vec2FeatureExtractor", {}),
    "wav2vec2-masked": ("Wav2Vec2FeatureExtractor", {"return_attention_mask": True}),
    "wav2vec2-left": ("Wav2Vec2FeatureExtractor", {"do_normalize": False, "return_attention_mask": True,
                                                   "padding_side": "left"}),
    "wav2vec2-padded": ("Wav2Vec2FeatureExtractor", {"return_attention_mask": True, "padding_value": -0.5}),
    "moonshine": ("Wav2Vec2FeatureExtractor", {"do_normalize": False, "return_attention_mask": True}),
    "whisper": ("WhisperFeatureExtractor", {}),
    "whisper-large-v3": ("WhisperFeatureExtractor", {"feature_size": 128, "return_attention_mask": True}),
    "whisper-other": ("WhisperFeatureExtractor", {"feature_size": 40, "n_fft": 510, "hop_length": 85, "chunk_length": 3,
                                                  "padding_value": 0.01, "padding_side": "left"}),
    "ast": ("ASTFeatureExtractor", {}),
    "ast-other": ("ASTFeatureExtractor", {"num_mel_bins": 64, "max_length": 100, "mean": -1.5, "std": 2.0}),
    "ast-plain": ("ASTFeatureExtractor", {"do_normalize": False}),
}  # fmt: skip


def sounds() -> dict[str, np.ndarray]:
    """Clips at the edges of what extractors do: lengths around a frame, a hop, 30 seconds; loud beside quiet."""
    generator = np.random.default_rng(0)

    def noise(samples: int, level: float = 0.1) -> np.ndarray:
        return (level * generator.standard_normal(samples)).astype(np.float32)

    return {
        "noise": noise(5000),
        "one frame": noise(400),
        "a frame and a hop": noise(560),
        "no whole hop": noise(12345),
        "silence": np.zeros(4000, np.float32),
        "constant": np.full(4000, 0.3, np.float32),
        "quiet": noise(4000, 1e-6),
        "clipped": np.clip(noise(8000, 10), -1, 1),
        "mixture": cases.mixture(),
        "almost 30 s": noise(30 * RATE - 100),
        "30 s": noise(30 * RATE),
        "31 s": noise(31 * RATE),
    }


def pair(name: str) -> tuple[Any, Any]:
    """Ours, from what an export writes, and theirs."""
    kind, settings = EXTRACTORS[name]
    theirs = getattr(transformers, kind)(**settings)
    return feature_extractor(theirs.to_dict()), theirs


def reference(theirs: Any, clips: list[np.ndarray]) -> dict[str, np.ndarray]:
    options: dict[str, Any] = {"sampling_rate": RATE, "return_tensors": "np"}
    if type(theirs).__name__ == "Wav2Vec2FeatureExtractor":
        options["padding"] = True
    if theirs.return_attention_mask and type(theirs).__name__ != "ASTFeatureExtractor":
        options["return_attention_mask"] = True
    return dict(theirs(clips, **options))


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], what: str) -> None:
    assert set(found) == set(expected), what
    for name, value in found.items():
        assert value.dtype == (np.int64 if name == "attention_mask" else np.float32), what
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=TOLERANCE, err_msg=what)


@pytest.mark.parametrize("name", EXTRACTORS)
def test_sounds_made_here(name: str) -> None:
    ours, theirs = pair(name)
    for what, clip in sounds().items():
        assert_same(ours([clip]), reference(theirs, [clip]), what)


@pytest.mark.parametrize("name", [name for name in EXTRACTORS if name != "wav2vec2"])
def test_batches_of_different_lengths(name: str) -> None:
    ours, theirs = pair(name)
    clips = [clip for what, clip in sounds().items() if "30" not in what]
    assert_same(ours(clips), reference(theirs, clips), "batch")


def test_a_batch_without_mask_is_normalized_clip_by_clip() -> None:
    """Unlike transformers, which takes the zeros behind a clip for sound; its pipelines never do so, as ours."""
    ours, theirs = pair("wav2vec2")
    clips = [sounds()["noise"], sounds()["mixture"]]
    found = ours(clips)["input_values"]
    for row, clip in zip(found, clips, strict=True):
        np.testing.assert_allclose(row[: len(clip)], reference(theirs, [clip])["input_values"][0], atol=TOLERANCE)
        assert not row[len(clip) :].any()


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("clip", ["one frame", "no whole hop", "mixture", "30 s", "31 s"])
def test_whole_clips_of_any_length(mels: int, clip: str) -> None:
    theirs = transformers.WhisperFeatureExtractor(feature_size=mels)
    options = {"sampling_rate": RATE, "return_tensors": "np", "truncation": False, "padding": "longest"}
    expected = theirs(sounds()[clip], **options)["input_features"][0]
    found = feature_extractor(theirs.to_dict()).frames(sounds()[clip])
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("file", CLIPS)
def test_real_clips(name: str, file: str, shared_data: Path) -> None:
    clip = load_audio(shared_data / "datasets" / "audio" / file, RATE)
    ours, theirs = pair(name)
    assert_same(ours([clip]), reference(theirs, [clip]), file)


def test_a_long_real_clip(shared_data: Path) -> None:
    clip = np.tile(load_audio(shared_data / "datasets" / "audio" / "jfk.flac", RATE), 4)
    ours, theirs = pair("whisper")
    assert_same(ours([clip]), reference(theirs, [clip]), "44 s")
    options = {"sampling_rate": RATE, "return_tensors": "np", "truncation": False, "padding": "longest"}
    expected = theirs(clip, **options)["input_features"][0]
    np.testing.assert_allclose(ours.frames(clip), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("mels", [80, 128])
def test_filters_are_the_published_ones(mels: int, shared_data: Path) -> None:
    """Those in OpenAI's repository; and the log-mel that its formula gives with them for a published clip."""
    filters = np.load(shared_data / "tokenizers" / "whisper" / "mel_filters.npz")[f"mel_{mels}"]
    clip = np.load(shared_data / "datasets" / "audio" / "whisper-features" / "jfk.npy").ravel().astype(np.float64)
    padded = np.pad(clip, 200, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, 400)[::160][:-1]
    power = np.abs(np.fft.rfft(frames * np.hanning(401)[:-1])) ** 2
    log = np.log10(np.maximum(filters @ power.T, 1e-10))
    expected = (np.maximum(log, log.max() - 8) + 4) / 4
    found = feature_extractor({"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": mels})
    np.testing.assert_allclose(found.frames(clip), expected, rtol=0, atol=TOLERANCE)


def test_the_filter_bank_of_torchaudio() -> None:
    """With torchaudio, transformers takes its filter bank, in float32; its own otherwise (above), in float64."""
    found = feature_extractor({"feature_extractor_type": "ASTFeatureExtractor", **cases.AST})([cases.mixture()])
    for frame, expected in cases.recorded()["filter_bank"].items():
        np.testing.assert_allclose(found["input_values"][0, int(frame)], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("rate", cases.RATES)
def test_resampling_beside_torchaudio(rate: int) -> None:
    """How far the pipelines of transformers 4.57.6, whose filter is short, are from ours within the pass band.

    Version 5 resamples with soxr, as we do.
    """
    pytest.importorskip("soxr")
    expected = np.array(cases.recorded()["resampled"][str(rate)])
    difference = resample(cases.sweep(rate), rate, cases.TARGET)[cases.KEPT] - expected
    assert np.sqrt(np.mean(difference**2)) < 0.005 * np.sqrt(np.mean(expected**2))
    assert np.abs(difference).max() < 0.01


def test_resampling_is_that_of_transformers_5() -> None:
    soxr = pytest.importorskip("soxr")
    for rate in cases.RATES:
        expected = soxr.resample(cases.sweep(rate), rate, cases.TARGET)
        found = resample(cases.sweep(rate), rate, cases.TARGET)
        np.testing.assert_allclose(found[: len(expected)], expected, atol=1e-6)
