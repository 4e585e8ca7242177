"""What dtype="auto" picks of hand-made measurements."""

from typing import Any

import pytest

from torchless.manifest import FileSpec, GraphSpec, Manifest
from torchless.quantize.recommendation import recommended

NOW, BEFORE = "now", "before"
GIVEN = {"kind": "text", "count": 16}
CLOSE = {"cosine": 1.0, "agreement": 1.0, "relative": 0.01}
FAR = CLOSE | {"agreement": 0.9}


def graph(quantization: dict[str, Any] | None = None) -> GraphSpec:
    return GraphSpec(FileSpec("onnx/a.onnx", 1, "0"), (), (), (), quantization)


def entry(
    answer: float | None, run: str = NOW, drift: dict[str, Any] = CLOSE, together: dict[str, Any] | None = None,
    on: dict[str, Any] = GIVEN,
) -> GraphSpec:  # fmt: skip
    return graph(
        {"speed": {"ratio": 9.0, "answer": answer, "run": run}, "drift": drift | {"on": on}, "together": together}
    )


def together(answer: float, drift: dict[str, Any] = CLOSE, **dtypes: str) -> dict[str, Any]:
    return {"dtypes": dtypes, "answer": answer, "drift": drift}


def picked(
    encoder: dict[str, GraphSpec], decoder: dict[str, GraphSpec], before: Any = "fp32", made: tuple[str, str] = ("", "")
) -> Any:
    graphs = {"encoder": {"fp32": graph()} | encoder, "decoder": {"fp32": graph()} | decoder}
    return recommended(Manifest("t", "m", graphs, {"cpu": before}), [made], NOW)["cpu"]


def test_variants_that_were_never_measured_together_are_not_paired() -> None:
    encoder, decoder = {"int8": entry(1.5)}, {"q4": entry(2.0)}
    assert picked(encoder, decoder) == {"encoder": "fp32", "decoder": "q4"}


def test_what_was_measured_together() -> None:
    both = together(3.0, encoder="int8", decoder="int8")
    encoder, decoder = {"int8": entry(1.5, together=both)}, {"int8": entry(2.0, together=both)}
    assert picked(encoder, decoder) == "int8"
    mixed = together(3.0, encoder="int8", decoder="q4")
    assert picked({"int8": entry(1.5, together=mixed)}, {"q4": entry(2.0, together=mixed)}) == {
        "encoder": "int8", "decoder": "q4",
    }  # fmt: skip
    far = together(3.0, FAR, encoder="int8", decoder="int8")
    encoder, decoder = {"int8": entry(1.5, together=far)}, {"int8": entry(2.0, together=far)}
    assert picked(encoder, decoder) == {"encoder": "fp32", "decoder": "int8"}, "each alone is close"


def test_speeds_of_another_time_or_place_do_not_count() -> None:
    old = together(9.0, encoder="int8", decoder="int8")
    encoder = {"int8": entry(8.0, BEFORE, together=old), "q8": entry(1.1)}
    assert picked(encoder, {"int8": entry(8.0, BEFORE, together=old)}) == {"encoder": "q8", "decoder": "fp32"}
    assert picked(encoder | {"q8": entry(1.04)}, {}, before="int8") == "fp32"


def test_manifests_of_before_there_were_runs() -> None:
    old = graph({"speed": {"ratio": 5.0}, "drift": CLOSE | {"on": GIVEN}})
    assert picked({"int8": old}, {"int8": old}, before="int8") == "int8", "nothing was measured now"
    assert picked({"int8": old, "q8": entry(1.2)}, {"int8": old}, before="int8") == {
        "encoder": "q8", "decoder": "fp32",
    }  # fmt: skip


@pytest.mark.parametrize("on", [{"kind": "references", "count": 99}, {"kind": "text", "count": 15}])
def test_a_run_on_few_inputs_changes_nothing_but_what_it_replaces(on: dict[str, Any]) -> None:
    before = {"encoder": "int8", "decoder": "fp32"}
    encoder = {"int8": entry(2.0, on=on)}
    assert picked(encoder, {"q4": entry(2.0, on=on)}, before=before, made=("decoder", "q4")) == before
    assert picked(encoder, {}, before=before, made=("encoder", "int8")) == "fp32"


def test_half_precision_is_for_all_graphs() -> None:
    both = together(1.5, encoder="fp16", decoder="fp16")
    encoder, decoder = {"fp16": entry(3.0, together=both)}, {"fp16": entry(3.0, together=both), "q8": entry(1.2)}
    assert picked(encoder, decoder) == "fp16"
    far = together(1.5, FAR, encoder="fp16", decoder="fp16")
    encoder, decoder = {"fp16": entry(3.0, together=far)}, {"fp16": entry(3.0, together=far), "q8": entry(1.2)}
    assert picked(encoder, decoder) == {"encoder": "fp32", "decoder": "q8"}


@pytest.mark.parametrize(
    "account", [entry(None), entry(1.04), entry(2.0, drift=FAR), entry(2.0, drift=CLOSE | {"relative": 0.11}),
                entry(2.0, drift=CLOSE | {"agreement": None, "cosine": 0.98})],
)  # fmt: skip
def test_what_is_not_good_enough(account: GraphSpec) -> None:
    assert picked({"int8": account}, {}) == "fp32"
