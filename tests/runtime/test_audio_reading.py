"""Reading sound: every kind of source and file gives the same samples, and what is no sound is told."""

import builtins
import io
import sys

import numpy as np
import pytest

from torchless import InputError, MissingDependencyError, OptionError
from torchless.audio import load_audio

soundfile = pytest.importorskip("soundfile")

RATE = 16000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(4000) / RATE)).astype(np.float32)


def encode(samples, kind="WAV", subtype=None, rate=RATE):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def off(samples, expected=TONE):
    """The largest difference."""
    assert samples.dtype == np.float32
    assert samples.shape == expected.shape
    return np.abs(samples - expected).max()


# Integers to a step (written times 32767, read divided by 32768), companded and lossy ones to what they lose.
@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [
        ("WAV", "PCM_16", 2**-15), ("WAV", "PCM_24", 2**-23), ("WAV", "PCM_32", 1e-9), ("WAV", "FLOAT", 0),
        ("WAV", "DOUBLE", 0), ("WAV", "PCM_U8", 2**-6), ("WAV", "ULAW", 0.02), ("FLAC", "PCM_16", 2**-15),
        ("FLAC", "PCM_24", 2**-23), ("AIFF", "PCM_16", 2**-15), ("OGG", "VORBIS", 0.05),
    ],
)  # fmt: skip
def test_formats(kind, subtype, tolerance):
    assert off(load_audio(encode(TONE, kind, subtype), RATE)) <= tolerance * 1.01


def test_mp3():
    found = load_audio(encode(np.tile(TONE, 4), "MP3"), RATE)
    assert len(found) == 4 * len(TONE)
    assert np.abs(found - np.tile(TONE, 4))[1000:-1000].max() < 0.02


def test_sources_give_the_same_samples(tmp_path):
    content = encode(TONE, subtype="FLOAT")
    path = tmp_path / "tone.wav"
    path.write_bytes(content)
    plain = {"sampling_rate": RATE}
    sources = [
        str(path), path, content, bytearray(content), io.BytesIO(content), TONE, TONE.astype(np.float64),
        {"array": TONE, **plain}, {"raw": TONE, **plain}, {"array": TONE.tolist(), **plain},
        {"path": "elsewhere.wav", "array": TONE, **plain}, {"raw": TONE, "sampling_rate": np.int64(RATE)},
        {"path": str(path)}, {"path": str(path), "bytes": None}, {"path": None, "bytes": content},
    ]  # fmt: skip
    for source in sources:
        assert off(load_audio(source, RATE)) == 0, source
    with path.open("rb") as file:
        assert off(load_audio(file, RATE)) == 0


def test_a_file_object_is_read_from_where_it_stands():
    file = io.BytesIO(b"head" + encode(TONE, subtype="FLOAT"))
    file.seek(4)
    assert off(load_audio(file, RATE)) == 0


def test_channels_are_averaged():
    left, right = TONE, np.zeros_like(TONE)
    both = np.stack([left, right])
    for source in (both, both.T, encode(both.T, subtype="FLOAT")):
        assert off(load_audio(source, RATE), TONE / 2) == 0
    five = np.stack([TONE * factor for factor in (0, 1, 0, 0.5, 1)], axis=1)
    assert off(load_audio(encode(five, subtype="FLOAT"), RATE), TONE / 2) < 1e-7


@pytest.mark.parametrize(
    ("dtype", "samples", "expected"),
    [
        ("int16", [-32768, 0, 16384], [-1, 0, 0.5]),
        ("int32", [-(2**31), 0, 2**30], [-1, 0, 0.5]),
        ("int8", [-128, 0, 64], [-1, 0, 0.5]),
        ("uint8", [0, 128, 192], [-1, 0, 0.5]),
        ("float16", [-1, 0, 2.5], [-1, 0, 2.5]),
    ],
)
def test_integers_are_scaled_to_one_and_floats_are_not(dtype, samples, expected):
    assert load_audio(np.array(samples, dtype), RATE).tolist() == expected


def test_silence_a_single_sample_and_clipping_are_sound():
    assert load_audio(encode(np.zeros(100)), RATE).tolist() == [0] * 100
    assert load_audio(np.array([0.25]), RATE).tolist() == [0.25]
    clipped = load_audio(encode(TONE * 10), RATE)
    assert clipped.max() == pytest.approx(1, abs=1e-4)
    assert clipped.min() == -1


