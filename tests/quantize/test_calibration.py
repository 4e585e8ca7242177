"""Ranges of activations against NumPy, worked out the long way, and against ONNX Runtime's own calibrators."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.calibrate import HistogramCollector, create_calibrator

from torchless import OptionError
from torchless.quantize import calibration, observer
from torchless.quantize.calibration import BINS, LEVELS, calibrate, entropy, within
from torchless.quantize.histogram import Histogram, Range

from .graphs import build, random

WEIGHT, BIAS = random(6, 5), random(5)
GRAPH = """(float[b, s, 6] x, int64[b, s] attention_mask, float[6, 5] w, float[5] c) => (float[b, s, 5] y) {
    p = MatMul (x, w)
    a = Add (p, c)
    r = Relu (a)
    y = Mul (r, r)
}"""


def model() -> ir.Model:
    return build(GRAPH, w=WEIGHT, c=BIAS)


def feeds(count: int = 3) -> list[dict[str, np.ndarray]]:
    """Of growing numbers, so that no batch alone tells the range."""
    return [{"x": random(2, 4 + i, 6) * (i + 1), "attention_mask": np.ones((2, 4 + i), np.int64)} for i in range(count)]


def activations(given: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What flows, all batches flattened one after another."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in "xpary"}
    for feed in given:
        p = feed["x"] @ WEIGHT
        r = np.maximum(p + BIAS, 0)
        for name, value in {"x": feed["x"], "p": p, "a": p + BIAS, "r": r, "y": r * r}.items():
            found[name].append(value.ravel())
    return {name: np.concatenate(values) for name, values in found.items()}


def close(found: Range, low: float, high: float, tolerance: float = 1e-5) -> bool:
    return abs(found.low - low) <= tolerance and abs(found.high - high) <= tolerance


def test_extremes() -> None:
    """Of an input, of what nodes give, and of an output, over all batches; the graph stays as it is."""
    given, graph = feeds(), model()
    before = ir.serde.serialize_model(graph).SerializeToString()
    found = calibrate(graph, ["x", "p", "a", "r", "y", "a"], given)
    assert list(found) == ["p", "a", "r", "y", "x"]
    for name, values in activations(given).items():
        assert close(found[name], values.min(), values.max())
    assert found["r"].low == 0
    assert ir.serde.serialize_model(graph).SerializeToString() == before


def test_padding_does_not_count() -> None:
    """Positions without a one in the mask; those of another shape than the mask's count."""
    given = feeds(1)
    given[0]["x"][1, 2:] = 1000
    given[0]["attention_mask"][1, 2:] = 0
    kept = given[0]["x"][given[0]["attention_mask"] == 1]
    found = calibrate(model(), ["x", "p"], given)
    assert close(found["x"], kept.min(), kept.max())
    assert close(found["p"], (kept @ WEIGHT).min(), (kept @ WEIGHT).max())
    other = [{"x": given[0]["x"], "attention_mask": np.ones((2, 9), np.int64)}]
    assert calibrate(model(), ["x"], other)["x"].high == 1000


def test_numbers_that_are_not_finite_do_not_count() -> None:
    given = feeds(2)
    given[0]["x"][0, 0] = np.inf
    given[0]["x"][0, 1] = np.nan
    given[1]["x"][:] = np.nan
    kept = given[0]["x"][np.isfinite(given[0]["x"])]
    assert close(calibrate(model(), ["x"], given)["x"], kept.min(), kept.max())
    assert calibrate(model(), ["x", "p"], given[1:]) == {}


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_zero_throughout(method: str) -> None:
    given = [{"x": np.zeros((1, 3, 6), np.float32), "attention_mask": np.ones((1, 3), np.int64)}]
    assert calibrate(model(), ["x", "p"], given, method) == {"x": Range(0, 0), "p": Range(0, 0)}


def test_percentile() -> None:
    """As much is cut below as above; beside numpy.percentile to the width of a bin."""
    given = feeds()
    for percentile in (90.0, 99.0, 100.0):
        found = calibrate(model(), ["p", "r"], given, "percentile", percentile)
        for name in "pr":
            values = activations(given)[name]
            cut = (100 - percentile) / 2
            wanted = np.percentile(values, [cut, 100 - cut], method="inverted_cdf")
            bin_width = 2 * np.abs(values).max() / BINS
            assert close(found[name], *wanted, tolerance=1.01 * bin_width)
            inside = (values >= found[name].low - 1e-6) & (values <= found[name].high + 1e-6)
            assert inside.mean() >= percentile / 100 - 1e-9


