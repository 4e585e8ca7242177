"""The command line on speech: what was said, and when."""

import json

import numpy as np
import pytest

from .speech.ctc_bundle import RATE, make_ctc, spoken

TASK = "automatic-speech-recognition"


@pytest.fixture
def folder(tmp_path):
    return str(make_ctc(tmp_path / "bundle"))


def test_text(run, folder, tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="sound files need soundfile")
    path = tmp_path / "two words.wav"
    soundfile.write(path, spoken("ab|c_"), RATE, subtype="FLOAT")
    assert run("run", TASK, folder, path) == (0, "ab c\n", "")
    status, out, _ = run("run", "asr", folder, path, "--return-timestamps", "word")
    assert (status, out) == (0, "ab c\n  0.00 - 0.08  ab\n  0.12 - 0.16  c\n")
    status, out, _ = run("run", "auto", folder, path, "--return-timestamps", "char", "--json")
    (row,) = map(json.loads, out.splitlines())
    assert row["chunks"][0] == {"text": "a", "timestamp": [0.0, 0.04]}


def test_mistakes(run, folder, tmp_path):
    path = tmp_path / "noise.wav"
    path.write_bytes(np.arange(64, dtype=np.uint8).tobytes())
    status, out, err = run("run", TASK, folder, path)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "no sound that can be read" in err
    assert run("run", TASK, folder, tmp_path / "nowhere.wav")[0] == 2