def test_files_of_several_blocks(monkeypatch):
    monkeypatch.setattr("torchless.audio.decoding._BLOCK", 777)
    stereo = np.stack([TONE, TONE], axis=1)
    assert off(load_audio(encode(stereo, "FLAC", "PCM_24"), RATE)) <= 2**-23


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros(0), "empty"),
        (np.zeros((2, 0)), "empty"),
        (encode(np.zeros(0)), "empty"),
        (np.array([0, np.nan, 1]), "sample 1 is nan"),
        (np.array([0, 0, np.inf]), "sample 2 is inf"),
        (np.array([1e300]), "inf"),
        (encode(np.array([0, 0, 0, np.nan]), subtype="FLOAT"), "sample 3 is nan"),
        (np.zeros((2, 3, 4)), "shape"),
        (np.zeros((80, 3000)), "shape"),
        (np.zeros(()), "shape"),
        (np.zeros(5, np.int64), "int64"),
        (np.zeros(5, bool), "bool"),
        (np.zeros(5, complex), "complex"),
        (np.array(["a"]), "str"),
        (b"", "no sound"),
        (b"no sound at all " * 100, "no sound"),
        (encode(TONE)[:40], "no sound"),
        (encode(TONE)[:2000], "cut short"),
        (encode(TONE, "FLAC")[:2000], "damaged"),
        (encode(TONE, "OGG")[:1000], "damaged|empty"),
        (None, "NoneType"),
        (5, "int"),
        ([0.0, 0.1], "list"),
        ("http://example.com/a.wav", "download"),
        ("https://example.com/a.wav", "download"),
        ("missing.wav", "missing.wav"),
        ("a\0b.wav", "null"),
        ({}, "keys"),
        ({"array": TONE}, "keys"),
        ({"sampling_rate": RATE}, "keys"),
        ({"array": TONE, "raw": TONE, "sampling_rate": RATE}, "keys"),
        ({"array": TONE, "sampling_rate": RATE, "speed": 2}, "keys"),
        ({"path": None, "bytes": None}, "keys"),
        ({"array": "tone.wav", "sampling_rate": RATE}, "must be an array"),
        ({"array": [["a"]], "sampling_rate": RATE}, "str"),
        ({"array": TONE, "sampling_rate": 0}, "sampling rate"),
        ({"array": TONE, "sampling_rate": -8000}, "sampling rate"),
        ({"array": TONE, "sampling_rate": "16000"}, "sampling rate"),
        ({"array": TONE, "sampling_rate": 16000.5}, "sampling rate"),
        ({"array": TONE, "sampling_rate": True}, "sampling rate"),
    ],
)
def test_what_is_no_sound(source, message):
    with pytest.raises(InputError, match=message):
        load_audio(source, RATE)


def test_paths_that_are_no_sound(tmp_path):
    with pytest.raises(InputError, match="folder"):
        load_audio(tmp_path, RATE)
    (tmp_path / "headless.raw").write_bytes(b"\0" * 100)
    with pytest.raises(InputError, match="header"):
        load_audio(tmp_path / "headless.raw", RATE)
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(InputError, match=r"text\.wav"):
        load_audio(tmp_path / "text.wav", RATE)
    with (tmp_path / "text.wav").open() as file, pytest.raises(InputError, match="binary"):
        load_audio(file, RATE)


def test_a_file_written_into_a_pipe_does_not_know_its_size():
    content = bytearray(encode(TONE, subtype="PCM_16"))
    place = content.index(b"data") + 4
    content[4:8] = content[place : place + 4] = b"\xff\xff\xff\xff"
    assert off(load_audio(bytes(content), RATE)) <= 2**-15


@pytest.mark.parametrize("rate", [0, -1, 16000.0, "16000", None, True])
def test_malformed_rates(rate):
    with pytest.raises(OptionError, match="sampling rate"):
        load_audio(TONE, rate)


def test_longer_sounds_than_allowed_are_refused_before_decoding(monkeypatch):
    content = encode(TONE)  # a quarter of a second
    assert len(load_audio(content, RATE, max_seconds=0.25)) == 4000
    with pytest.raises(InputError, match=r"0\.[23] seconds, and 0\.1 are allowed: set max_seconds"):
        load_audio(TONE, RATE, max_seconds=0.1)
    monkeypatch.setattr("torchless.audio.decoding.SoundFile.blocks", lambda self: pytest.fail("decoded"))
    with pytest.raises(InputError, match="max_seconds"):
        load_audio(content, RATE, max_seconds=0.1)
    for malformed in (0, -1, True, float("nan")):
        with pytest.raises(OptionError, match="max_seconds"):
            load_audio(TONE, RATE, max_seconds=malformed)


@pytest.mark.parametrize(
    ("package", "source"), [("soundfile", encode(TONE)), ("soxr", {"array": TONE, "sampling_rate": 8000})]
)
def test_without_the_extra(monkeypatch, package, source):
    monkeypatch.delitem(sys.modules, package, raising=False)
    original = builtins.__import__

    def missing(name, *arguments, **others):
        if name == package:
            raise ImportError(f"No module named {name!r}")
        return original(name, *arguments, **others)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingDependencyError, match=rf"{package}.*pip install 'torchless\[audio\]'"):
        load_audio(source, RATE)
    assert off(load_audio(TONE, RATE)) == 0  # arrays at the model's rate need neither
