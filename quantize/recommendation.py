"""Which variant ``dtype="auto"`` picks: the fastest of those that were measured to answer as float32 does."""

from __future__ import annotations

from typing import Any

from torchless.manifest import GraphSpec, Manifest

# What a variant must be measured to be before it is picked instead of float32.
FASTER = 1.05
AGREES = 0.99
DRIFTS = 0.1
INPUTS = 16


def recommended(manifest: Manifest) -> dict[str, str | dict[str, str]]:
    """The manifest's ``dtype`` after what its variants' ``quantization`` says was measured.

    On the CPU each graph's variant with the highest speed, if it is at least 1.05 times as fast as float32, chooses the
    same in 99 of 100 cases (where a graph chooses nothing: its outputs' cosine is 0.99), and drifts by a tenth of the
    outputs' size at the most; all of this on 16 inputs or more that were given for it, for the inputs that a manifest
    records are few and arbitrary. On CUDA fp16 where every graph has it, for int8 has no kernels there.
    """
    without = ("fp16",) if len(manifest.graphs) > 1 else ()  # it needs all graphs, which may be fastest in others
    chosen = {
        role: _fastest(variants, manifest.automatic(role, "cpu"), without) for role, variants in manifest.graphs.items()
    }
    names = set(chosen.values())
    result = {**manifest.dtype, "cpu": names.pop() if len(names) == 1 else chosen}
    if all("fp16" in variants for variants in manifest.graphs.values()):
        result["cuda"] = "fp16"
    return result


def _fastest(variants: dict[str, GraphSpec], before: str, without: tuple[str, ...]) -> str:
    """A graph's fastest variant within the bound, or what was picked before where nothing was measured."""
    ratios = {
        dtype: float(graph.quantization["speed"]["ratio"])
        for dtype, graph in variants.items()
        if dtype not in without and graph.quantization is not None and _passes(graph.quantization)
    }
    if ratios:
        return max(ratios, key=lambda dtype: ratios[dtype])
    measured = (variants[before].quantization or {}).get("speed") is not None
    return "fp32" if measured and "fp32" in variants else before


def _passes(quantization: dict[str, Any]) -> bool:
    """Whether a variant was measured to be faster, and close enough."""
    speed, drift = quantization.get("speed"), quantization.get("drift")
    if not speed or not drift:
        return False
    given = drift["on"]["kind"] != "references" and drift["on"]["count"] >= INPUTS
    same = drift["cosine"] if drift["agreement"] is None else drift["agreement"]
    return bool(given and speed["ratio"] >= FASTER and same >= AGREES and drift["relative"] <= DRIFTS)
