"""What is known of processors, by what their systems say of them."""

import platform
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from torchless.binding import Place
from torchless.cuda import warn_of_cpu
from torchless.errors import QuantizationWarning
from torchless.manifest import TensorSpec
from torchless.quantize import SCHEMES, Scheme, hardware
from torchless.quantize.conversion import convert_role

from .graphs import K, N, build, run

XEON = "processor : 0\nflags\t\t: fpu avx avx2 avx512f avx512_vnni amx_int8 lm\n"
HASWELL = "processor : 0\nflags\t\t: fpu avx avx2 lm\n"
ALDER_LAKE = "processor : 0\nflags\t\t: fpu avx2 avx_vnni\n"
GRAVITON = "processor : 0\nFeatures\t: fp asimd asimddp i8mm\n"
PI = "processor : 0\nFeatures\t: fp asimd evtstrm\n"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    hardware.features.cache_clear()
    yield
    hardware.features.cache_clear()


def pretend(monkeypatch: pytest.MonkeyPatch, system: str, machine: str, cpuinfo: str | None = None) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)

    def read(path: Path, **options: str) -> str:
        if cpuinfo is None:
            raise PermissionError(str(path))
        return cpuinfo

    monkeypatch.setattr(Path, "read_text", read)


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "names", "saturates", "fast"),
    [
        ("x86_64", XEON, {"AVX2", "AVX512", "AVX512-VNNI", "AMX"}, False, True),
        ("x86_64", HASWELL, {"AVX2"}, True, False),
        ("x86_64", ALDER_LAKE, {"AVX2", "AVX-VNNI"}, False, True),
        ("aarch64", GRAVITON, {"dot product", "I8MM"}, False, True),
        ("aarch64", PI, set(), False, False),
        ("x86_64", None, None, True, None),
        ("aarch64", None, None, False, None),
    ],
)
def test_linux(
    monkeypatch: pytest.MonkeyPatch, machine: str, cpuinfo: str | None, names: set[str] | None, saturates: bool,
    fast: bool | None,
) -> None:  # fmt: skip
    pretend(monkeypatch, "Linux", machine, cpuinfo)
    assert hardware.features() == names
    assert hardware.saturates() is saturates
    assert hardware.multiplies_fast() is fast
    assert hardware.describe().startswith(machine)


def test_windows_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "Windows", "AMD64")
    assert hardware.features() is None
    assert hardware.saturates(), "what is not known is taken for the weakest"
    assert "Windows does not tell" in hardware.describe()
    assert "may not be faster" in str(hardware.doubts("int8"))


@pytest.mark.parametrize(
    ("machine", "lines", "names", "saturates"),
    [
        ("arm64", "hw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_I8MM: 0\n", {"dot product"}, False),
        ("x86_64", "hw.optional.avx2_0: 1\nhw.optional.avx512f: 0\n", {"AVX2"}, True),
        ("x86_64", "hw.optional.avx2_0: 1\nhw.optional.avx512vnni: 1\n", {"AVX2", "AVX512-VNNI"}, False),
    ],
)
def test_macos(monkeypatch: pytest.MonkeyPatch, machine: str, lines: str, names: set[str], saturates: bool) -> None:
    pretend(monkeypatch, "Darwin", machine)
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: SimpleNamespace(stdout=lines))
    assert hardware.features() == names
    assert hardware.saturates() is saturates


def test_macos_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise FileNotFoundError("sysctl")

    pretend(monkeypatch, "Darwin", "arm64")
    monkeypatch.setattr(subprocess, "run", fail)
    assert hardware.features() is None


def test_doubts(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "Linux", "x86_64", HASWELL)
    for scheme in ("int8", "int8-static"):
        assert "gains little, and weights have 7 bits" in str(hardware.doubts(scheme))
    assert all(hardware.doubts(scheme) is None for scheme in ("q8", "q4", "fp16"))


def test_no_doubts(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "Linux", "x86_64", XEON)
    assert all(hardware.doubts(scheme) is None for scheme in SCHEMES)


def test_what_cuda_runs_is_told_of_every_scheme() -> None:
    assert set(hardware.CUDA) == set(SCHEMES)


class OnCuda:
    """Without the GPU: what a session there tells of a decoder."""

    def __init__(self, dtype: str, kind: str) -> None:
        self.inputs = (TensorSpec("past_key_values.0.key", dtype, (-1, 2, -1, 8)),)
        self._kind = kind

    def place(self, name: str) -> Place:
        assert name == "past_key_values.0.key"
        return Place(self._kind)


def test_a_graph_in_int8_warns_on_cuda() -> None:
    for scheme in SCHEMES:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn_of_cpu("model.onnx", OnCuda("float16", "cuda"), scheme, has_fp16=True)
        assert [warning.category for warning in caught] == [QuantizationWarning] * scheme.startswith("int8")


@pytest.mark.parametrize(
    ("has_fp16", "advice"),
    [(True, "dtype='fp16' runs there"), (False, "in fp16 all runs there: torchless quantize")],
)
def test_attention_without_a_kernel_warns_on_cuda(has_fp16: bool, advice: str) -> None:
    with pytest.warns(UserWarning, match=f"cache in float32, for which .* no kernel on CUDA.*{advice}"):
        warn_of_cpu("model.onnx", OnCuda("float32", "cpu"), "", has_fp16=has_fp16)


def test_this_machine() -> None:
    """What the file says of this processor, where it is a Linux one."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        pytest.skip("no /proc/cpuinfo")
    words = path.read_text(encoding="ascii", errors="replace").split()
    found = hardware.features()
    assert found is not None
    assert ("AVX2" in found) == ("avx2" in words)
    assert ("dot product" in found) == ("asimddp" in words)


ONES = np.ones((K, N), np.float32)


@pytest.mark.parametrize("rows", [1, 4, 64])
@pytest.mark.parametrize("scheme", ["int8", "int8-static"])
def test_sums_of_full_products_on_this_machine(scheme: str, rows: int) -> None:
    """With weights of 8 bits, or of 7 where the machine needs that, no sum overflows."""
    model = build(f"(float[n, {K}] x, float[{K}, {N}] w) => (float[n, {N}] y) {{ y = MatMul (x, w) }}", w=ONES)
    x = np.ones((rows, K), np.float32)
    converted = convert_role(model, Scheme(scheme), [{"x": x}])
    assert converted.quantized == {"w": "DynamicQuantizeMatMul" if scheme == "int8" else "MatMulIntegerToFloat"}
    (y,) = run(converted.model, x=x)
    np.testing.assert_allclose(y, np.full((rows, N), K), rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 4, 64])
def test_blocks_multiplied_in_int8_on_this_machine(rows: int) -> None:
    model = build(f"(float[n, {K}] x, float[{K}, {N}] w) => (float[n, {N}] y) {{ y = MatMul (x, w) }}", w=ONES)
    x = np.ones((rows, K), np.float32)
    for scheme in ("q8", "q4"):
        (y,) = run(convert_role(model, Scheme(scheme)).model, x=x)
        np.testing.assert_allclose(y, np.full((rows, N), K), rtol=0.01 if scheme == "q8" else 0.1)