def test_a_part_of_many_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends of what is counted in part are near those of all, and the same in every run."""
    rng = np.random.default_rng(3)
    given = [{"x": rng.standard_normal((40, 50, 6)).astype(np.float32)} for _ in range(3)]
    given = [feed | {"attention_mask": np.ones((40, 50), np.int64)} for feed in given]
    whole = calibrate(model(), ["x"], given, "percentile", 90.0)["x"]
    monkeypatch.setattr(calibration, "_COUNTED", 4000)
    part = calibrate(model(), ["x"], given, "percentile", 90.0)["x"]
    assert part != whole
    assert part == calibrate(model(), ["x"], given, "percentile", 90.0)["x"]
    assert close(part, whole.low, whole.high, tolerance=0.1)


def divergence(counts: np.ndarray, half: int) -> float:
    """Migacz's, number by number."""
    middle = len(counts) // 2
    start, end = middle - half, min(middle + half + 1, len(counts))
    p = counts[start:end].astype(float)
    p[0] += counts[:start].sum()
    p[-1] += counts[end:].sum()
    width = (end - start) // LEVELS
    q = np.zeros(end - start)
    for level in range(LEVELS):
        first = level * width
        last = first + width if level < LEVELS - 1 else end - start
        used = [place for place in range(first, last) if p[place] > 0]
        for place in used:
            q[place] = counts[start + first : start + last].sum() / len(used)

    def smooth(numbers: np.ndarray) -> np.ndarray | None:
        zeros = (numbers == 0).sum()
        taken = 1e-4 * zeros / (len(numbers) - zeros) if zeros < len(numbers) else 1
        if taken >= 1:
            return None
        moved = np.array([1e-4 if number == 0 else number - taken for number in numbers])
        return moved / moved.sum()

    p, q = smooth(p), smooth(q)
    if p is None or q is None:
        return np.inf
    return sum(a * np.log(a / b) for a, b in zip(p, q, strict=True))


