"""``torchless info``: what a bundle is, and what was measured of its variants."""

from __future__ import annotations

import json
from typing import Any

from .bundle import Bundle
from .manifest import GraphSpec, Manifest
from .pipelines import PIPELINES


def run(bundle: Bundle, *, as_json: bool) -> None:
    """Describe a bundle on standard output."""
    description = describe(bundle)
    if as_json:
        print(json.dumps(description, ensure_ascii=False))
        return
    variants = description.pop("quantized", {})
    for name, value in description.items():
        print(f"{name:12} {value}")
    for role, by_dtype in variants.items():
        for dtype, account in by_dtype.items():
            print(f"{role} {dtype}: {_line(account)}")


def describe(bundle: Bundle) -> dict[str, Any]:
    """Task, limits, labels and graphs with their sizes; of quantized variants how they were made and measured."""
    reads_text = bundle.task is None or bundle.task not in PIPELINES or PIPELINES[bundle.task].reads_text
    description: dict[str, Any] = {
        "folder": str(bundle.folder),
        "task": bundle.task,
        "model_type": bundle.config.get("model_type"),
        "max_length": bundle.tokenizer.max_length if reads_text else None,
        "labels": bundle.labels if "id2label" in bundle.config else [],
        "graphs": bundle.dtypes,
    }
    return description if bundle.manifest is None else description | _declared(bundle.manifest)


def _declared(manifest: Manifest) -> dict[str, Any]:
    """What the manifest adds."""
    quantized = {
        role: {dtype: _account(graph) for dtype, graph in variants.items() if graph.quantization is not None}
        for role, variants in manifest.graphs.items()
    }
    accounts = {role: found for role, found in quantized.items() if found}
    return {
        "graphs": {
            role: {dtype: _bytes(graph) for dtype, graph in variants.items()}
            for role, variants in manifest.graphs.items()
        },
        "auto": manifest.dtype,
        "provenance": {name: value for name, value in manifest.provenance.items() if name != "float32"},
        **({"quantized": accounts} if accounts else {}),
    }


def _bytes(graph: GraphSpec) -> int:
    return sum(file.bytes for file in (graph.model, *graph.data))


def _account(graph: GraphSpec) -> dict[str, Any]:
    """How a variant was quantized, its weights counted."""
    account = dict(graph.quantization or {})
    return account | {name: len(account.get(name) or ()) for name in ("quantized", "left")} | {"bytes": _bytes(graph)}


def _line(account: dict[str, Any]) -> str:
    """A variant's account in words."""
    speed, drift = account.get("speed") or {}, account.get("drift") or {}
    parts = [f"{account['bytes']:,} bytes, {account['quantized']} weights quantized, {account['left']} left"]
    if speed:
        parts.append(f"{speed['ratio']:.2f} times as fast as fp32 on {speed['machine']}, {speed['threads']} threads")
    if drift:
        agreement = drift["agreement"]
        same = "" if agreement is None else f", {100 * agreement:.1f}% the same"
        parts.append(f"drift {drift['relative']:.2g}{same} on {drift['on']['count']} {drift['on']['kind']}")
    return "; ".join(parts)
