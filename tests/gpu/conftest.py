"""What the tests on a GPU need: the GPU, and bundles in float32 and float16.

``make gpu`` runs them. ``TORCHLESS_TEST_DEVICE=cpu`` runs them on the CPU, what generates keeping its state as on a
GPU, in memory that is the processor's: to see that the tests themselves work.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from torchless import DeviceError, QuantizationWarning, Session, SessionError, Settings
from torchless.generation import decoder, generator, kernels
from torchless.generation.device import DeviceMemory

DEVICE = os.environ.get("TORCHLESS_TEST_DEVICE", "cuda")

Bundles = Callable[[str], Path]


@pytest.fixture(scope="session")
def device() -> str:
    """The device, or the reason why there is none."""
    if DEVICE != "cpu":
        try:
            Session(Path(kernels.__file__).parent / "graphs" / "largest.onnx", Settings(device=DEVICE))
        except (DeviceError, SessionError) as error:
            pytest.skip(f"no CUDA here: {str(error).splitlines()[0]:.200}")
    return DEVICE


@pytest.fixture(autouse=True)
def in_device_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU, let sessions that the tests take for the GPU's keep their state as on a GPU."""
    if DEVICE == "cpu":
        for module in (decoder, generator):
            monkeypatch.setattr(module, "memory_class", lambda session: DeviceMemory)


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Bundles:
    """Gives a shipped checkpoint's bundle in float32 and float16."""
    export = pytest.importorskip("torchless.export", reason="the export needs torch")
    from examples.samples import CHECKPOINTS
    from torchless.quantize import quantize

    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def bundle(name: str) -> Path:
        folder = shared / f"both-{name}"
        with FileLock(shared / f"{folder.name}.lock"):
            if not folder.exists():
                whole = folder.with_suffix(".part")
                export.export(str(CHECKPOINTS / name), whole)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", QuantizationWarning)  # about speed on the processor
                    quantize(whole, "fp16")
                whole.rename(folder)
        return folder

    return bundle