def test_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best of all symmetric ranges; outliers far from everything else are cut."""
    values = np.concatenate([np.random.default_rng(1).standard_normal(20_000), [30.0, -20.0]])
    counts, edges = np.histogram(values, 512, range=(-30, 30))
    seen = Range(-20.0, 30.0)
    losses = [divergence(counts, half) for half in range(LEVELS // 2, 257)]
    best = LEVELS // 2 + int(np.argmin(losses))
    found = entropy(counts, seen)
    assert close(found, edges[256 - best], edges[257 + best], tolerance=1e-9)
    assert -12 < found.low < found.high < 12
    ones = np.ones(512, np.int64)
    assert entropy(ones, Range(-30.0, 30.0)) == Range(-30.0, 30.0), "nothing is gained by cutting what is spread evenly"
    assert entropy(ones, Range(-2.0, 30.0)).low == -2.0, "what was not seen needs no room"


# Bins by which thresholds may differ: its percentiles are the other edge of a bin, and its entropy method leaves those
# bins empty by which the levels do not divide the range evenly.
@pytest.mark.parametrize(("method", "bins"), [("entropy", 10), ("percentile", 1)])
def test_methods_as_in_onnx_runtime(method: str, bins: int) -> None:
    """Thresholds of its collectors from the same counts."""
    values = (np.random.default_rng(2).standard_normal(200_000) ** 3).astype(np.float32)
    reach = float(np.abs(values).max())
    counts, edges = np.histogram(values, BINS, range=(-reach, reach))
    seen = Range(float(values.min()), float(values.max()))
    found = entropy(counts, seen) if method == "entropy" else within(counts, seen, 99.9)
    collector = HistogramCollector(
        method=method, symmetric=False, num_bins=BINS, num_quantized_bins=LEVELS, percentile=99.9, scenario="same"
    )
    collector.histogram_dict["x"] = (counts, edges, values.min(), values.max(), reach)
    low, high, *_ = collector.compute_collection_result()["x"]
    assert close(found, low, high, tolerance=(bins + 0.01) * 2 * reach / BINS)
    assert high < 0.5 * reach


class _Reader(CalibrationDataReader):
    def __init__(self, given: list[dict[str, np.ndarray]]) -> None:
        self._feeds: Iterator[dict[str, np.ndarray]] = iter(given)

    def get_next(self) -> dict[str, np.ndarray]:
        return next(self._feeds, {})


def test_extremes_as_in_onnx_runtime(tmp_path: Path) -> None:
    graph = model()
    ir.save(graph, tmp_path / "model.onnx")
    inferred = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "model.onnx"))
    inferred.graph.input.pop(1)  # it only takes what is used
    onnx.save(inferred, tmp_path / "model.onnx")
    given = [{"x": feed["x"]} for feed in feeds()]
    calibrator = create_calibrator(
        str(tmp_path / "model.onnx"), None, str(tmp_path / "augmented.onnx"), calibrate_method=CalibrationMethod.MinMax
    )
    calibrator.collect_data(_Reader(given))
    data = calibrator.compute_data()
    found = calibrate(tmp_path / "model.onnx", ["x", "p", "a", "r"], given)
    for name in "xpar":
        low, high = data[name].range_value
        assert close(found[name], float(np.ravel(low)[0]), float(np.ravel(high)[0]), tolerance=1e-6)


def test_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where few activations fit in memory fewer rows run at a time, or the graph runs more often, to the same end."""
    given = feeds()
    names = ["p", "a", "r", "y"]
    wanted = {method: calibrate(model(), names, given, method, 99.0) for method in ("minmax", "entropy", "percentile")}
    runs: list[list[str]] = []
    run = observer.Session.run

    def counted(self: observer.Session, feed: dict[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
        runs.append(names)
        return run(self, feed, names)

    monkeypatch.setattr(observer.Session, "run", counted)
    calibrate(model(), names, given, "percentile")
    assert len(runs) == 1 + len(given)
    runs.clear()
    largest = max(feed["x"].size for feed in given) // 6 * 5 * 4
    monkeypatch.setattr(observer, "_MEMORY", 2 * largest)
    assert calibrate(model(), names, given) == wanted["minmax"]
    assert [len(names) for names in runs] == [4] + [4] * 2 * len(given), "of two rows one at a time"
    runs.clear()
    monkeypatch.setattr(observer, "_MEMORY", 1)
    for method in wanted:
        assert calibrate(model(), names, given, method, 99.0) == wanted[method]
    assert len(runs) == 3 * (1 + 2 * 4 * len(given))


def test_rows_stay_together_where_an_input_has_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number of the caller, or a table beside the batch: then the activations are had in turns."""
    names = ["p", "a", "r", "y"]
    for kind in ("float", "float[m, 5]"):
        graph = build(GRAPH.replace("float[5] c)", f"float[5] c, {kind} d)"), w=WEIGHT, c=BIAS)
        given = [feed | {"d": np.zeros((2, 5)[: 2 * (kind != "float")], np.float32)} for feed in feeds()]
        wanted = calibrate(graph, names, given, "percentile")
        with monkeypatch.context() as little:
            little.setattr(observer, "_MEMORY", 1)
            assert calibrate(graph, names, given, "percentile") == wanted


def extremes(values: np.ndarray) -> Range:
    return Range(float(values.min()), float(values.max()))


def test_numbers_counted_as_they_come() -> None:
    """In any order, with ends beyond any before, the counts are those of numpy.histogram."""
    rng = np.random.default_rng(5)
    parts = [np.zeros(3, np.float32)]
    parts += [(rng.standard_normal(1000) * scale).astype(np.float32) for scale in (1e-6, 1.0, 300.0, 0.02)]
    parts += [np.array([3.4e38, -3.4e38], np.float32)]
    found = Histogram()
    for place, part in enumerate(parts):
        found.widen(extremes(part))
        found.count(part)
        counted = np.concatenate(parts[: place + 1])
        assert found.seen == Range(counted.min(), counted.max())
        assert found.counts.sum() == counted.size
        if place:
            most = float(np.abs(counted).max())
            assert most < found.reach <= 2 * most
            edges = np.linspace(-found.reach, found.reach, len(found.counts) + 1)
            np.testing.assert_array_equal(found.counts, np.histogram(counted.astype(np.float64), edges)[0])
    few = Histogram()
    few.widen(extremes(parts[2]))
    few.count(parts[2])
    reach = float(np.abs(parts[2]).max())
    wanted, _ = np.histogram(parts[2], BINS, range=(-reach, reach))
    assert np.abs(np.cumsum(few.binned(BINS, reach)) - np.cumsum(wanted)).max() <= 3, "a quarter of a bin at the most"


def test_large_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights beyond what one file holds lie beside the graph; nothing stays behind."""
    from torchless.quantize import saving

    monkeypatch.setattr(saving, "_EXTERNAL_ABOVE", 10)
    seen: list[list[str]] = []
    save = observer.save

    def observed(graph: ir.Model, path: Path) -> tuple[Path, ...]:
        files = save(graph, path)
        seen.append([str(file) for file in files])
        return files

    monkeypatch.setattr(observer, "save", observed)
    given = feeds()
    found = calibrate(model(), ["p"], given)["p"]
    assert close(found, activations(given)["p"].min(), activations(given)["p"].max())
    assert [Path(file).name for file in seen[0]] == ["observed.onnx", "observed.onnx.data"]
    assert not any(Path(file).exists() for file in seen[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"feeds": []}, "no inputs to calibrate with"),
        ({"method": "mean"}, "method must be 'minmax', 'entropy' or 'percentile', not 'mean'"),
        ({"percentile": 101}, "percentile must be from 50 to 100, not 101"),
        ({"percentile": float("nan")}, "percentile must be"),
    ],
)
def test_mistakes(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        calibrate(**{"model": model(), "names": ["p"], "feeds": feeds(1), **options})
