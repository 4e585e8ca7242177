"""The processor's name, as each system tells it; its instructions are tested with what quantization makes of them."""

import platform
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from torchless import processor


@pytest.fixture(autouse=True)
def fresh():
    processor.name.cache_clear()
    yield
    processor.name.cache_clear()


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC 9R14\nmodel\t\t: 17\n", "AMD EPYC 9R14"),
        ("processor\t: 0\nFeatures\t: fp asimd\n", "aarch64"),
        ("", "aarch64"),
    ],
)
def test_linux(monkeypatch, cpuinfo, name):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(Path, "read_text", lambda path, **options: cpuinfo)
    assert processor.name() == name


def test_macos(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: SimpleNamespace(stdout="Apple M2\n"))
    assert processor.name() == "Apple M2"


def test_a_system_that_says_nothing(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Plan 9")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert processor.name() == "x86_64"
