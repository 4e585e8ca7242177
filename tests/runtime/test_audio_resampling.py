"""Resampling: tones stay tones, nothing moves in time, blocks give what the whole gives."""

import numpy as np
import pytest

from torchless import OptionError
from torchless.audio import load_audio, resample
from torchless.audio.resampling import Resampler

pytest.importorskip("soxr")

RATES = [(8000, 16000), (44100, 16000), (48000, 16000), (11025, 16000), (16000, 8000), (22050, 24000)]


def tone(rate, hertz, seconds=1.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize(("source", "target"), RATES)
@pytest.mark.parametrize("hertz", [100, 1000, 3500])
def test_a_tone_stays_the_same_tone(source, target, hertz):
    found = resample(tone(source, hertz), source, target)
    inner = slice(target // 10, -target // 10)  # a tone that begins at once is no pure tone at its ends
    np.testing.assert_allclose(found[inner], tone(target, hertz)[inner], atol=2e-5)


@pytest.mark.parametrize(("source", "target"), [(48000, 16000), (44100, 16000), (16000, 8000)])
def test_what_the_new_rate_cannot_hold_is_removed(source, target):
    found = resample(tone(source, 0.6 * target), source, target)
    assert np.abs(found[target // 10 : -target // 10]).max() < 1e-5


@pytest.mark.parametrize(("source", "target"), RATES)
@pytest.mark.parametrize("samples", [1, 2, 3, 7, 100, 4799, 4801])
def test_lengths_are_those_of_torchaudio(source, target, samples):
    found = resample(np.ones(samples, np.float32), source, target)
    assert found.dtype == np.float32
    assert len(found) == -(-samples * target // source)


@pytest.mark.parametrize(("source", "target"), RATES)
def test_a_click_stays_where_it_was(source, target):
    clip = np.zeros(source, np.float32)
    clip[source // 2] = 1
    assert np.abs(resample(clip, source, target)).argmax() == pytest.approx(target / 2, abs=1)


@pytest.mark.parametrize(("source", "target"), RATES)
@pytest.mark.parametrize("size", [1, 37, 1000, 100000])
def test_blocks_give_what_the_whole_gives(source, target, size):
    clip = np.random.default_rng(0).normal(0, 0.1, 5000 if size > 1 else 500).astype(np.float32)
    resampler = Resampler(source, target)
    parts = [resampler(clip[start : start + size]) for start in range(0, len(clip), size)]
    np.testing.assert_allclose(np.concatenate([*parts, resampler.finish()]), resample(clip, source, target), atol=1e-6)


def test_silence_stays_silence():
    assert not resample(np.zeros(1000, np.float32), 8000, 16000).any()


def test_the_same_rate_changes_nothing():
    clip = tone(16000, 300)
    assert resample(clip, 16000, 16000) is clip


def test_load_audio_resamples():
    clip = tone(8000, 300)
    found = load_audio({"array": clip, "sampling_rate": 8000}, 16000)
    np.testing.assert_array_equal(found, resample(clip, 8000, 16000))


@pytest.mark.parametrize("rates", [(0, 16000), (16000, -1), (8000.0, 16000), (8000, None)])
def test_malformed_rates(rates):
    with pytest.raises(OptionError, match="sampling rate"):
        resample(np.zeros(10, np.float32), *rates)
