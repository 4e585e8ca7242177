"""What ``dtype="auto"`` picks: the fastest of what was measured, at one time, to answer as float32 does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from torchless.manifest import Manifest

# What a choice must be measured to be before it is picked instead of float32.
FASTER = 1.05
AGREES = 0.99
DRIFTS = 0.1
INPUTS = 16


def recommended(manifest: Manifest, made: Collection[tuple[str, str]], run: str) -> dict[str, str | dict[str, str]]:
    """The manifest's ``dtype`` after a run: what was measured at one time, on one machine, on the same inputs.

    On the CPU that choice of variants with the highest speed, if an answer is at least 1.05 times as fast as float32's,
    chooses the same in 99 of 100 cases (where nothing is chosen: the outputs' cosine is 0.99), and drifts by a tenth of
    the outputs' size at the most; all of this on 16 inputs or more that were given for it, for the inputs that a
    manifest records are few and arbitrary. A choice is what was measured as a whole: a variant of one graph with the
    others in float32, or variants of several graphs together. Where none of the run is good enough, float32.

    A run on recorded inputs changes nothing, unless it replaced a variant that was picked: then float32. On CUDA fp16
    where every graph has it, for int8 has no kernels there.

    Args:
        manifest: with the variants of the run.
        made: graphs and variants that are new.
        run: what the run is called.
    """
    result = dict(manifest.dtype)
    choices = list(_choices(manifest, run))
    before = {role: manifest.automatic(role, "cpu") for role in manifest.graphs}
    if choices or set(before.items()) & set(made):
        good = [(speed, choice) for choice, speed, drift in choices if speed >= FASTER and _close(drift)]
        _, best = max(good, key=lambda pair: pair[0], default=(1.0, dict.fromkeys(before, "fp32")))
        names = set(best.values())
        result["cpu"] = names.pop() if len(names) == 1 else best
    if all("fp16" in variants for variants in manifest.graphs.values()):
        result["cuda"] = "fp16"
    return result


def given(provenance: Mapping[str, Any]) -> bool:
    """Whether inputs are enough to pick a variant by: some that were given for it."""
    return bool(provenance["kind"] != "references" and provenance["count"] >= INPUTS)


def _choices(manifest: Manifest, run: str) -> Iterator[tuple[dict[str, str], float, dict[str, Any]]]:
    """What a run measured as a whole on inputs that were given: variants by graph, speed and drift."""
    float32 = dict.fromkeys(manifest.graphs, "fp32")
    for role, variants in manifest.graphs.items():
        for dtype, graph in variants.items():
            account = graph.quantization or {}
            speed, drift, together = account.get("speed"), account.get("drift"), account.get("together")
            if not speed or not drift or speed.get("run") != run or not given(drift["on"]):
                continue
            if speed["answer"] is not None and (dtype != "fp16" or len(float32) == 1):  # which goes for all graphs
                yield float32 | {role: dtype}, speed["answer"], drift
            if together is not None and together["answer"] is not None:
                yield float32 | together["dtypes"], together["answer"], together["drift"]


def _close(drift: Mapping[str, Any]) -> bool:
    """Whether outputs are near enough to float32's."""
    same = drift["cosine"] if drift["agreement"] is None else drift["agreement"]
    return bool(same >= AGREES and drift["relative"] <= DRIFTS)
