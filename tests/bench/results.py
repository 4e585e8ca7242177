"""Results made by hand, with numbers that are known."""

from dataclasses import replace

from torchless.bench import Result, Row, Start, Summary

MACHINE = {
    "processor": "Some Processor", "features": ["avx2", "avx512_vnni"], "cpus": 2, "memory_mib": 24000, "load": 0.1,
}  # fmt: skip


def summary(median: float, width: float = 0.02, tail: float = 1.2) -> Summary:
    """Of 50 measurements: the interval reaches as far to both sides as the share ``width`` of the median."""
    low, high = median * (1 - width), median * (1 + width)
    return Summary(50, median * 1.01, median, median * (1 + tail) / 2, median * tail, low, high)


def row(dtype: str = "fp32", batch: int = 1, length: int | None = 16, ms: float = 10.0, **changed: object) -> Row:
    """A row whose throughput is that of its latency."""
    made = Row(
        bundle="model",
        dtype=dtype,
        provider="CPU",
        threads=2,
        batch=batch,
        length=length,
        seconds=None,
        size=None,
        new_tokens=None,
        beams=None,
        mode="alone",
        workers=1,
        metrics={"latency_ms": summary(ms)},
        values={"throughput_per_s": 1000 * batch / ms, "peak_mib": 100.0 + batch},
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def start(dtype: str = "fp32", ms: float = 200.0, **changed: object) -> Start:
    made = Start(
        bundle="model",
        dtype=dtype,
        provider="CPU",
        threads=2,
        metrics={"import_ms": summary(ms / 4), "load_ms": summary(ms / 2), "cold_start_ms": summary(ms)},
        values={"resident_mib": 70.0, "peak_mib": 90.0, "bundle_mib": 4.0},
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def result(
    rows: tuple[Row, ...] = (), starts: tuple[Start, ...] = (), notes: tuple[str, ...] = (), **changed: object
) -> Result:
    made = Result(
        format=1,
        created="2026-11-28T12:00:00+00:00",
        command="torchless bench model --batch 1 8",
        bundle={"folder": "models/model", "task": "text-classification", "model_type": "bert", "others": []},
        machine=MACHINE,
        versions={"python": "3.11.7", "onnxruntime": "1.31.1"},
        settings={"batch": [1, 8]},
        starts=starts,
        rows=rows,
        notes=notes,
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def encoder() -> Result:
    """A classifier in two precisions at three lengths and two batch sizes; int8 is twice as fast."""
    rows = tuple(
        row(dtype, batch, length, ms=0.2 * batch * length / speed)
        for dtype, speed in (("fp32", 1), ("int8", 2))
        for batch in (1, 8)
        for length in (16, 128, 384)
    )
    return result(rows, (start(), start("int8", 150.0)), ("length 1024: the model reads 512 tokens",))


def generator() -> Result:
    """Text generation."""
    rows = tuple(
        row(
            dtype, batch, length, ms=20 * 63 / speed + 2 * length, new_tokens=64, beams=1,
            metrics={"latency_ms": summary(20 * 63 / speed + 2 * length), "first_token_ms": summary(2.0 * length),
                     "token_ms": summary(20 / speed)},
            values={"tokens_per_s": 64 * batch * speed, "throughput_per_s": batch * speed, "peak_mib": 800.0,
                    "resident_mib": 780.0, "cpu_per_call_ms": 4000.0},
        )
        for dtype, speed in (("fp32", 1), ("int8", 3), ("q4", 2))
        for batch in (1, 4)
        for length in (32, 512)
    )  # fmt: skip
    return result(rows, (start(), start("int8"), start("q4")))


def loaded() -> Result:
    """A classifier alone and with 2 and 4 callers, in threads and processes."""
    rows = [row(), row("int8", ms=5.0)]
    for mode in ("threads", "processes"):
        for workers in (2, 4):
            for dtype, ms in (("fp32", 10.0), ("int8", 5.0)):
                values = {"throughput_per_s": 1000 * (1.6 if mode == "threads" else 1.9) / ms, "peak_mib": 150.0}
                rows.append(row(dtype, ms=ms * workers / 1.6, mode=mode, workers=workers, values=values))
    return result(tuple(rows))
