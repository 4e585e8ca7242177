"""The shipped checkpoints, each measured in its own way."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the export needs torch")
pytest.importorskip("PIL", reason="pictures are seen through Pillow")

from tests.fidelity.checkpoints import Exported
from torchless.bench import bench

pytestmark = pytest.mark.export

COMMON = {"latency_ms"}
GENERATED = COMMON | {"first_token_ms", "token_ms"}
HEARD = COMMON | {"real_time_factor"}


@pytest.mark.parametrize(
    ("name", "task", "options", "metrics", "tokens"),
    [
        ("sentiment", "text-classification", {"length": 32}, COMMON, 2 * 32),
        ("nli", "zero-shot-classification", {"length": 32}, COMMON, 2 * 3 * 32),
        ("story", "text-generation", {"length": 32, "new_tokens": 12}, GENERATED, 2 * 12),
        ("story", "next-token", {"length": 32}, COMMON, 2 * 32),
        ("translate", "translation_en_to_de", {"length": 32, "new_tokens": 12}, GENERATED, 2 * 12),
        ("commands", "automatic-speech-recognition", {"seconds": 0.5}, HEARD, None),
        ("shapes", "image-classification", {}, COMMON, None),
    ],
)
def test_measured(
    exported: Exported, name: str, task: str, options: dict[str, float], metrics: set[str], tokens: int | None
) -> None:
    found = bench(exported(name), task=task, batch=2, threads=1, repeats=6, starts=0, **options)  # type: ignore[arg-type]
    (row,) = found.rows
    assert [note for note in found.notes if "left out" in note] == []
    assert (row.bundle.startswith(f"bundle-{name}"), row.dtype, row.batch) == (True, "fp32", 2)
    assert set(row.metrics) == metrics
    for summary in row.metrics.values():
        assert 0 < summary.low <= summary.p50 <= summary.p90 <= summary.p99
    calls = row.values["throughput_per_s"] / 2
    assert 0.5 < calls * row.metrics["latency_ms"].mean / 1e3 <= 1
    assert row.values.get("tokens_per_s") == (None if tokens is None else pytest.approx(tokens * calls))
    if "first_token_ms" in metrics:
        whole = row.metrics["first_token_ms"].mean + 11 * row.metrics["token_ms"].mean
        assert 0.7 < whole / row.metrics["latency_ms"].mean <= 1
    if "real_time_factor" in metrics:
        assert row.metrics["real_time_factor"].p99 == pytest.approx(1e3 * 2 * 0.5 / fastest(row.metrics), rel=1e-6)


def fastest(metrics: dict[str, object]) -> float:
    latency = metrics["latency_ms"]
    return latency.low  # type: ignore[attr-defined,no-any-return]  of 6 calls the interval begins with the shortest
