"""Fits and rooflines on numbers made by hand, and callers that are answered wrongly."""

import time

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the machine's limits are measured with graphs made by it")

from benchmarks.peers import concurrency_table, concurrency_worker
from benchmarks.scaling import fits, report
from benchmarks.scaling.series import BERT, GPT2, SERIES, Point

LIMITS = {"read_gb_s": 10.0, "fp32_gflops": 100.0, "int8_gflops": 400.0}


def test_a_polynomial_is_found_again():
    x = [1, 2, 5, 10, 20]
    fit = fits.polynomial(x, [3 + 2 * n + 0.5 * n * n for n in x], 2)
    np.testing.assert_allclose(fit.coefficients, (3, 2, 0.5), rtol=1e-9)
    assert fit.r2 == pytest.approx(1)
    assert fit.at(30) == pytest.approx(3 + 60 + 450)


def test_what_does_not_grow_in_a_line_fits_badly():
    assert fits.polynomial([1, 2, 3, 4], [1, 4, 1, 4], 1).r2 < 0.5
    with pytest.raises(ValueError, match="3 points"):
        fits.polynomial([1, 2, 3], [1, 2, 3], 2)


def test_an_overhead_is_never_negative():
    assert fits.overhead([1, 2, 4], [3, 5, 9]).coefficients == pytest.approx((1, 2))
    fit = fits.overhead([1, 2, 4], [1, 3, 7])
    assert fit.coefficients[0] == 0
    assert 1 < fit.coefficients[1] < 2


def test_rooflines_by_hand():
    weights = 12 * 12 * 768**2 + 50257 * 768
    step = Point(0, GPT2, rows=2, length=100)
    reading = (4 * weights + 4 * 2 * 12 * 768 * 100 * 2) / 10e9
    computing = (2 * weights * 2 + 4 * 12 * 768 * 100 * 2) / 100e9
    assert fits.roofline(step, "fp32", LIMITS) == pytest.approx(1e3 * (reading + computing))
    encode = Point(0, BERT, rows=1, length=64, kind="encode")
    body = 12 * 12 * 768**2
    assert encode.flops() == 2 * body * 64 + 4 * 12 * 768 * 64 * 64
    assert encode.bytes("int8") == body


def test_more_cores_read_no_more_than_a_socket():
    assert fits.with_cores(LIMITS, 8) == {"read_gb_s": 80.0, "fp32_gflops": 800.0, "int8_gflops": 3200.0}
    assert fits.with_cores(LIMITS, 64)["read_gb_s"] == fits.SOCKET_GB_S


@pytest.fixture
def content():
    """Calls that take 1 ms and twice the roofline, as a run would write them."""
    rows = [
        {
            **{"series": name, "x": point.x, "precision": precision, "threads": threads},
            **{"ms": 1 + 2 * fits.roofline(point, precision, LIMITS), "machine": "Mill", "date": "2026-01-01"},
        }
        for name, series in SERIES.items()
        for point in series.points
        for precision in ("fp32", "int8")
        for threads in (1, 2)
    ]
    return {"rows": rows, "limits": {"1": LIMITS, "2": LIMITS}}


def test_the_section_says_what_was_measured_and_fitted(content):
    for fit in report.rooflines(content).values():
        assert fit.coefficients == pytest.approx((1, 2))
        assert fit.r2 == pytest.approx(1)
    text = report.section(content)
    assert text.startswith("Measured on Mill, 2026-01-01:")
    assert text.count("| tokens of a text, BERT-base |") == 4
    at_8 = 1 + 2 * fits.roofline(Point(0, GPT2), "fp32", fits.with_cores(LIMITS, 8))
    line = next(
        line for line in text.splitlines() if line.startswith("| GPT-2, a step, fp32 |") and "r" not in line[22:]
    )
    assert line.split(" | ")[2] == f"{at_8:.1f}"


def test_the_picture_is_the_same_each_time(content, tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("one.svg", "two.svg"):
        report.draw(content, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert "tokens of a text, BERT-base" in (tmp_path / "one.svg").read_text(encoding="utf-8")


def test_callers_overlap_and_wrong_answers_are_seen():
    def slow():
        time.sleep(0.02)
        return [1]

    start = time.monotonic()
    found = concurrency_worker._run([slow] * 4, [[1]] * 4, start, 0.2)
    assert found["same"]
    assert len(found["calls"]) > 4 * 5  # 10 each, if the machine is not busy
    assert not concurrency_worker._run([slow, slow], [[1], [2]], time.monotonic(), 0)["same"]


def test_concurrency_tables_compare_within_a_precision():
    base = {"model": "bert", "mode": "threads", "callers": 2, "machine": "Mill", "date": "2026-01-01", "same": True}
    numbers = {"p50_ms": 10.0, "p99_ms": 20.0, "peak_mib": 100}
    rates = {"torchless fp32": 30.0, "torch fp32": 20.0, "openvino fp32": 25.0, "openvino int8": 90.0}
    text = concurrency_table.tables(
        [{**base, **numbers, "contender": name, "throughput_per_s": rate} for name, rate in rates.items()]
    )
    assert text.splitlines()[-1].endswith("| **1.20** |")
