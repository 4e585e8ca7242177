"""Live sound: the windows are those of transformers' microphone, whatever blocks the sound comes in."""

import io

import numpy as np
import pytest

from torchless import InputError, OptionError
from torchless.audio import load_audio, resample, stream_audio

RATE = 100  # windows of a few samples can be read


def windows(source, *arguments, **options):
    return [
        (window["raw"].tolist(), window["stride"], window["partial"])
        for window in stream_audio(source, RATE, *arguments, **options)
    ]


def blocks(samples, size):
    samples = np.asarray(samples, np.float32)
    return [samples[start : start + size] for start in range(0, len(samples), size)]


@pytest.mark.parametrize("size", [1, 3, 10, 100])
def test_windows_overlap_by_their_strides(size):
    found = windows(blocks(range(20), size), 0.10, stride_length_s=(0.02, 0.01))
    assert found == [
        ([*range(10)], (0, 1), False),
        ([*range(7, 17)], (2, 1), False),
        ([*range(14, 20)], (2, 0), False),
    ]


def test_windows_grow_while_sound_comes_in():
    found = windows(blocks(range(12), 5), 0.08, stream_chunk_s=0.03, stride_length_s=0.02)
    assert found == [
        ([*range(3)], (0, 0), True),
        ([*range(6)], (0, 0), True),
        ([*range(8)], (0, 2), False),
        ([*range(4, 12)], (2, 2), False),
        ([*range(8, 12)], (2, 0), False),
    ]


# What is written down of every window, put together, is the sound.
@pytest.mark.parametrize("stride", [None, 0, 0.01, (0.03, 0.02)])
@pytest.mark.parametrize("length", [1, 9, 10, 11, 57, 60])
def test_nothing_is_lost_and_nothing_is_heard_twice(stride, length):
    kept = []
    for raw, (left, right), partial in windows(blocks(range(length), 4), 0.1, stride_length_s=stride):
        if not partial:
            kept += raw[left : len(raw) - right]
    assert kept == [*range(length)]


@pytest.mark.parametrize("size", [7, 480, 100000])
def test_resampled_windows_are_those_of_the_whole(size):
    pytest.importorskip("soxr")
    clip = np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32)
    expected = resample(clip, 48000, 16000)
    found = stream_audio(blocks(clip, size) if size > 7 else blocks(clip[:4800], 7), 16000, 0.25, source_rate=48000)
    parts = [window["raw"][window["stride"][0] : len(window["raw"]) - window["stride"][1]]
             for window in found if not window["partial"]]  # fmt: skip
    joined = np.concatenate(parts)
    np.testing.assert_allclose(joined[:1500], expected[:1500], atol=1e-6)
    if size > 7:
        np.testing.assert_allclose(joined, expected, atol=1e-6)


def test_a_file_is_read_as_a_stream(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    pytest.importorskip("soxr")
    path = tmp_path / "noise.flac"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, (9000, 2)), 8000)
    for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        found = list(stream_audio(source, 16000, 0.5, stride_length_s=0))
        assert [window["sampling_rate"] for window in found] == [16000] * len(found)
        joined = np.concatenate([window["raw"] for window in found if not window["partial"]])
        np.testing.assert_allclose(joined, load_audio(path, 16000), atol=1e-6)


def test_blocks_of_a_microphone_are_integers_with_channels():
    block = np.array([[16384, 0], [-16384, 0], [0, 0], [32767, 32767]], np.int16)
    (window,) = stream_audio([block, block[:0]], RATE, 0.04, stride_length_s=0)
    np.testing.assert_allclose(window["raw"], [0.25, -0.25, 0, 1], atol=1e-4)


def test_windows_come_as_soon_as_their_sound_is_there():
    read = []

    def microphone():
        for number in range(10):
            read.append(number)
            yield np.full(10, number, np.float32)

    stream = stream_audio(microphone(), RATE, 0.2, stride_length_s=0)
    assert len(next(stream)["raw"]) == 20
    assert read == [0, 1]


def test_a_window_is_the_callers_own():
    block = np.zeros(10, np.float32)
    (window,) = stream_audio([block], RATE, 0.1, stride_length_s=0)
    window["raw"][:] = 1
    assert not block.any()


def test_no_sound_gives_no_window():
    assert windows([], 1) == []
    assert windows([np.zeros(0, np.float32)], 1) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride_length_s": 0.5}, "strides"), ({"stride_length_s": -1}, "strides"),
        ({"stride_length_s": (0.9, 0.2)}, "strides"), ({"stream_chunk_s": 0}, "stream_chunk_s"),
        ({"stream_chunk_s": 2}, "stream_chunk_s"), ({"source_rate": 0}, "sampling rate"),
        ({"chunk_length_s": 0}, "chunk_length_s"), ({"chunk_length_s": "1"}, "seconds"),
        ({"stride_length_s": (0.1, 0.1, 0.1)}, "seconds"), ({"stride_length_s": "ab"}, "seconds"),
        ({"chunk_length_s": float("nan")}, "seconds"),
    ],
)  # fmt: skip
def test_malformed_options(options, message):
    with pytest.raises(OptionError, match=message):
        stream_audio([], RATE, **{"chunk_length_s": 1, **options})


def test_malformed_streams():
    for source in (None, 5, np.zeros(10)):
        with pytest.raises(InputError, match="stream"):
            stream_audio(source, RATE, 1)
    with pytest.raises(OptionError, match="source_rate"):
        stream_audio("a.wav", RATE, 1, source_rate=8000)
    with pytest.raises(InputError, match="nan"):
        list(stream_audio([np.array([np.nan])], RATE, 1))
    with pytest.raises(InputError, match=r"missing\.wav"):
        list(stream_audio("missing.wav", RATE, 1))
