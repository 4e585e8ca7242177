"""Working copies of processes that were killed, and of those that still run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchless import Bundle
from torchless.quantize import abandoned, quantize, staging

from .bundles import contents

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.filterwarnings("ignore::torchless.QuantizationWarning")]

# Quantizes a bundle, and stops for good before one of its steps.
_STOPS = """
import sys, time
from pathlib import Path
from torchless.quantize import quantize, staging, variants

def stop(*arguments):
    print("stopped", flush=True)
    time.sleep(600)

def move(source, target):
    if target.name == "torchless.json":
        stop()
    return replace(source, target)

replace = Path.replace
if sys.argv[2] == "measure":
    variants.measured = stop
else:
    Path.replace = move
quantize(sys.argv[1], "int8", overwrite=True, reduce_range=True)
"""


@pytest.fixture
def bundle(bundle: Path, quick: None) -> Path:
    quantize(bundle, "int8")
    return bundle


def copies(bundle: Path) -> list[Path]:
    return sorted(bundle.glob(".quantize-*"))


@pytest.fixture
def process(bundle: Path, request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[str]"]:
    """A process that has stopped before a step."""
    step = getattr(request, "param", "measure")
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _STOPS, str(bundle), step], stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "stopped\n"
        yield started
        started.kill()


def kill(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_copy_goes_when_its_process_was_killed_and_not_before(bundle: Path, process: "subprocess.Popen[str]") -> None:
    (folder,) = copies(bundle)
    quantize(bundle, "q8")
    assert copies(bundle) == [folder], "it is in use"
    kill(process)
    assert copies(bundle) == [folder]
    assert Bundle.open(bundle).dtypes == {"model": ["fp32", "int8", "q8"]}
    assert Bundle.open(bundle).verify()
    (bundle / "torchless.json").rename(bundle / "kept.json")
    assert Bundle.open(bundle).dtypes == {"model": ["fp32", "int8", "q8"]}, "nor without a manifest"
    (bundle / "kept.json").rename(bundle / "torchless.json")
    quantize(bundle, "q4")
    assert not copies(bundle)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("process", ["publish"], indirect=True)
def test_what_was_killed_while_files_moved_is_put_back(bundle: Path, process: "subprocess.Popen[str]") -> None:
    (folder,) = copies(bundle)
    before = (folder / abandoned.KEPT / "onnx" / "model_int8.onnx").read_bytes()
    kill(process)
    path = bundle / "onnx" / "model_int8.onnx"
    assert path.read_bytes() != before, "moved, and the manifest is not"
    with staging.staged(bundle):  # as every quantization begins
        assert path.read_bytes() == before
    assert not copies(bundle)
    assert Bundle.open(bundle).verify()


@pytest.mark.parametrize("settled", [False, True])
def test_files_are_put_back_unless_all_were_moved(bundle: Path, settled: bool) -> None:
    before = contents(bundle)
    left = staging.Staging(bundle)
    left.fill()
    for name in ("onnx/model_int8.onnx", "torchless.json"):
        left.claim(name).write_bytes(b"new")
    if settled:
        left.publish()
    else:
        left._keep("onnx/model_int8.onnx")
        (left.folder / "onnx" / "model_int8.onnx").replace(bundle / "onnx" / "model_int8.onnx")
    assert left._lock is not None
    left._lock.close()  # as the system does when a process ends
    abandoned.clear(bundle)
    assert not copies(bundle)
    assert (bundle / "onnx" / "model_int8.onnx").read_bytes() == (b"new" if settled else before["onnx/model_int8.onnx"])
    assert (contents(bundle) == before) is not settled


def test_what_is_not_a_working_copy_stays(bundle: Path) -> None:
    """Other names, a file, a link, and a copy that is just being made: without its lock for less than an hour."""
    others = [".quantize-mine.tmp", ".quantize-0123abcd.tmp.old", ".quantize-0123ABCD.tmp", "quantize-0123abcd.tmp"]
    for name in others:
        (bundle / name).mkdir()
    (bundle / ".quantize-00000000.tmp").write_bytes(b"")
    (bundle / ".quantize-00000001.tmp").symlink_to(bundle.parent)
    new, old = bundle / ".quantize-0123abcd.tmp", bundle / ".quantize-0123abce.tmp"
    for folder, age in ((new, 0.5), (old, 1.5)):
        folder.mkdir()
        os.utime(folder, times=(time.time() - 3600 * age,) * 2)
    abandoned.clear(bundle)
    assert new.is_dir()
    assert not old.exists()
    assert all((bundle / name).is_dir() for name in others)
    assert (bundle / ".quantize-00000000.tmp").is_file()
    assert (bundle / ".quantize-00000001.tmp").is_symlink()
