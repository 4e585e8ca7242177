"""Feature extractors: hand-made numbers, the spectrum against NumPy, what configurations may say, memory."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from torchless import BundleError, InputError
from torchless.audio import feature_extractor
from torchless.audio.mel import bands, kaldi_filters, slaney_filters
from torchless.audio.spectrum import PowerSpectrum

WAV2VEC2 = {"feature_extractor_type": "Wav2Vec2FeatureExtractor"}
WHISPER = {"feature_extractor_type": "WhisperFeatureExtractor"}
AST = {"feature_extractor_type": "ASTFeatureExtractor"}
ALL = [WAV2VEC2, WHISPER, AST]


def clip(*samples):
    return np.array(samples, np.float32)


def noise(samples, level=0.1):
    return (level * np.random.default_rng(0).standard_normal(samples)).astype(np.float32)


def tone(hertz, samples=16000):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(samples) / 16000)).astype(np.float32)


def test_waveforms_have_mean_0_and_variance_1():
    found = feature_extractor(WAV2VEC2)([clip(0, 2, 0, 2)])
    assert list(found) == ["input_values"]
    np.testing.assert_allclose(found["input_values"], [[-1, 1, -1, 1]], atol=1e-6)


def test_silence_and_a_single_sample_stay_finite():
    for samples in (clip(0, 0, 0), clip(0.5, 0.5), clip(0.3)):
        assert feature_extractor(WAV2VEC2)([samples])["input_values"].tolist() == [[0] * len(samples)]


def test_waveforms_are_padded_behind_their_end_after_they_are_normalized():
    found = feature_extractor({**WAV2VEC2, "return_attention_mask": True, "padding_value": 9})([clip(1), clip(0, 2, 4)])
    np.testing.assert_allclose(found["input_values"], [[0, 9, 9], [-np.sqrt(1.5), 0, np.sqrt(1.5)]], atol=1e-6)
    assert found["attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert found["attention_mask"].dtype == np.int64


def test_padding_on_the_left():
    config = {**WAV2VEC2, "return_attention_mask": True, "do_normalize": False, "padding_side": "left"}
    found = feature_extractor(config)([clip(1), clip(2, 3)])
    assert found["input_values"].tolist() == [[0, 1], [2, 3]]
    assert found["attention_mask"].tolist() == [[0, 1], [1, 1]]


def test_log_mel_of_silence_and_of_a_tone():
    extractor = feature_extractor(WHISPER)
    silence = extractor([clip(0)])["input_features"]
    assert silence.shape == (1, 80, 3000)
    assert silence == pytest.approx(np.full(silence.shape, -1.5))
    features = extractor([tone(1000)])["input_features"][0]
    edges = np.argmax(slaney_filters(201, 80, 16000)[:, 25])  # bin 25 is 1 kHz
    assert set(features[:, 5:95].argmax(axis=0)) == {edges}
    assert features.max() - features.min() == pytest.approx(2)  # 80 dB, in units of 40
    assert (features[:, 102:] == features.min()).all()


def test_the_loudest_of_the_whole_clip_decides_what_is_silence():
    extractor = feature_extractor(WHISPER)
    quiet, loud = noise(4000, 1e-3), noise(1600, 1.0)
    together = extractor.frames(np.concatenate([quiet, loud]))
    assert together.min() == pytest.approx(max(extractor.frames(quiet).min(), together.max() - 2), abs=1e-5)


def test_sounds_longer_than_30_seconds_are_cut():
    extractor = feature_extractor(WHISPER)
    long = noise(31 * 16000)
    np.testing.assert_array_equal(
        extractor([long])["input_features"], extractor([long[: 30 * 16000]])["input_features"]
    )
    assert extractor.frames(long).shape == (80, 3100)


def test_attributes():
    whisper = feature_extractor({**WHISPER, "feature_size": 128})
    assert (whisper.sampling_rate, whisper.input_name, whisper.masked) == (16000, "input_features", False)
    assert (whisper.mels, whisper.hop_length, whisper.chunk_samples, whisper.chunk_length_s) == (128, 160, 480000, 30)
    waveform = feature_extractor({**WAV2VEC2, "sampling_rate": 8000, "return_attention_mask": True})
    assert (waveform.sampling_rate, waveform.input_name, waveform.masked) == (8000, "input_values", True)
    assert feature_extractor(AST).minimum_samples == 400


def test_ast_pads_with_zeros_before_it_normalizes():
    extractor = feature_extractor({**AST, "max_length": 5, "num_mel_bins": 3, "mean": 2.0, "std": 0.5})
    found = extractor([noise(560), noise(100000)])["input_values"]
    assert found.shape == (2, 5, 3)
    assert (found[0, 2:] == -2).all()
    assert (found[1] != -2).all()


@pytest.mark.parametrize(
    ("size", "hop"), [(400, 160), (512, 128), (510, 85), (30, 7), (32, 32), (4, 1), (6, 4), (14, 3)]
)
def test_the_spectrum_is_that_of_the_fast_transform(size, hop):
    frames = 11
    spectrum = PowerSpectrum(size, hop)
    samples = noise(spectrum.samples(frames))
    found = spectrum.workspace(frames).power(samples, frames)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    rows = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), size)[::hop][:frames]
    expected = np.abs(np.fft.rfft(rows * window)) ** 2
    assert sorted(spectrum.order) == list(range(size // 2 + 1))
    np.testing.assert_allclose(found.T, expected[:, spectrum.order], rtol=1e-4, atol=1e-6 * expected.max())


def test_blocks_of_frames_change_nothing(monkeypatch):
    extractor, sound = feature_extractor(WHISPER), noise(50000)
    whole = extractor.frames(sound)
    monkeypatch.setattr("torchless.audio.spectrum.BLOCK", 7)
    np.testing.assert_allclose(extractor.frames(sound), whole, atol=1e-5)


def test_filters():
    filters = slaney_filters(201, 80, 16000)
    assert filters.shape == (80, 201)
    np.testing.assert_allclose((filters * 40).sum(axis=1)[40:], 1, atol=0.1)  # area 1 over bins of 40 Hz
    assert kaldi_filters(257, 128, 16000).max() <= 1
    dense = np.zeros_like(filters)
    for rows, columns, block in bands(filters):
        dense[rows, columns] = block
    np.testing.assert_array_equal(dense, filters)


def test_ten_minutes_are_read_in_bounded_memory():
    extractor = feature_extractor(WHISPER)
    sound = np.zeros(600 * 16000, np.float32)
    sound[::1000] = 1
    tracemalloc.start()
    try:
        features = extractor.frames(sound)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert features.shape == (80, 60000)
    assert peak < features.nbytes + sound.size + 8 * 2**20  # the result, the check for NaN, and the blocks


def test_threads_share_an_extractor():
    extractor = feature_extractor(WHISPER)
    sounds = [noise(20000, level) for level in (0.1, 0.2, 0.3, 0.4)] * 4
    alone = [extractor.frames(sound) for sound in sounds]
    with ThreadPoolExecutor(4) as threads:
        for found, expected in zip(threads.map(extractor.frames, sounds), alone, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("config", ALL)
@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([], "at least one"),
        (noise(1000), "a list of clips"),
        ([np.zeros(0, np.float32)], "empty"),
        ([noise(1000), np.zeros((2, 1000), np.float32)], "array"),
        ([np.zeros(1000, np.int16)], "int16"),
        ([clip(*[0] * 500, np.nan)], "sample 500 is nan"),
        ([clip(*[0] * 400, -np.inf)], "sample 400 is -inf"),
    ],
)
def test_what_is_no_clip(config, clips, message):
    with pytest.raises(InputError, match=message):
        feature_extractor(config)(clips)


def test_clips_that_are_too_short():
    with pytest.raises(InputError, match="399 samples and must have at least 400"):
        feature_extractor(AST)([noise(399)])
    with pytest.raises(InputError, match="159 samples and a frame needs 160"):
        feature_extractor(WHISPER).frames(noise(159))


def test_an_old_file_of_wav2vec2_does_not_tell_its_type():
    config = {"do_normalize": True, "feature_size": 1, "padding_side": "right", "padding_value": 0.0,
              "return_attention_mask": False, "sampling_rate": 16000}  # fmt: skip
    np.testing.assert_allclose(feature_extractor(config)([clip(0, 2)])["input_values"], [[-1, 1]], atol=1e-6)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "None"),
        ({"feature_extractor_type": "EncodecFeatureExtractor"}, "EncodecFeatureExtractor"),
        ({"feature_extractor_type": ["a"]}, "is not one of"),
        ({**WAV2VEC2, "sampling_rate": 0}, "sampling_rate"),
        ({**WAV2VEC2, "sampling_rate": "16000"}, "sampling_rate"),
        ({**WAV2VEC2, "feature_size": 2}, "1 number"),
        ({**WAV2VEC2, "do_normalize": "yes"}, "do_normalize"),
        ({**WAV2VEC2, "padding_side": "top"}, "padding_side"),
        ({**WAV2VEC2, "padding_value": None}, "padding_value"),
        ({**WHISPER, "feature_size": -80}, "feature_size"),
        ({**WHISPER, "n_fft": 401}, "401"),
        ({**WHISPER, "hop_length": 500}, "500"),
        ({**WHISPER, "dither": 0.1}, "dither"),
        ({**AST, "std": 0}, "std"),
        ({**AST, "mean": [1]}, "mean"),
        ({**AST, "max_length": 1.5}, "max_length"),
    ],
)
def test_configurations_that_cannot_be_used(config, message):
    with pytest.raises(BundleError, match=message):
        feature_extractor(config)
